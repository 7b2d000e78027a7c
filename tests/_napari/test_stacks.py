"""An object goes through the stack beside the viewer; corrections settle slices; one step writes it all."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import label

from napari_ois._napari.stack_panel import StackPanel
from napari_ois._napari.succession import carry_over
from napari_ois.annotation import ArrayCanvas, Clicks, Document, PlaneKey, StackSlice, recover

SLICES, START = 9, 4


def truth(z: int) -> np.ndarray:
    """A disk that wanders to the right; it is not in the last slice."""
    rows, columns = np.indices((60, 80))
    inside = (rows - 30) ** 2 + (columns - 15 - 2 * z) ** 2 <= 64
    return inside & (z < SLICES - 1)


class Parts:
    """The bright part that the first positive click is on, without a disk around each negative click."""

    weak: tuple[float, ...] = ()  # mean brightness of planes that it is not sure of
    read: list[float]  # mean brightness of the planes that it was given

    def set_image(self, image: Any) -> None:
        super().set_image(image)
        type(self).read = [*self.read, float(np.asarray(image).mean())]

    def predict(self, points: Any, labels: Any, previous: Any = None, *, order_strength: float = 1.0) -> Any:
        answer = super().predict(points, labels, previous, order_strength=order_strength)
        places = np.round(np.asarray(points)).astype(int)
        first = places[np.flatnonzero(labels)[0]]
        found, _ = label(self.image > 0.5)
        mask = (found == found[tuple(first)]) & (found > 0)
        rows, columns = np.indices(mask.shape)
        for (row, column), positive in zip(places, labels, strict=True):
            if not positive:
                mask &= (rows - row) ** 2 + (columns - column) ** 2 > 9
        score = 0.6 if any(abs(self.image.mean() - mean) < 1e-9 for mean in self.weak) else 0.9
        return SimpleNamespace(**{**vars(answer), "mask": mask, "probability": mask * 0.9, "score": score})


@pytest.fixture
def image() -> np.ndarray:
    return np.stack([truth(z).astype(float) for z in range(SLICES)])


@pytest.fixture
def stack(viewer: Any, make: Any, fake: Any, click: Any, qtbot: Any, image: Any) -> Any:
    """One click on the object in slice 4; the panel is :attr:`panel`."""
    viewer.add_image(image, name="scan", scale=(3, 1, 1))
    viewer.dims.set_current_step(0, START)
    factory = type("Fresh", (Parts, fake), {"read": []})
    widget = make(factory)
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    click(widget, 0, 30, 23)
    widget.factory = factory
    widget.panel = widget.findChild(StackPanel)
    return widget


def filled(widget: Any, qtbot: Any) -> Any:
    """Wait until nothing is to be filled."""
    qtbot.waitUntil(
        lambda: (
            not widget.worker.busy
            and not widget.stack_work.running
            and not widget.stack_work._timer.isActive()
            and not widget.stack_work._stale
        )
    )
    qtbot.wait(20)
    qtbot.waitUntil(lambda: not widget.worker.busy and not widget.stack_work.running)
    return widget.stack_work.stack


def shown(viewer: Any) -> np.ndarray | None:
    names = [layer.name for layer in viewer.layers]
    return viewer.layers["scan stack preview"].data[0] != 0 if "scan stack preview" in names else None


class TestPropagation:
    def test_forwards_and_backwards_to_where_it_ends(self, stack, viewer, qtbot) -> None:
        stack.propagate()
        found = filled(stack, qtbot)
        for z in range(SLICES):
            np.testing.assert_array_equal(found[z].mask, truth(z))
        assert found[SLICES - 1].stops and stack.panel.rows == [SLICES - 1]
        assert "slices 0 to 7, 1 settled" in stack.panel.status.text()

    def test_what_was_discarded_takes_no_more_clicks(self, stack, viewer, qtbot, notes) -> None:
        stack.propagate()
        filled(stack, qtbot)
        stack.discard_stack()
        viewer.dims.set_current_step(0, 2)
        stack.session.layers.clicks.add((2, 30, 21))
        qtbot.wait(20)
        assert "outside the plane" in notes[-1]
        assert [part.plane.index[0] for part in stack.session.document.objects] == [START]

    def test_work_that_has_ended_is_let_go_of(self, stack, qtbot) -> None:
        stack.propagate()
        filled(stack, qtbot)
        work = weakref.ref(stack.stack_work)
        stack.discard_stack()
        gc.collect()
        assert work() is None

    @pytest.mark.parametrize(
        ("direction", "slices", "expected"),
        [("forwards", None, [4, 5, 6, 7, 8]), ("backwards", None, [0, 1, 2, 3, 4]), ("both ways", 1, [3, 4, 5])],
    )
    def test_one_direction_and_so_far(self, stack, qtbot, direction, slices, expected) -> None:
        stack.propagate(direction, slices=slices)
        assert [one.index for one in filled(stack, qtbot).slices] == expected

    def test_the_slices_filled_are_shown_as_the_slider_moves(self, stack, viewer, qtbot) -> None:
        stack.propagate()
        filled(stack, qtbot)
        assert shown(viewer) is None  # on its own slice the object's preview is
        for z in (2, 6, 3):
            viewer.dims.set_current_step(0, z)
            np.testing.assert_array_equal(shown(viewer), truth(z))
            layer = viewer.layers["scan stack preview"]
            assert layer.data_to_world((0, 0, 0))[0] == 3 * z and layer.data.shape == (1, 60, 80)
        viewer.dims.set_current_step(0, START)
        assert not shown(viewer).any()
        assert viewer.layers["scan stack preview"] not in [layer for _, layer in stack._targets()]

    def test_each_plane_is_read_once_and_when_its_turn_comes(self, stack, qtbot, image) -> None:
        stack.factory.read = []
        stack.propagate("forwards", slices=2)
        filled(stack, qtbot)
        assert stack.factory.read == [pytest.approx(image[z].mean()) for z in (5, 6)]

    def test_clicks_are_answered_while_it_runs_and_it_can_be_cancelled(self, stack, qtbot) -> None:
        stack.factory.delay = 0.03
        stack.propagate()
        qtbot.waitUntil(lambda: len(stack.stack_work.stack.slices) >= 2)
        stack.cancel_propagation()
        count = len(stack.stack_work.stack.slices)
        assert not stack.panel.cancel_button.isEnabled()
        qtbot.wait(80)
        assert len(stack.stack_work.stack.slices) == count < SLICES
        stack.propagate()  # goes on where it was
        assert len(filled(stack, qtbot).slices) == SLICES

    def test_what_is_in_doubt_is_listed_and_gone_to(self, stack, viewer, qtbot, image) -> None:
        stack.factory.weak = (image[2].mean(),)
        image[2] += 0.01
        stack.factory.weak = (image[2].mean(),)
        stack.propagate()
        filled(stack, qtbot)
        assert stack.panel.rows == [8, 2]
        assert stack.panel.table.item(1, 2).text() == "its score is 0.60"
        stack.panel.table.cellClicked.emit(1, 0)
        assert viewer.dims.current_step[0] == 2

    def test_what_cannot_be_done_is_said(self, started, stack, notes) -> None:
        stack.settle_slice()
        assert "No object is propagated" in notes[-1]
        stack.propagate("between settled slices")
        assert "Only one slice is settled" in notes[-1]
        stack.new_object()
        stack.propagate()
        assert "No object is chosen" in notes[-1]


class TestCorrections:
    def test_a_click_on_a_slice_settles_it_and_fills_only_what_depends_on_it(self, stack, viewer, qtbot) -> None:
        stack.propagate()
        before = {one.index: one.mask for one in filled(stack, qtbot).slices}
        viewer.dims.set_current_step(0, 6)
        stack.set_polarity(False)
        with qtbot.waitSignal(stack.answered):
            stack.session.layers.clicks.add((2, 30, 21))  # two slices beyond the session's own
        found = filled(stack, qtbot)
        assert found.keys == (4, 6)
        assert stack.session.place == PlaneKey((1, 2), (6, 0, 0))
        assert not found[6].mask[30, 21] and found[6].mask.any()
        assert all(found[z].mask is before[z] for z in range(5))
        part = stack.session.object
        assert part.part.of == 1 and part.clicks.labels.tolist() == [1, 0]
        np.testing.assert_array_equal(part.seed.mask.unpack(), before[5])
        stack.undo()
        qtbot.waitUntil(lambda: stack.stack_work.stack.keys == (4,))
        filled(stack, qtbot)
        np.testing.assert_array_equal(stack.stack_work.stack[6].mask, truth(6))

    def test_further_clicks_there_go_on_correcting(self, stack, viewer, click, qtbot) -> None:
        stack.propagate()
        filled(stack, qtbot)
        viewer.dims.set_current_step(0, 6)
        with qtbot.waitSignal(stack.answered):
            stack.session.layers.clicks.add((2, 30, 28))
        filled(stack, qtbot)
        click(stack, 0, 30, 21, positive=False)
        assert not filled(stack, qtbot)[6].mask[30, 21]

    def test_a_click_of_another_object_is_none_of_its(self, stack, viewer, qtbot, notes) -> None:
        stack.propagate()
        filled(stack, qtbot)
        stack.new_object()
        viewer.dims.set_current_step(0, 6)
        stack.session.layers.clicks.add((6 - START, 30, 27))
        assert "outside the plane" in notes[-1]
        assert len(stack.session.document) == 1 and stack.stack_work.stack.keys == (START,)

    def test_agreeing_settles_without_a_click(self, stack, viewer, qtbot, notes) -> None:
        stack.propagate()
        filled(stack, qtbot)
        viewer.dims.set_current_step(0, 6)
        with qtbot.waitSignal(stack.answered):
            stack.settle_slice()
        assert filled(stack, qtbot).keys == (4, 6)
        stack.settle_slice()
        assert "settled already" in notes[-1]
        stack.propagate("between settled slices")
        assert [one.index for one in filled(stack, qtbot).slices] == [4, 5, 6]

    def test_slices_of_one_direction_stay_when_the_other_is_filled(self, stack, qtbot) -> None:
        stack.propagate("forwards")
        filled(stack, qtbot)
        stack.propagate("backwards")
        assert [one.index for one in filled(stack, qtbot).slices] == list(range(SLICES))

    def test_a_slice_that_is_corrected_to_nothing_is_not_written(self, stack, viewer, click, qtbot) -> None:
        stack.propagate()
        filled(stack, qtbot)
        viewer.dims.set_current_step(0, 6)
        stack.set_polarity(False)
        with qtbot.waitSignal(stack.answered):
            stack.session.layers.clicks.add((2, 30, 27))
        filled(stack, qtbot)
        for column in (21, 24, 30, 33):
            for row in (24, 27, 30, 33, 36):
                click(stack, 0, row, column, positive=False)
        for row in (24, 27, 33, 36):
            click(stack, 0, row, 27, positive=False)
        qtbot.waitUntil(lambda: not stack.session.waiting)
        assert not stack.session.layers.shown_mask().any()
        filled(stack, qtbot)
        stack.accept_stack()
        assert not viewer.layers["scan objects"].data[6].any()
        assert viewer.layers["scan objects"].data[4].any()

    def test_a_click_beside_the_image_on_another_slice_is_taken_back(self, stack, viewer, qtbot, notes) -> None:
        stack.propagate()
        filled(stack, qtbot)
        viewer.dims.set_current_step(0, 6)
        stack.session.layers.clicks.add((2, 30, 200))
        qtbot.wait(20)
        assert "outside the plane" in notes[-1]
        assert [part.plane.index[0] for part in stack.session.document.objects] == [START]

    def test_the_end_can_be_said(self, stack, viewer, qtbot, notes) -> None:
        stack.propagate()
        filled(stack, qtbot)
        viewer.dims.set_current_step(0, 6)
        stack.end_stack()
        assert filled(stack, qtbot).slices[-1].index == 5
        stack.propagate()
        assert filled(stack, qtbot).slices[-1].index == 5  # it was said, and holds
        viewer.dims.set_current_step(0, START)
        stack.end_stack()
        assert "only beyond" in notes[-1]

    def test_of_a_deleted_object_nothing_is_left_to_correct(self, stack, viewer, qtbot, notes) -> None:
        stack.propagate()
        filled(stack, qtbot)
        stack.delete_object(1)
        qtbot.waitUntil(lambda: not stack.stack_work.stack.slices)
        viewer.dims.set_current_step(0, 6)
        stack.session.layers.clicks.add((2, 30, 28))
        qtbot.wait(20)
        assert "outside the plane" in notes[-1]
        stack.accept_stack()
        assert "no object" in notes[-1].lower()
        stack.undo()  # and it is there again
        assert filled(stack, qtbot)[6].mask.any()

    def test_a_click_elsewhere_in_the_image_is_still_taken_back(self, stack, viewer, qtbot, notes) -> None:
        viewer.dims.set_current_step(0, 6)
        stack.session.layers.clicks.add((2, 30, 21))
        qtbot.wait(20)
        assert "outside the plane" in notes[-1] and len(stack.session.clicks) == 1


class TestAccept:
    def test_one_id_one_step_and_napari_s_own_undo(self, stack, viewer, qtbot) -> None:
        stack.propagate()
        filled(stack, qtbot)
        stack.accept_stack()
        labels = viewer.layers["scan objects"]
        for z in range(SLICES):
            np.testing.assert_array_equal(labels.data[z] == 1, truth(z))
        qtbot.waitUntil(lambda: stack.objects.model.rows[0].state == "accepted")
        (row,) = stack.objects.model.rows
        assert (row.plane, row.clicks, row.state, row.area) == ("8 slices", 1, "accepted", (labels.data == 1).sum())
        assert labels.features["area_px"].tolist() == [(labels.data == 1).sum()]
        assert stack.stack_work is None and shown(viewer) is None
        labels.undo()  # Ctrl-Z in the layer
        assert not labels.data.any()
        labels.redo()
        with qtbot.waitSignal(stack.answered):
            stack.undo()
        assert not labels.data.any()
        assert len(stack.session.document) == 1 and len(stack.session.clicks) == 1
        stack.redo()
        assert (labels.data == 1).sum() == sum(truth(z).sum() for z in range(SLICES))

    def test_others_keep_their_pixels_or_are_asked_about(self, stack, viewer, qtbot) -> None:
        labels = viewer.add_labels(np.zeros((SLICES, 60, 80), np.int32), name="mine", scale=(3, 1, 1))
        labels.data[2, 30] = 5
        stack.target.value = labels
        stack.propagate()
        filled(stack, qtbot)
        stack.accept_stack("ask")
        qtbot.waitUntil(lambda: stack.overlap_bar.asking)
        assert "17 pixels" in stack.overlap_bar.label.text() and not (labels.data == 6).any()
        stack.overlap_bar.buttons["Keep theirs"].click()
        assert (labels.data[2, 30] == 5).all() and (labels.data == 6).any()

    def test_an_accepted_object_goes_on_through_the_stack_with_its_id(self, stack, viewer, qtbot) -> None:
        stack.accept()
        labels = viewer.layers["scan objects"]
        stack.target.value = labels
        stack.show_object(1)
        stack.propagate("forwards", slices=1)
        filled(stack, qtbot)
        stack.accept_stack()
        assert [int((labels.data[z] == 1).sum()) for z in (3, 4, 5, 6)] == [0, truth(4).sum(), truth(5).sum(), 0]
        stack.delete_object(1)
        assert not labels.data.any()

    def test_it_is_not_split_between_layers(self, stack, viewer, qtbot, notes) -> None:
        labels = viewer.add_labels(np.zeros((SLICES, 60, 80), np.int32), name="mine", scale=(3, 1, 1))
        labels.data[:, 0, 0] = 1
        stack.accept()
        stack.show_object(1)
        stack.propagate("forwards", slices=1)
        filled(stack, qtbot)
        for target in (labels, None):
            stack.target.value = target
            stack.accept_stack()
            assert 'in "scan objects" on other slices' in notes.pop()
        assert len([layer for layer in viewer.layers if layer.name.startswith("scan objects")]) == 1
        with qtbot.waitSignal(stack.answered):
            stack.reopen_object(1)
        filled(stack, qtbot)
        stack.target.value = labels
        stack.accept_stack()
        qtbot.waitUntil(lambda: stack.stack_work is None)
        assert [int((labels.data[z] == 2).sum()) for z in (4, 5)] == [truth(4).sum(), truth(5).sum()]
        assert (labels.data == 1).sum() == SLICES

    def test_one_that_waits_for_the_labels_is_not_another_s(self, stack, viewer, click, qtbot, monkeypatch) -> None:
        jobs: list[Any] = []
        monkeypatch.setattr(stack.session.workbook.canvas, "_aside", lambda *errand: jobs.append(errand))
        labels = viewer.add_labels(np.zeros((SLICES, 60, 80), np.int32), name="mine", scale=(3, 1, 1))
        stack.target.value = labels
        stack.propagate("forwards", slices=1)
        filled(stack, qtbot)
        stack.accept_stack()
        assert "are known" in stack.status.text()
        stack.discard_stack()
        stack.new_object()
        click(stack, 0, 30, 24)
        stack.propagate("forwards", slices=1)
        filled(stack, qtbot)
        (job, done, *_), *_ = jobs
        done(job())
        assert not labels.data.any() and stack.stack_work is not None

    def test_a_slice_of_it_is_reopened_and_propagated_anew(self, stack, viewer, click, qtbot) -> None:
        stack.propagate()
        filled(stack, qtbot)
        stack.accept_stack()
        labels = viewer.layers["scan objects"]
        part = stack.session.document.with_label(1, "scan objects", PlaneKey((1, 2), (6, 0, 0)))
        with qtbot.waitSignal(stack.answered):
            stack.reopen_object(part.number)
        click(stack, 0, 30, 21, positive=False)
        stack.propagate()
        assert filled(stack, qtbot).keys == (4, 6)
        stack.accept_stack()
        here, place = viewer.dims.current_step, stack.session.place
        qtbot.wait(50)
        assert viewer.dims.current_step == here and stack.session.place == place  # the view stays where it is
        assert labels.data[6, 30, 21] == 0 and labels.data[6, 30, 28] == 1
        assert len({obj.whole for obj in stack.session.document.objects}) == 1

    @pytest.mark.parametrize("how", ["button", "row"])
    def test_the_slice_that_is_seen_is_reopened(self, stack, viewer, qtbot, how) -> None:
        stack.propagate()
        filled(stack, qtbot)
        stack.accept_stack()
        labels = viewer.layers["scan objects"]
        qtbot.waitUntil(lambda: stack.objects.model.rows[0].state == "accepted")
        viewer.dims.set_current_step(0, 6)
        stack.show_object(1)
        qtbot.waitUntil(stack.objects.reopen_button.isEnabled)
        with qtbot.waitSignal(stack.answered):
            if how == "button":
                stack.objects.reopen_button.click()
            else:
                stack.objects.reopened.emit(stack.objects.model.rows[0].number)
        assert not labels.data[6].any() and labels.data[START].any()
        assert stack.session.place.index[0] == 6 == viewer.dims.current_step[0]

    def test_where_it_is_not_on_that_slice_the_chosen_one_is(self, stack, viewer, qtbot) -> None:
        stack.propagate("forwards", slices=1)
        filled(stack, qtbot)
        stack.accept_stack()
        viewer.dims.set_current_step(0, 1)
        stack.show_object(1)
        stack.reopen_object()
        assert [one.any() for one in viewer.layers["scan objects"].data[START : START + 2]] == [False, True]

    def test_not_while_it_runs(self, stack, qtbot, notes) -> None:
        stack.factory.delay = 0.03
        stack.propagate()
        stack.accept_stack()
        assert "still being filled" in notes[-1]


class TestLife:
    def test_a_kill_loses_no_correction_and_no_stack(self, stack, viewer, journals, qtbot) -> None:
        qtbot.waitUntil(lambda: bool(list(journals.glob("*.jsonl"))))
        stack.propagate()
        filled(stack, qtbot)
        viewer.dims.set_current_step(0, 6)
        stack.set_polarity(False)
        with qtbot.waitSignal(stack.answered):
            stack.session.layers.clicks.add((2, 30, 21))
        filled(stack, qtbot)
        (journal,) = journals.glob("*.jsonl")
        killed = Document()
        recover(journal, killed)
        assert killed.objects == stack.session.document.objects and len(killed) == 2
        stack.accept_stack()
        killed = Document()
        recover(journal, killed)
        assert killed.objects == stack.session.document.objects and len(killed) == 8

    def test_corrections_of_another_day_are_answered_again(self, stack, viewer, qtbot) -> None:
        stack.propagate()
        filled(stack, qtbot)
        viewer.dims.set_current_step(0, 6)
        stack.set_polarity(False)
        with qtbot.waitSignal(stack.answered):
            stack.session.layers.clicks.add((2, 30, 21))
        first = {one.index: one.mask for one in filled(stack, qtbot).slices}
        stack.discard_stack()  # only clicks are left, as after a crash
        stack.propagate()
        again = filled(stack, qtbot)
        assert again.keys == (4, 6)
        assert all(np.array_equal(again[z].mask, first[z]) for z in range(SLICES))

    def test_it_ends_with_the_image_and_with_the_widget(self, stack, viewer, qtbot) -> None:
        stack.factory.delay = 0.03
        stack.propagate()
        qtbot.waitUntil(lambda: shown(viewer) is not None or len(stack.stack_work.stack.slices) > 2)
        viewer.layers.remove(viewer.layers["scan"])
        qtbot.waitUntil(lambda: stack.session is None and stack.stack_work is None)
        assert shown(viewer) is None
        assert not stack.panel.propagate_button.isEnabled()

    def test_starting_again_goes_on_with_it(self, stack, viewer, qtbot) -> None:
        stack.propagate()
        filled(stack, qtbot)
        viewer.dims.set_current_step(0, 2)
        with qtbot.waitSignal(stack.embedded):
            stack.start()
        qtbot.wait(20)
        assert stack.stack_work is not None
        np.testing.assert_array_equal(shown(viewer), truth(2))

    def test_it_goes_on_with_a_model_that_was_loaded_anew(self, stack, qtbot) -> None:
        stack.propagate("forwards", slices=1)
        filled(stack, qtbot)
        stack.worker.close()
        stack._holder.worker = None  # as after another precision
        with qtbot.waitSignal(stack.answered):
            stack.start()
            stack.show_object(1)
        stack.propagate("forwards", slices=3)
        assert [one.index for one in filled(stack, qtbot).slices] == [4, 5, 6, 7]

    def test_an_image_without_slices_is_refused(self, started, click, notes) -> None:
        click(started, 20, 30)
        started.propagate()
        assert "three axes" in notes[-1]


def test_a_stack_is_carried_over_as_one_object_whichever_slice_was_accepted_last() -> None:
    def disk(row: int, column: int, radius: int) -> np.ndarray:
        rows, columns = np.indices((24, 30))
        return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2

    def plane(z: int) -> PlaneKey:
        return PlaneKey((1, 2), (z, 0, 0))

    shape = (4, 24, 30)
    document = Document(ArrayCanvas(np.zeros(shape, np.int32)))
    root = document.start(plane(1), clicks=Clicks().added(10, 12)).number
    slices = [StackSlice(plane(z), disk(10, 12, 4), Clicks().added(10, 12), None, 0.9) for z in (1, 2, 3)]
    document.accept_stack(root, slices)
    document.reopen(root)
    document.accept(root, disk(10, 13, 4))  # its turn is the last
    other = Document(ArrayCanvas(np.zeros(shape, np.int32)))
    assert carry_over(document.objects, other) == 0
    assert len({obj.whole for obj in other.objects}) == 1 and {obj.label for obj in other.objects} == {1}
