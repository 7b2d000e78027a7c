"""The widget from Start to close, with a predictor that answers by known rules."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_ois._napari import settings
from napari_ois._napari.widget import OISWidget
from napari_ois.annotation import ImageSignature
from napari_ois.errors import InputError, WeightsError


def answer_to(qtbot: Any, widget: OISWidget, act: Callable[[], Any]) -> Any:
    with qtbot.waitSignal(widget.answered) as heard:
        act()
    return heard.args[0]


def points(widget: OISWidget) -> Any:
    return widget.session.layers.clicks


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def press(layer: Any, key: str) -> None:
    """Do what napari does at a key of this layer."""
    {str(bound): action for bound, action in layer.keymap.items()}[key](layer)


class TestClicks:
    def test_a_click_shows_mask_and_order(self, started, viewer, qtbot) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        mask = viewer.layers["scan preview"].data
        assert mask[20, 30] == 1
        assert mask.sum() == 113  # a disc of radius 6
        assert viewer.layers["scan order positive"].data[20, 30] == 0
        assert viewer.layers["scan depth"].data.max() == 1
        assert "fake" in started.status.text()
        assert "last click" in started.status.text()

    def test_clicks_before_the_embedding_is_done_are_answered(self, viewer, make, fake, qtbot):
        fake.delay = 0.05
        viewer.add_image(np.zeros((60, 80)), name="scan")
        widget = make()

        def act() -> None:
            widget.start()
            points(widget).add((20, 30))

        assert answer_to(qtbot, widget, act).prediction.mask[20, 30]

    def test_the_key_toggles_and_each_negative_click_gets_a_map(self, started, viewer, qtbot):
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        press(points(started), settings.KEY_POLARITY)
        assert started.negative.isChecked()
        assert not started.positive.isChecked()
        answer = answer_to(qtbot, started, lambda: points(started).add((20, 34)))
        assert answer.clicks.labels.tolist() == [1, 0]
        assert viewer.layers["scan order negative 1"].data[20, 34] == 0
        assert viewer.layers["scan preview"].data[20, 34] == 0

    def test_moved_deleted_and_changed_clicks_are_answered(self, started, viewer, qtbot) -> None:
        layer = points(started)
        answer_to(qtbot, started, lambda: layer.add((20, 30)))
        answer_to(qtbot, started, lambda: layer.add((40, 50)))

        def move() -> None:
            layer.data = np.array([[20, 30], [10, 60]])

        answer = answer_to(qtbot, started, move)
        assert answer.clicks.points.tolist() == [[20, 30], [10, 60]]
        assert viewer.layers["scan preview"].data[10, 60] == 1

        def delete() -> None:
            layer.selected_data = {0}
            layer.remove_selected()

        answer = answer_to(qtbot, started, delete)
        assert answer.clicks.points.tolist() == [[10, 60]]
        assert viewer.layers["scan preview"].data[20, 30] == 0

    def test_changing_a_polarity_in_the_features_is_a_new_question(self, started, qtbot) -> None:
        layer = points(started)
        answer_to(qtbot, started, lambda: layer.add((20, 30)))
        answer_to(qtbot, started, lambda: layer.add((20, 33)))
        changed = layer.features.copy()
        changed.loc[1, settings.POLARITY] = settings.NEGATIVE

        def change() -> None:
            layer.features = changed

        assert answer_to(qtbot, started, change).clicks.labels.tolist() == [1, 0]

    def test_undo_takes_the_newest_click_and_clear_takes_all(self, started, viewer, qtbot) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        answer_to(qtbot, started, lambda: points(started).add((40, 50)))
        answer_to(qtbot, started, lambda: press(points(started), settings.KEY_UNDO))
        assert points(started).data.tolist() == [[20, 30]]
        press(points(started), settings.KEY_CLEAR)
        assert len(points(started).data) == 0
        assert not viewer.layers["scan preview"].data.any()

    def test_only_negative_clicks_give_a_hint_and_no_mask(self, started, viewer, notes) -> None:
        started.toggle_polarity()
        points(started).add((20, 30))
        assert any("positive click" in note for note in notes)
        assert "positive click" in started.status.text()
        assert not viewer.layers["scan preview"].data.any()

    def test_a_click_outside_is_taken_back(self, started, qtbot, notes) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        points(started).add((200, 30))
        qtbot.waitUntil(lambda: len(points(started).data) == 1)
        assert any("outside" in note for note in notes)
        points(started).data = np.array([[-5.0, 30]])
        qtbot.waitUntil(lambda: points(started).data.tolist() == [[20, 30]])
        assert len(started.session.clicks) == 1

    def test_a_click_in_the_3d_view_is_taken_back(self, started, viewer, qtbot, notes) -> None:
        viewer.dims.ndisplay = 3
        assert any("2D view" in note for note in notes)
        points(started).add((20, 30))
        qtbot.waitUntil(lambda: len(points(started).data) == 0)
        viewer.dims.ndisplay = 2
        assert answer_to(qtbot, started, lambda: points(started).add((20, 30)))


class TestAccept:
    def test_objects_get_new_ids_and_keep_their_pixels(self, started, viewer, qtbot) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        press(points(started), settings.KEY_ACCEPT)
        objects = viewer.layers["scan objects"]
        first = objects.data.copy()
        assert (first == 1).sum() == 113
        assert started.target.value == objects
        assert len(points(started).data) == 0
        answer_to(qtbot, started, lambda: points(started).add((20, 35)))
        started.accept()
        assert (objects.data[first == 1] == 1).all()
        assert (objects.data == 2).sum() == 113 - np.sum((first == 1) & disc(20, 35))
        objects.undo()
        np.testing.assert_array_equal(objects.data, first)
        assert names(viewer).count("scan objects") == 1

    def test_accept_waits_for_the_newest_click(self, started, viewer, fake, qtbot) -> None:
        fake.delay = 0.05
        answer_to(qtbot, started, lambda: (points(started).add((20, 30)), started.accept()))
        assert started.target.value == viewer.layers["scan objects"]
        assert viewer.layers["scan objects"].data[20, 30] == 1

    def test_what_was_painted_in_the_preview_is_accepted(self, started, viewer, qtbot) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        viewer.layers["scan preview"].data_setitem((np.array([50]), np.array([70])), 1)
        started.accept()
        assert viewer.layers["scan objects"].data[50, 70] == 1

    def test_nothing_to_accept_is_said(self, started, viewer, notes) -> None:
        started.accept()
        assert any("no object" in note for note in notes)
        assert "scan objects" not in names(viewer)

    def test_a_layer_beside_the_image_is_refused(self, started, viewer, qtbot, notes) -> None:
        other = viewer.add_labels(np.zeros((60, 80), np.uint8), translate=(5, 5), name="other")
        started.target.value = other
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        started.accept()
        assert any("does not lie on" in note for note in notes)
        assert not other.data.any()

    def test_the_plane_of_a_volume_is_written_where_it_was_clicked(self, viewer, make, qtbot):
        viewer.add_image(np.random.default_rng(0).random((7, 60, 80)), name="scan", scale=(5, 1, 1))
        viewer.dims.set_current_step(0, 4)
        widget = make()
        widget.start()
        answer_to(qtbot, widget, lambda: points(widget).add((0, 20, 30)))
        widget.accept()
        objects = viewer.layers["scan objects"]
        assert objects.data.shape == (7, 60, 80)
        assert np.unique(np.argwhere(objects.data)[:, 0]).tolist() == [4]
        viewer.dims.set_current_step(0, 1)
        points(widget).add((-3, 20, 30))
        qtbot.waitUntil(lambda: len(points(widget).data) == 0)


class TestWrongUse:
    def test_no_image(self, make, notes) -> None:
        widget = make()
        widget.start()
        assert widget.session is None
        assert any("open one" in note for note in notes)

    def test_3d_view(self, viewer, make, notes) -> None:
        viewer.add_image(np.zeros((5, 6, 7)))
        viewer.dims.ndisplay = 3
        widget = make()
        widget.start()
        assert widget.session is None
        assert any("2D view" in note for note in notes)
        assert len(viewer.layers) == 1

    def test_the_image_is_deleted(self, started, viewer, qtbot, notes) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        started.accept()
        mine = viewer.add_points([[1, 1]], name="mine")
        viewer.layers.remove("scan")
        qtbot.waitUntil(lambda: started.session is None)
        assert any("was deleted" in note for note in notes)
        assert names(viewer) == ["scan objects", "mine"]
        assert mine in viewer.layers
        assert not started.accept_button.isEnabled()

    def test_the_clicks_are_deleted_and_start_works_again(self, started, viewer, qtbot) -> None:
        viewer.layers.remove(points(started))
        qtbot.waitUntil(lambda: started.session is None)
        started.start()
        assert answer_to(qtbot, started, lambda: points(started).add((20, 30)))

    def test_the_image_gets_other_pixels(self, started, viewer, qtbot, notes) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        before, image = started.session.workbook, viewer.layers["scan"]
        image.data = 1 - np.asarray(image.data)
        qtbot.waitUntil(lambda: started.session is None)
        assert [note for note in notes if "pixels" in note] == [
            'The pixels of "scan" are others now, so its session ended. Press Start to go on.'
        ]
        with qtbot.waitSignal(started.embedded):
            started.start()
        book = started.session.workbook
        assert book is not before and book.recovery.sign() == ImageSignature.of(image.data, None)
        started.start()
        assert started.session.workbook is book

    def test_everything_is_deleted_at_once(self, started, viewer, qtbot) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        viewer.layers.clear()
        qtbot.waitUntil(lambda: started.session is None)
        assert len(viewer.layers) == 0

    def test_a_model_without_weights(self, viewer, make, qtbot, notes) -> None:
        def factory(model: str, device: str) -> Any:
            raise WeightsError("There are no weights; train some.")

        viewer.add_image(np.zeros((60, 80)), name="scan")
        widget = make(factory)
        with qtbot.waitSignal(widget.failed):
            widget.start()
        assert widget.session is None
        assert "There are no weights" in widget.status.text()
        assert "There are no weights; train some." in notes
        assert names(viewer) == ["scan"]


class TestLife:
    def test_what_is_chosen_stays_chosen_whatever_it_is_called(self, started, viewer, qtbot) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        started.accept()
        labels, image = viewer.layers["scan objects"], viewer.layers["scan"]
        other = viewer.add_image(np.zeros((60, 80)), name="other", contrast_limits=(0, 1))
        started.image.value = image
        labels.name, image.name = "cells", "slide"
        assert started.target.value is labels and started.image.value is image
        assert started.target.native.currentText() == "cells" and started.image.native.currentText() == "slide"
        other.name, image.name = "x", "other"
        other.name = "slide"
        assert started.image.value is image
        with qtbot.waitSignal(started.embedded):
            started.start()
        answer_to(qtbot, started, lambda: points(started).add((45, 60)))
        started.accept()
        assert set(np.unique(labels.data)) == {0, 1, 2}
        assert [layer.name for layer in viewer.layers if type(layer).__name__ == "Labels"].count("cells") == 1
        viewer.layers.remove(labels)
        assert started.target.value is None

    def test_an_image_that_goes_while_it_is_embedded_leaves_no_progress_behind(self, viewer, make, fake, qtbot):
        fake.delay = 0.2
        image = viewer.add_image(np.random.default_rng(0).random((60, 80)), name="scan")
        widget = make()
        widget.start()
        viewer.layers.remove(image)
        qtbot.waitUntil(lambda: widget.session is None)
        qtbot.waitUntil(lambda: not widget.progress.isVisibleTo(widget))

    def test_an_accept_whose_click_failed_is_not_made_up_for(self, started, fake, qtbot, monkeypatch, notes) -> None:
        plain = fake.predict

        def fail(self: Any, *_: Any, **__: Any) -> Any:
            raise InputError("out of memory")

        monkeypatch.setattr(fake, "predict", fail)
        with qtbot.waitSignal(started.failed):
            points(started).add((20, 30))
            started.accept()
        monkeypatch.setattr(fake, "predict", plain)
        answer_to(qtbot, started, lambda: points(started).add((22, 30)))
        qtbot.wait(30)
        assert started.session.object is not None and started.session.object.accepted is None

    def test_the_choices_never_offer_our_own_layers(self, started, viewer, qtbot) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        assert [layer.name for layer in started.image.choices] == ["scan"]
        assert list(started.target.choices) == [None]

    def test_the_topmost_image_is_chosen_first(self, viewer, make) -> None:
        for name in ("below", "above"):
            viewer.add_image(np.zeros((60, 80)), name=name)
        assert make().image.value.name == "above"

    def test_a_second_start_replaces_the_first(self, started, viewer, qtbot) -> None:
        with qtbot.waitSignal(started.embedded):
            started.start()
        assert names(viewer).count("scan clicks") == 1
        assert names(viewer).count("scan depth") == 1

    def test_closing_releases_keys_events_layers_and_thread(self, started, viewer, qtbot) -> None:
        answer_to(qtbot, started, lambda: points(started).add((20, 30)))
        started.accept()
        answer_to(qtbot, started, lambda: points(started).add((40, 50)))
        layer, worker = points(started), started._holder.worker
        started.close()
        assert layer.keymap == {}
        assert names(viewer) == ["scan", "scan objects", "scan clicks"]
        layer.add((1, 1))
        viewer.add_image(np.zeros((5, 5)), name="later")
        assert started.session is None
        worker.wait()
        assert not [t for t in threading.enumerate() if t.name.startswith("napari-ois")]

    @pytest.mark.parametrize("way", ["remove", "delete"])
    def test_leaving_the_dock_releases_everything(self, window, fake, qtbot, way) -> None:
        viewer = window
        viewer.add_image(np.zeros((60, 80)), name="scan")
        widget = OISWidget(viewer, fake)
        dock = viewer.window.add_dock_widget(widget)
        with qtbot.waitSignal(widget.embedded):
            widget.start()
        layer, worker = points(widget), widget._holder.worker
        if way == "remove":
            viewer.window.remove_dock_widget(dock)
        else:
            widget.deleteLater()
        qtbot.waitUntil(lambda: layer.keymap == {})
        worker.wait()
        viewer.add_image(np.zeros((5, 5)), name="later")
        qtbot.waitUntil(lambda: not [t for t in threading.enumerate() if t.name.startswith("napari-ois")])


def disc(row: int, column: int) -> np.ndarray:
    rows, columns = np.indices((60, 80))
    return (rows - row) ** 2 + (columns - column) ** 2 <= 36
