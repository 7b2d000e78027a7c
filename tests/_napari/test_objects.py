"""Objects: the list, going from one to the next, reopening, names, colours, seeds, overlap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt

from napari_ois._napari import settings
from napari_ois._napari.labels_table import LabelsTable
from napari_ois._napari.object_model import AREA, CLICKS, LABEL, NAME, SCORE, SLICE, STATE
from napari_ois._napari.own_label import own_label
from napari_ois.annotation import ArrayCanvas, Clicks, Document, PlaneKey
from napari_ois.annotation.features import COLUMNS
from napari_ois.errors import InputError


@pytest.fixture
def two(started, click):
    """Two accepted objects at (20, 30) and (40, 50), labels 1 and 2, beside each other."""
    for place in ((20, 30), (40, 50)):
        click(started, *place)
        started.accept()
    return started


def idle(qtbot: Any, widget: Any) -> None:
    qtbot.waitUntil(lambda: not widget._holder.worker.busy)
    qtbot.wait(20)


def cells(widget: Any, column: int) -> list[str]:
    model = widget.objects.model
    return [model.data(model.index(row, column)) for row in range(model.rowCount())]


def press(widget: Any, key: str) -> None:
    layer = widget.session.layers.clicks
    {str(bound): action for bound, action in layer.keymap.items()}[key](layer)


class TestList:
    def test_it_says_what_each_object_is(self, two, click, qtbot) -> None:
        click(two, 10, 70)
        click(two, 12, 70)
        idle(qtbot, two)
        assert cells(two, LABEL) == ["1", "2", ""]
        assert cells(two, NAME) == ["object 1", "object 2", "object 3"]
        assert cells(two, AREA) == ["113", "113", ""]
        assert cells(two, SCORE) == ["0.75", "0.75", ""]
        assert cells(two, CLICKS) == ["1", "1", "2"]
        assert cells(two, STATE) == ["✓", "✓", "…"]
        assert two.objects.table.isColumnHidden(SLICE)
        assert two.objects.selected == 3

    def test_areas_are_physical_and_kept_in_the_layer(self, viewer, make, click, qtbot) -> None:
        viewer.add_image(np.zeros((60, 80)), name="scan", scale=(0.5, 0.5), units=("um", "um"))
        widget = make()
        with qtbot.waitSignal(widget.embedded):
            widget.start()
        click(widget, 20, 30)
        widget.accept()
        idle(qtbot, widget)
        features = viewer.layers["scan objects"].features
        assert features["index"].tolist() == [1] and features["area_px"].tolist() == [113]
        assert features["area"].tolist() == [113 / 4] and features["unit"].tolist() == ["micrometer²"]
        assert cells(widget, AREA) == ["28.25"]
        widget.undo()
        idle(qtbot, widget)
        assert len(viewer.layers["scan objects"].features) == 0

    def test_what_others_put_into_the_features_stays(self, started, viewer, click, qtbot) -> None:
        data = np.zeros((60, 80), np.int32)
        data[0, :5] = 7
        cells_layer = viewer.add_labels(data, name="cells", features={"index": [7], "kind": ["nucleus"]})
        started.target.value = cells_layer
        click(started, 40, 50)
        started.accept()
        qtbot.waitUntil(lambda: len(cells_layer.data[cells_layer.data == 8]) == 113)
        idle(qtbot, started)
        table = cells_layer.features.set_index("index")
        assert table.loc[7, "kind"] == "nucleus" and table.loc[8, "name"] == "object 1"
        started.undo()
        idle(qtbot, started)
        assert cells_layer.features["index"].tolist() == [7]

    def test_the_row_of_a_label_that_was_gone_on_from_comes_back(self) -> None:
        measured = {"index": [5, 6], "mean_intensity": [3.5, 1.0], "area_px": [9, 4]}
        layer = Labels(np.zeros((8, 8), np.int32), features=measured)
        table = LabelsTable(layer)
        nothing: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        ours = {name: [5 if name == "index" else 20 if name == "area_px" else ""] for name in COLUMNS}
        table.show(ours)
        assert layer.features.set_index("index").loc[5, ["mean_intensity", "area_px"]].tolist() == [3.5, 20]
        table.show(nothing)
        assert layer.features["index"].tolist() == [5, 6]
        assert layer.features["mean_intensity"].tolist() == [3.5, 1.0]
        assert layer.features["area_px"].tolist() == [9, 4]
        table.show(nothing)
        assert layer.features["index"].tolist() == [5, 6]

    def test_a_name_is_written_in_place(self, two, viewer, qtbot, notes) -> None:
        model = two.objects.model
        assert model.flags(model.index(0, NAME)) & Qt.ItemFlag.ItemIsEditable
        assert not model.flags(model.index(0, AREA)) & Qt.ItemFlag.ItemIsEditable
        model.setData(model.index(1, NAME), "big coin")
        idle(qtbot, two)
        assert cells(two, NAME) == ["object 1", "big coin"]
        assert viewer.layers["scan objects"].features["name"].tolist() == ["object 1", "big coin"]
        model.setData(model.index(1, NAME), "  ")
        assert "needs a name" in notes[-1]
        two.undo()
        idle(qtbot, two)
        assert cells(two, NAME) == ["object 1", "object 2"]

    def test_it_is_empty_without_a_session(self, two, qtbot) -> None:
        two.shutdown()
        assert cells(two, NAME) == []
        assert not two.objects.delete_button.isEnabled()


class TestGoing:
    def test_next_and_previous_show_without_reopening(self, two, viewer, qtbot) -> None:
        objects = viewer.layers["scan objects"]
        before = objects.data.copy()
        press(two, settings.KEY_NEXT)
        idle(qtbot, two)
        assert two.objects.selected == 1 and objects.selected_label == 1
        press(two, settings.KEY_PREVIOUS)
        idle(qtbot, two)
        assert two.objects.selected == 2 and objects.selected_label == 2
        np.testing.assert_array_equal(objects.data, before)
        assert len(two.session.clicks) == 0

    def test_an_accept_that_is_refused_leaves_the_label_and_nothing_to_redo(self) -> None:
        document = Document(ArrayCanvas({"a": np.zeros((9, 9), np.int32), "b": np.ones((9, 9), np.int32)}))
        obj = document.start(PlaneKey((0, 1), (0, 0)), clicks=Clicks().added(4, 4))
        mask = np.zeros((9, 9), bool)
        mask[3:6, 3:6] = True
        document.accept(obj.number, mask, rule="keep", target="a")
        document.reopen(obj.number)
        before = document[obj.number]
        with pytest.raises(InputError), own_label(document, [before], "b"):
            document.accept(obj.number, mask, rule="keep", target="b")
        assert document[obj.number] == before and before.label == 1
        assert document.history.redo_text is None

    def test_a_reopened_object_has_its_clicks_and_keeps_its_label(self, two, viewer, click, qtbot) -> None:
        objects = viewer.layers["scan objects"]
        two.show_object(1)
        with qtbot.waitSignal(two.answered):
            press(two, settings.KEY_REOPEN)
        assert not (objects.data == 1).any() and (objects.data == 2).any()
        assert two.session.clicks.points.tolist() == [[20, 30]]
        click(two, 24, 30)
        two.accept()
        assert objects.data[29, 30] == 1 and (objects.data == 1).sum() > 113
        for _ in range(3):
            two.undo()
        idle(qtbot, two)
        assert (objects.data == 1).sum() == 113

    def test_a_double_click_beside_the_name_reopens(self, two, qtbot) -> None:
        idle(qtbot, two)
        model = two.objects.model
        two.objects._on_double_click(model.index(1, NAME))
        assert two.session.object is None
        two.objects._on_double_click(model.index(1, STATE))
        assert two.session.object.number == 2

    def test_an_open_object_is_left_and_found_again(self, started, click, qtbot) -> None:
        click(started, 20, 30)
        started.new_object()
        assert len(started.session.clicks) == 0 and not started.session.layers.shown_mask().any()
        click(started, 40, 50)
        with qtbot.waitSignal(started.answered):
            started.show_object(1)
        assert started.session.clicks.points.tolist() == [[20, 30]]
        mask = started.session.layers.shown_mask()
        assert mask[20, 30] and not mask[40, 50]

    def test_an_accept_that_waits_is_not_given_to_another_object(self, started, viewer, fake, click, qtbot) -> None:
        click(started, 20, 30)
        started.new_object()
        click(started, 40, 50)
        fake.delay = 0.05
        started.session.layers.clicks.add((42, 50))
        started.accept()
        started.show_object(1)
        idle(qtbot, started)
        assert [obj.state for obj in started.session.document.objects] == ["open", "open"]

    def test_nor_is_one_that_waits_for_the_labels(self, started, viewer, click, qtbot, monkeypatch) -> None:
        jobs: list[Any] = []
        monkeypatch.setattr(started.session.workbook.canvas, "_aside", lambda *errand: jobs.append(errand))
        mine = viewer.add_labels(np.zeros((60, 80), np.int32), name="mine")
        started.target.value = mine
        click(started, 20, 30)
        started.accept()
        assert 'as soon as the labels of "mine" are known' in started.status.text()
        started.new_object()
        click(started, 40, 50)
        (job, done, *_), *_ = jobs
        done(job())
        assert not mine.data.any()
        assert [obj.state for obj in started.session.document.objects] == ["open", "open"]
        started.accept()
        assert mine.data[40, 50] == 1

    @pytest.mark.parametrize("waits_for", ["answer", "labels"])
    def test_a_click_made_meanwhile_begins_the_next_object(
        self, started, viewer, fake, click, qtbot, monkeypatch, waits_for
    ) -> None:
        canvas, jobs = started.session.workbook.canvas, []
        aside = canvas._aside
        click(started, 20, 30)
        if waits_for == "answer":
            fake.delay = 0.2
            started.session.layers.clicks.add((20, 34))
        else:
            monkeypatch.setattr(canvas, "_aside", lambda *errand: jobs.append(errand))
            started.target.value = viewer.add_labels(np.zeros((60, 80), np.int32), name="mine")
        started.accept()
        started.session.layers.clicks.add((42, 50))
        assert "begins the next object" in started.status.text()
        fake.delay = 0.0
        for errand in jobs:
            aside(*errand)
        qtbot.waitUntil(lambda: len(started.session.document) == 2)
        qtbot.waitUntil(lambda: not started.session.waiting)
        first, second = started.session.document.objects
        assert first.state == "accepted" and [(c.row, c.column) for c in second.clicks] == [(42, 50)]
        assert len(first.clicks) == (2 if waits_for == "answer" else 1)
        idle(qtbot, started)
        np.testing.assert_allclose(started.session.layers.clicks.data, [(42, 50)])
        assert started.session.layers.shown_mask()[42, 50]

    def test_if_nothing_is_accepted_that_click_is_said_to_be_lost(self, started, fake, click, qtbot, notes) -> None:
        click(started, 20, 30)
        fake.delay = 0.2
        started.session.layers.clicks.add((20, 34))
        started.accept()
        started.session.layers.clicks.add((42, 50))
        started.clear()
        assert notes[-1].startswith("The next object was not begun")
        idle(qtbot, started)
        assert len(started.session.document) == 1 and not started.session.clicks

    def test_in_another_layer_a_reopened_object_has_an_id_of_that(self, two, viewer, qtbot, notes) -> None:
        data = np.zeros((60, 80), np.int32)
        data[5, 5:9] = 1
        data[55, 5:9] = 50
        nuclei, objects = viewer.add_labels(data, name="nuclei"), viewer.layers["scan objects"]

        def accept_into(layer: Any) -> None:
            with qtbot.waitSignal(two.answered):
                two.reopen_object(1)
            two.target.value = layer
            two.accept()
            qtbot.waitUntil(lambda: two.session.object is None)

        objects.data[0, 0] = 1  # painted by the user: it goes on being the object's
        accept_into(objects)
        assert objects.data[20, 30] == 1
        accept_into(nuclei)
        assert (nuclei.data == 1).sum() == 4 and nuclei.data[20, 30] == 51
        with qtbot.waitSignal(two.answered):
            two.undo()
        assert nuclei.data[20, 30] == 0 and two.session.object.label == 1
        nuclei.data[:] = 7
        two.accept()
        assert "belongs to another object" in notes[-1] and two.session.object.label == 1

    def test_an_object_on_another_plane_is_gone_to(self, viewer, moved_on, qtbot) -> None:
        widget = moved_on
        assert not widget.objects.table.isColumnHidden(SLICE)
        assert cells(widget, SLICE) == ["[4, :, :]"]
        widget.show_object(1)
        assert viewer.dims.current_step[0] == 4 and widget.session.place.index == (1, 0, 0)
        with qtbot.waitSignal(widget.answered):
            widget.reopen_object(1)
        assert widget.session.place.index == (4, 0, 0) and len(widget.session.clicks) == 1

    def test_delete_takes_it_out_of_the_labels(self, two, viewer, qtbot) -> None:
        objects = viewer.layers["scan objects"]
        two.show_object(1)
        idle(qtbot, two)
        two.objects.delete_button.click()
        assert not (objects.data == 1).any() and (objects.data == 2).any()
        two.undo()
        assert (objects.data == 1).sum() == 113

    def test_nothing_chosen_is_said(self, started, notes) -> None:
        for verb in (started.delete_object, started.reopen_object, lambda: started.recolor_object(ask=True)):
            verb()
            assert "No object is chosen" in notes.pop()


class TestColour:
    def test_one_is_recoloured_and_the_others_stay_as_they_are(self, two, viewer, qtbot) -> None:
        objects = viewer.layers["scan objects"]
        plain = [np.array(objects.get_color(label)) for label in (1, 2)]
        two.recolor_object(1, "#ff0000")
        idle(qtbot, two)
        np.testing.assert_allclose(objects.get_color(1), (1, 0, 0, 1))
        np.testing.assert_allclose(objects.get_color(2), plain[1], atol=1e-6)
        swatch = two.objects.model.data(two.objects.model.index(0, LABEL), Qt.ItemDataRole.DecorationRole)
        assert swatch.name() == "#ff0000"
        assert objects.features["color"].tolist() == ["#ff0000", ""]
        two.undo()
        idle(qtbot, two)
        np.testing.assert_allclose(objects.get_color(1), plain[0], atol=1e-6)

    def test_the_dialog_does_not_block(self, two, qtbot) -> None:
        from qtpy.QtGui import QColor
        from qtpy.QtWidgets import QColorDialog

        two.show_object(2)
        two.recolor_object(ask=True)
        dialog = two.findChild(QColorDialog)
        dialog.colorSelected.emit(QColor("#00ff00"))
        dialog.close()
        assert two.session.document[2].color == "#00ff00"


class TestOverlap:
    def overlapping(self, widget: Any, click: Any) -> None:
        click(widget, 20, 30)
        widget.accept()
        click(widget, 20, 35)

    def test_take_them(self, started, viewer, click, qtbot) -> None:
        self.overlapping(started, click)
        started.rule.value = "overwrite"
        started.accept()
        objects = viewer.layers["scan objects"]
        assert (objects.data == 2).sum() == 113 > (objects.data == 1).sum()
        started.undo()
        assert (objects.data == 1).sum() == 113

    @pytest.mark.parametrize(("answer", "second"), [("Keep theirs", False), ("Take them", True), ("Cancel", None)])
    def test_ask_is_a_bar_in_the_widget(self, started, viewer, click, qtbot, answer, second) -> None:
        self.overlapping(started, click)
        started.rule.value = "ask"
        started.accept()
        objects = viewer.layers["scan objects"]
        assert started.overlap_bar.asking and "label 1" in started.overlap_bar.label.text()
        assert not (objects.data == 2).any()
        started.overlap_bar.buttons[answer].click()
        assert not started.overlap_bar.asking
        if second is None:
            assert started.session.object is not None
        else:
            assert ((objects.data == 2).sum() == 113) == second and (objects.data == 2).any()

    def test_ask_asks_nothing_where_nothing_is_taken(self, started, viewer, click) -> None:
        click(started, 20, 30)
        started.accept("ask")
        assert (viewer.layers["scan objects"].data == 1).sum() == 113

    @pytest.mark.parametrize("goes", ["new_object", "clear", "undo"])
    def test_the_question_goes_with_what_it_was_about(self, started, viewer, click, goes) -> None:
        self.overlapping(started, click)
        started.accept("ask")
        assert started.overlap_bar.asking
        getattr(started, goes)()
        assert not started.overlap_bar.asking

    def test_it_goes_with_the_document_too(self, started, click) -> None:
        self.overlapping(started, click)
        started.accept("ask")
        assert started.overlap_bar.asking
        started.session.workbook.replace(Document(), started.session.layers.insert, carry=False)
        assert not started.overlap_bar.asking


class TestSeed:
    def layer(self, viewer: Any, **options: Any) -> Any:
        data = np.zeros((60, 80), np.int32)
        data[10:20, 10:20] = 4
        layer = viewer.add_labels(data, name="cells", **options)
        layer.selected_label = 4
        return layer

    def test_a_label_of_another_layer_becomes_an_object(self, started, viewer, click, qtbot) -> None:
        cells_layer = self.layer(viewer)
        viewer.layers.selection.active = cells_layer
        started.seed_object()
        assert viewer.layers.selection.active == started.session.layers.clicks
        assert started.session.layers.shown_mask().sum() == 100
        answer = click(started, 30, 40)
        assert answer.question.seed.mask.area == 100
        assert answer.prediction.state[0] == ("mask", 100)  # the first click goes on from the mask
        started.target.value = None
        started.accept()
        assert viewer.layers["scan objects"].data[30, 40] == 1
        assert (cells_layer.data == 4).sum() == 100

    def test_a_label_of_the_target_is_refined_in_place(self, started, viewer, click, qtbot) -> None:
        cells_layer = self.layer(viewer)
        started.target.value = cells_layer
        started.seed_object(cells_layer, 4)
        click(started, 15, 15)
        started.accept()
        qtbot.waitUntil(lambda: started.session.object is None)
        assert (cells_layer.data == 4).sum() == 113 and set(np.unique(cells_layer.data)) == {0, 4}

    @pytest.mark.parametrize("large", [False, True])
    def test_a_label_of_a_pyramid_becomes_an_object(self, started, viewer, monkeypatch, notes, large) -> None:
        data = np.zeros((60, 80), np.int32)
        data[10:20, 10:21] = 4
        data.flags.writeable = False  # it is only read
        cells_layer = viewer.add_labels([data, data[::2, ::2]], multiscale=True, name="cells")
        if large:  # than is read at once
            monkeypatch.setattr("napari_ois.annotation.packed.STRIP", 400)
            monkeypatch.setattr("napari_ois.annotation.packed.LEAST_ROWS", 1)
        started.seed_object(cells_layer, 4)
        assert started.session.object.seed.mask.area == 110
        assert started.session.layers.shown_mask().sum() == 110
        started.seed_object(cells_layer, 9)
        assert "no label 9" in notes[-1]

    def test_a_label_that_is_an_object_is_reopened(self, two, viewer, qtbot) -> None:
        two.seed_object(viewer.layers["scan objects"], 2)
        assert two.session.object.number == 2 and len(two.session.document) == 2

    def test_what_cannot_seed_is_said(self, started, viewer, notes) -> None:
        started.seed_object()
        assert "no label to begin from" in notes[-1]
        beside = self.layer(viewer, translate=(3, 3))
        started.seed_object(beside, 4)
        assert "does not lie on" in notes[-1]
        beside.translate = (0, 0)
        started.seed_object(beside, 9)
        assert "no label 9" in notes[-1]
        assert len(started.session.document) == 0
