"""Work comes back, from the journal or from a session file, and never in the place of other work unasked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels

from napari_ois._napari.widget import OISWidget
from napari_ois.annotation import Document, Journal, PlaneKey, load_session

IMAGE = np.random.default_rng(0).random((60, 80))


def idle(qtbot: Any, widget: Any) -> None:
    """Wait until errands and answers are done and shown."""
    done: list[int] = []
    widget._errands.send(lambda: 1, done.append)
    qtbot.waitUntil(lambda: bool(done) and not widget._holder.worker.busy)
    done.clear()
    widget._errands.send(lambda: 1, done.append)  # what an errand has sent for
    qtbot.waitUntil(lambda: bool(done) and not widget._holder.worker.busy)
    qtbot.wait(20)


@pytest.fixture
def crashed(started, click, qtbot) -> Callable[[], None]:
    """Two accepted objects and an open one; called, the program is gone without a word."""
    for place in ((20, 30), (40, 50)):
        click(started, *place)
        started.accept()
    click(started, 10, 70)
    idle(qtbot, started)

    def crash() -> None:
        viewer = started._viewer
        journal = started.session.workbook.recovery.journal
        journal.detach()  # nothing more is written
        started.shutdown()
        viewer.layers.clear()

    return crash


@pytest.fixture
def again(viewer, make, qtbot) -> Callable[..., OISWidget]:
    """Opens an image and starts on it."""

    def open_(image: np.ndarray = IMAGE) -> OISWidget:
        viewer.add_image(image, name="scan")
        widget = make()
        with qtbot.waitSignal(widget.embedded):
            widget.start()
        idle(qtbot, widget)
        return widget

    return open_


class TestJournal:
    def test_a_crash_loses_nothing(self, crashed, again, viewer, started, qtbot) -> None:
        labels = viewer.layers["scan objects"].data.copy()
        crashed()
        widget = again()
        assert widget.recovery_bar.asking
        assert widget.recovery_bar.label.text().startswith("Found 3 objects from 20")
        widget.recovery_bar.buttons["Resume"].click()
        idle(qtbot, widget)
        np.testing.assert_array_equal(viewer.layers["scan objects"].data, labels)
        assert [obj.state for obj in widget.session.document.objects] == ["accepted", "accepted", "open"]
        assert widget.session.clicks.points.tolist() == [[10, 70]]
        assert widget.session.layers.shown_mask()[10, 70]
        assert widget.target.value == viewer.layers["scan objects"]
        for _ in range(5):
            widget.undo()
        assert len(widget.session.document) == 0 and not viewer.layers["scan objects"].data.any()

    def test_it_goes_on_in_the_same_journal(self, crashed, again, journals, click, qtbot) -> None:
        crashed()
        widget = again()
        widget.resume_session()
        idle(qtbot, widget)
        widget.new_object()
        click(widget, 50, 10)
        widget.accept()
        idle(qtbot, widget)
        assert len(list(journals.glob("*.jsonl"))) == 1
        widget.shutdown()
        viewer = widget._viewer
        viewer.layers.clear()
        assert again().recovery_bar.label.text().startswith("Found 4 objects")

    def test_what_was_done_before_resuming_is_kept_too(self, crashed, again, viewer, journals, click, qtbot) -> None:
        labels = viewer.layers["scan objects"].data.copy()
        crashed()
        widget = again()
        click(widget, 50, 10)
        widget.session.layers.preview.data_setitem((np.array([58]), np.array([70])), 1)
        idle(qtbot, widget)
        widget.accept()
        click(widget, 5, 5)
        idle(qtbot, widget)
        widget.resume_session()
        idle(qtbot, widget)
        assert len(widget.session.document) == 5
        objects = viewer.layers["scan objects"].data
        np.testing.assert_array_equal(objects[labels != 0], labels[labels != 0])
        new = objects[50, 10]
        assert new not in (0, 1, 2) and objects[58, 70] == new
        assert widget.session.clicks.points.tolist() == [[5, 5]]
        assert len(list(journals.glob("*.jsonl"))) == 1

    def test_what_lies_wholly_on_what_comes_back_is_open(self, crashed, again, viewer, click, qtbot, notes) -> None:
        labels = viewer.layers["scan objects"].data.copy()
        crashed()
        widget = again()
        click(widget, 20, 30)
        widget.accept()
        widget.resume_session()
        idle(qtbot, widget)
        np.testing.assert_array_equal(viewer.layers["scan objects"].data, labels)
        assert "could not be accepted again: 1" in notes[-1]
        assert widget.session.document.current.number == 4
        assert widget.session.clicks.points.tolist() == [[20, 30]] and widget.session.layers.shown_mask()[20, 30]

    def test_a_document_that_fails_on_the_way_is_listened_to(self, started, monkeypatch) -> None:
        def fail(*_: Any) -> int:
            raise RuntimeError("on the way")

        monkeypatch.setattr("napari_ois._napari.workbook.carry_over", fail)
        book, document, heard = started.session.workbook, Document(), []
        with pytest.raises(RuntimeError):
            book.replace(document, started.session.layers.insert, carry=True)
        book.happened.connect(lambda: heard.append(1))
        document.start(PlaneKey())
        assert heard and started.session.document is document

    def test_start_new_leaves_it_where_it_is(self, crashed, again, journals, click, qtbot) -> None:
        crashed()
        widget = again()
        widget.recovery_bar.buttons["Start new"].click()
        assert not widget.recovery_bar.asking and len(widget.session.document) == 0
        click(widget, 5, 5)
        idle(qtbot, widget)
        assert len(list(journals.glob("*.jsonl"))) == 2

    @pytest.mark.parametrize("name", ["scan objects", "cells"])
    def test_closing_the_dock_and_opening_it_again(self, crashed, started, viewer, make, qtbot, name) -> None:
        objects = viewer.layers["scan objects"]
        labels = objects.data.copy()
        started.shutdown()
        objects.name = name
        widget = make()
        widget.start()
        idle(qtbot, widget)
        widget.resume_session()
        idle(qtbot, widget)
        assert [layer.name for layer in viewer.layers if isinstance(layer, Labels)].count(name) == 1
        assert sum(isinstance(layer, Labels) and "objects" in layer.name for layer in viewer.layers) <= 1
        np.testing.assert_array_equal(objects.data, labels)
        widget.delete_object(1)
        assert not (objects.data == 1).any()

    def test_labels_corrected_by_hand_stay_as_they_are(self, crashed, started, viewer, make, qtbot) -> None:
        objects = viewer.layers["scan objects"]
        objects.data_setitem((np.array([20, 21]), np.array([30, 30])), 0)  # a spill is erased
        objects.data_setitem((np.array([22]), np.array([30])), 2)  # a border is moved
        labels = objects.data.copy()
        started.shutdown()
        widget = make()
        widget.start()
        idle(qtbot, widget)
        widget.resume_session()
        idle(qtbot, widget)
        assert len(widget.session.document) == 3
        np.testing.assert_array_equal(objects.data, labels)

    def test_of_several_days_the_older_ones_can_be_reached(self, crashed, again, viewer, click, qtbot) -> None:
        crashed()
        widget = again()
        assert list(widget.recovery_bar.buttons) == ["Resume", "Start new"]
        widget.start_new()
        click(widget, 50, 10)
        widget.accept()
        idle(qtbot, widget)
        widget.session.workbook.recovery.journal.detach()
        widget.shutdown()
        viewer.layers.clear()
        widget = again()
        assert widget.recovery_bar.label.text().startswith("Found 1 object ")
        widget.recovery_bar.buttons["Another"].click()
        assert widget.recovery_bar.label.text().startswith("Found 3 objects")
        widget.recovery_bar.buttons["Another"].click()
        assert widget.recovery_bar.label.text().startswith("Found 1 object ")
        widget.recovery_bar.buttons["Another"].click()
        widget.recovery_bar.buttons["Resume"].click()
        idle(qtbot, widget)
        assert len(widget.session.document) == 3
        assert widget.recovery_bar.label.text().startswith("Found 1 object ")  # and the other one too
        widget.recovery_bar.buttons["Resume"].click()
        idle(qtbot, widget)
        assert len(widget.session.document) == 4 and not widget.recovery_bar.asking

    def test_another_image_is_offered_nothing(self, crashed, again) -> None:
        crashed()
        assert not again(IMAGE[::-1].copy()).recovery_bar.asking

    def test_one_that_is_being_written_is_not_offered(self, crashed, started, viewer, qtbot) -> None:
        viewer.add_image(IMAGE, name="copy")
        started.image.value = viewer.layers["copy"]
        started.start()
        idle(qtbot, started)
        assert not started.recovery_bar.asking

    def test_nor_is_one_that_another_widget_is_writing(self, crashed, viewer, make, qtbot) -> None:
        other = make()
        other.image.value = viewer.layers["scan"]
        other.start()
        idle(qtbot, other)
        assert not other.recovery_bar.asking

    def test_two_widgets_do_not_resume_the_same(self, crashed, again, viewer, make, qtbot, notes) -> None:
        crashed()
        first, second = again(), make()
        second.image.value = viewer.layers["scan"]
        second.start()
        idle(qtbot, second)
        assert first.recovery_bar.asking and second.recovery_bar.asking
        first.resume_session()
        idle(qtbot, first)
        second.resume_session()
        assert "Another window" in notes[-1] and len(second.session.document) == 0
        assert second.recovery_bar.asking  # for when the other one is closed

    def test_switched_off_it_writes_nothing(self, viewer, make, journals, click, qtbot) -> None:
        viewer.add_image(IMAGE, name="scan")
        widget = make()
        widget.keep_journal = False
        widget.start()
        click(widget, 20, 30)
        widget.accept()
        idle(qtbot, widget)
        assert not journals.exists()

    def test_looking_leaves_no_trace(self, started, journals, qtbot) -> None:
        idle(qtbot, started)
        assert not journals.exists()

    def test_accept_does_not_wait_for_the_disk(self, started, click, qtbot, journals, monkeypatch) -> None:
        threads = []
        monkeypatch.setattr("os.fsync", lambda file: threads.append(threading.current_thread()))
        click(started, 20, 30)
        idle(qtbot, started)
        started.accept()
        (path,) = journals.glob("*.jsonl")
        assert "accept object 1" in path.read_text()  # with the operating system: a kill loses nothing
        idle(qtbot, started)
        assert threads and threading.main_thread() not in threads

    def test_a_journal_that_fails_is_said_once(self, started, click, qtbot, notes, monkeypatch) -> None:
        idle(qtbot, started)

        def full(self: Any, entry: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Journal, "_append", full)
        for place in ((20, 30), (40, 50)):
            click(started, *place)
        qtbot.wait(20)
        assert len([note for note in notes if "No space left" in note]) == 1
        assert len(started.session.clicks) == 2


class TestLayers:
    @pytest.mark.parametrize("answer", ["Put it back", "Leave"])
    def test_a_layer_with_objects_that_was_deleted_is_offered_back(self, started, viewer, click, qtbot, answer) -> None:
        click(started, 20, 30)
        started.accept()
        objects = viewer.layers["scan objects"]
        viewer.layers.remove(objects)
        qtbot.waitUntil(lambda: started.recovery_bar.asking)
        started.recovery_bar.buttons[answer].click()
        assert (objects in viewer.layers) == (answer == "Put it back")
        click(started, 40, 50)  # all goes on, whether it is there or not
        started.undo()
        started.undo()
        assert not objects.data.any() and started.session.clicks.points.tolist() == [[20, 30]]

    def test_an_empty_one_is_not(self, started, viewer, click, qtbot) -> None:
        click(started, 20, 30)
        started.accept()
        started.undo()
        viewer.layers.remove("scan objects")
        qtbot.wait(20)
        assert not started.recovery_bar.asking

    def test_a_new_one_is_called_in_the_document_as_in_the_viewer(self, started, viewer, click) -> None:
        viewer.add_labels(np.zeros((60, 80), np.int32), name="scan objects")
        started.target.value = None
        click(started, 20, 30)
        started.accept()
        accepted = started.session.document[1].accepted
        assert viewer.layers[accepted.target].data[20, 30] == accepted.label


class TestFiles:
    def test_one_that_is_to_be_saved_is_saved_though_the_widget_closes(self, started, click, tmp_path, qtbot) -> None:
        click(started, 20, 30)
        started.accept()
        idle(qtbot, started)
        go, errands = threading.Event(), started._errands
        errands.send(go.wait, lambda _: None)  # a long export, say
        started.save_session(tmp_path / "work.json")
        started.shutdown()
        go.set()
        errands.wait()
        assert len(load_session(tmp_path / "work.json").objects) == 1

    def test_a_session_saved_comes_back(self, crashed, again, viewer, started, tmp_path: Path, qtbot) -> None:
        path = tmp_path / "work.json"
        started.save_session(path)
        idle(qtbot, started)
        assert str(path) in started.status.text()
        saved = load_session(path)
        assert [obj.name for obj in saved.objects] == ["object 1", "object 2", "object 3"]
        assert saved.model == {
            "name": "ois-compact", "sha256": None, "precision": "fp32", "input_size": None, "device": "fake",
        }  # fmt: skip
        labels = viewer.layers["scan objects"].data.copy()
        crashed()
        widget = again()
        widget.load_session(path)
        idle(qtbot, widget)
        np.testing.assert_array_equal(viewer.layers["scan objects"].data, labels)
        with qtbot.waitSignal(widget.answered):
            widget.reopen_object(2)
        assert widget.session.clicks.points.tolist() == [[40, 50]]

    @pytest.mark.parametrize(("answer", "count"), [("Add", 4), ("Replace", 3), ("Cancel", 1)])
    def test_what_is_here_is_asked_about(self, crashed, again, viewer, started, click, tmp_path, qtbot, answer, count):
        path = tmp_path / "work.json"
        started.save_session(path)
        idle(qtbot, started)
        labels = viewer.layers["scan objects"].data.copy()
        crashed()
        widget = again()
        click(widget, 50, 10)
        widget.accept()
        widget.load_session(path)
        idle(qtbot, widget)
        assert widget.recovery_bar.label.text() == "work.json holds 3 objects, and 1 are here."
        widget.recovery_bar.buttons[answer].click()
        idle(qtbot, widget)
        assert len(widget.session.document) == count
        objects = viewer.layers["scan objects"].data
        if answer != "Cancel":
            np.testing.assert_array_equal(objects[labels != 0], labels[labels != 0])
        assert (objects[50, 10] != 0) == (answer != "Replace")

    def test_it_is_not_loaded_into_another_image_s_labels(self, started, viewer, make, click, tmp_path, qtbot) -> None:
        click(started, 20, 30)
        started.accept()
        path = tmp_path / "work.json"
        started.save_session(path)
        idle(qtbot, started)
        viewer.layers.clear()
        viewer.add_image(np.random.default_rng(1).random((60, 80)), name="scan")  # another day, another well
        with qtbot.waitSignal(started.embedded):
            started.start()
        click(started, 40, 50)
        started.accept()
        other = viewer.layers["scan objects"]
        seen = other.data.copy()
        started.image.value = viewer.add_image(IMAGE, name="scan")
        with qtbot.waitSignal(started.embedded):
            started.start()
        started.load_session(path)
        idle(qtbot, started)
        np.testing.assert_array_equal(other.data, seen)
        (own,) = started.session.workbook.canvas.layers.values()
        assert own is not other and own in viewer.layers and own.data[20, 30] == 1

    def test_what_is_loaded_into_a_deleted_layer_is_seen(self, started, viewer, click, tmp_path, qtbot) -> None:
        click(started, 20, 30)
        started.accept()
        objects, path = viewer.layers["scan objects"], tmp_path / "work.json"
        started.save_session(path)
        idle(qtbot, started)
        viewer.layers.remove(objects)
        qtbot.waitUntil(lambda: started.recovery_bar.asking)
        started.recovery_bar.buttons["Leave"].click()
        started.load_session(path)
        idle(qtbot, started)
        started.recovery_bar.buttons["Replace"].click()
        assert objects in viewer.layers and objects.data[20, 30] == 1
        viewer.layers.remove(objects)
        qtbot.waitUntil(lambda: started.recovery_bar.asking)  # it is wanted again

    def test_a_file_of_another_image_or_none_is_refused(self, started, click, tmp_path, qtbot, notes) -> None:
        path = tmp_path / "work.json"
        click(started, 20, 30)
        started.save_session(path)
        idle(qtbot, started)
        record = json.loads(path.read_text())
        record["image"]["sha256"] = "0" * 64
        path.write_text(json.dumps(record))
        started.load_session(path)
        idle(qtbot, started)
        assert "another image" in notes[-1]
        started.load_session(tmp_path / "nothing.json")
        idle(qtbot, started)
        assert "There is no file" in notes[-1]
        started.save_session(tmp_path / "no" / "folder.json")
        idle(qtbot, started)
        assert "cannot be written" in notes[-1]
        assert len(started.session.document) == 1

    def test_the_dialogs_do_not_block(self, started, qtbot) -> None:
        from qtpy.QtWidgets import QFileDialog

        started.save_session()
        started.load_session()
        dialogs = started.findChildren(QFileDialog)
        assert len(dialogs) == 2
        for dialog in dialogs:
            dialog.close()


def test_objects_go_where_those_of_their_image_are(started, viewer, click, qtbot) -> None:
    click(started, 20, 30)
    started.accept()
    first, labels = started.image.value, viewer.layers["scan objects"]
    second = viewer.add_image(np.random.default_rng(1).random((60, 80)), name="other")
    for image, place in ((second, (40, 50)), (first, (40, 50)), (second, (20, 60))):
        started.image.value = image
        with qtbot.waitSignal(started.embedded):
            started.start()
        click(started, *place)
        started.accept()
        qtbot.waitUntil(lambda: started.session.object is None)
    for layer in (labels, viewer.layers["other objects"]):
        np.testing.assert_array_equal(np.unique(layer.data), [0, 1, 2])


def test_other_pixels_of_the_same_shape_keep_the_objects(started, viewer, click, qtbot, journals) -> None:
    click(started, 20, 30)
    started.rename_object(1, "nucleus")
    started.accept()
    image, labels = started.image.value, viewer.layers["scan objects"]
    image.data = IMAGE[::-1].copy()
    qtbot.waitUntil(lambda: started.session is None)
    with qtbot.waitSignal(started.embedded):
        started.start()
    idle(qtbot, started)
    assert [row.name for row in started.session.workbook.rows] == ["nucleus"]
    assert started.target.value is labels
    click(started, 40, 50)
    started.accept()
    qtbot.waitUntil(lambda: started.session.object is None)
    assert labels.data[20, 30] == 1 and labels.data[40, 50] == 2
    idle(qtbot, started)
    document = Document()
    Journal.resume(started.session.workbook.recovery.journal.path, document).close()
    assert [obj.name for obj in document.objects] == ["nucleus", "object 2"]
    image.data = IMAGE  # back again: what the first journal holds is in the list
    qtbot.waitUntil(lambda: started.session is None)
    with qtbot.waitSignal(started.embedded):
        started.start()
    idle(qtbot, started)
    assert len(started.session.document) == 2 and not started.recovery_bar.asking


def test_of_another_shape_a_new_list_is_begun_and_that_is_said(started, viewer, click, qtbot, notes) -> None:
    click(started, 20, 30)
    started.accept()
    started.image.value.data = np.zeros((50, 80))
    qtbot.waitUntil(lambda: started.session is None)
    assert "another shape now" in notes[-1] and "Its labels stay" in notes[-1]
    with qtbot.waitSignal(started.embedded):
        started.start()
    assert not started.session.document.objects and viewer.layers["scan objects"].data[20, 30] == 1
