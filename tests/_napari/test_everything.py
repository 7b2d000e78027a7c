"""Everything on a plane becomes candidates; those that are picked are objects like any other, and can be undone."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_ois._napari.everything_panel import ACCEPT, EverythingPanel

BLOCKS = ((5, 25, 5, 30), (5, 25, 45, 75), (35, 55, 10, 30), (40, 46, 15, 21))
"""Rows and columns; the last lies inside the one before."""


@pytest.fixture
def fake(fake: Any) -> Any:
    """A predictor that says of each prompt what bright part of the image it lies on."""

    class Seeing(fake):
        pause = 0.0
        image_shape = (60, 80)

        def answer_each(self, points: Any, view: Any) -> torch.Tensor:
            time.sleep(self.pause)
            logits = []
            for row, column in np.round(points).astype(int):
                brightness = self.image[row, column]
                parts = ndimage.label(self.image >= brightness)[0]
                part = parts == parts[row, column] if brightness > 0 else np.zeros(parts.shape, bool)
                logits.append(np.where(part, 2.0 + brightness, -9.0))
            return torch.from_numpy(np.array(logits, np.float32))

    return Seeing


@pytest.fixture
def opened(viewer: Any, make: Any, qtbot: Any) -> SimpleNamespace:
    image = np.zeros((60, 80), np.float32)
    for brightness, (top, bottom, left, right) in zip((1, 2, 1, 4), BLOCKS, strict=True):
        image[top:bottom, left:right] = brightness
    viewer.add_image(image, name="scan")
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    return SimpleNamespace(widget=widget, panel=widget.findChild(EverythingPanel), viewer=viewer, image=image)


@pytest.fixture
def found(opened: Any, qtbot: Any) -> SimpleNamespace:
    opened.widget.find_everything()
    assert opened.panel.running and not opened.panel.find_button.isEnabled()
    qtbot.waitUntil(lambda: not opened.panel.running)
    opened.layer = opened.viewer.layers["scan candidates"]
    return opened


def seen(found: Any) -> np.ndarray:
    return np.asarray(found.layer.data)


def objects(found: Any) -> np.ndarray:
    return found.viewer.layers["scan objects"].data


def test_candidates_lie_in_a_layer_of_their_own_and_in_the_list(found) -> None:
    values = seen(found)
    assert sorted(np.unique(values, return_counts=True)[1][1:]) == [36, 364, 500, 600]
    assert found.panel.table.rowCount() == 4
    assert found.panel.table.item(0, 3).text() == "36"  # the surest
    assert found.viewer.layers.selection.active == found.layer
    assert len(found.widget.session.document) == 0
    assert found.layer not in [layer for _, layer in found.widget._targets()]
    assert "4 candidates" in found.panel.status.text()


def test_a_click_on_one_begins_an_object_that_clicks_refine(found, click) -> None:
    found.panel.candidates.clicked.emit(found.panel.candidates.at(15, 15))
    session = found.widget.session
    assert session.object.seed.mask.area == 500
    assert session.layers.shown_mask().sum() == 500
    assert (seen(found)[5:25, 5:30] != 0).all()  # told later
    answer = click(found.widget, 15, 60)
    assert answer.question.seed.mask.area == 500
    found.widget.accept()
    assert objects(found).any()
    assert found.panel.table.rowCount() == 3


def test_one_is_accepted_straight_and_undo_brings_it_back(found, qtbot) -> None:
    found.panel.action.setCurrentText(ACCEPT)
    found.panel.table.cellDoubleClicked.emit(0, 0)
    assert (objects(found) != 0).sum() == 36
    qtbot.waitUntil(lambda: found.panel.table.rowCount() == 3)
    assert (seen(found) != 0).sum() == 1500
    obj = found.widget.session.document.objects[0]
    assert obj.accepted.score == pytest.approx(found.panel.candidates.found[0].score)
    found.widget.undo()
    qtbot.waitUntil(lambda: found.panel.table.rowCount() == 4)
    assert not objects(found).any()
    found.widget.redo()
    qtbot.waitUntil(lambda: found.panel.table.rowCount() == 3)


def test_all_are_accepted_in_one_step_and_the_smaller_one_gets_the_pixels(found, qtbot) -> None:
    found.widget.accept_candidates()
    labels = objects(found)
    assert sorted(np.unique(labels, return_counts=True)[1][1:]) == [36, 364, 500, 600]
    qtbot.waitUntil(lambda: found.panel.table.rowCount() == 0)
    assert not seen(found).any()
    assert found.panel.status.text().startswith("4 accepted")
    found.widget.undo()
    assert not labels.any() and len(found.widget.session.document) == 0
    qtbot.waitUntil(lambda: found.panel.table.rowCount() == 4)


def test_what_others_have_is_theirs_unless_it_is_to_be_overwritten(found, qtbot, click) -> None:
    labels = found.viewer.add_labels(np.zeros((60, 80), np.int32), name="mine")
    labels.data[5:25, 5:30] = 7
    labels.data[5:25, 45:50] = 7
    found.widget.target.value = labels
    found.widget.accept_candidates()
    qtbot.waitUntil(lambda: "accepted" in found.panel.status.text())
    assert "3 accepted; 1 had no pixel left" in found.panel.status.text()
    assert (labels.data == 7).sum() == 500 + 100
    found.widget.undo()
    assert set(np.unique(labels.data)) == {0, 7}
    found.widget.rule.value = "overwrite"
    found.widget.accept_candidates()
    assert not (labels.data == 7).any()


def test_labels_without_an_id_for_each_get_none_of_them(found, qtbot, notes) -> None:
    labels = found.viewer.add_labels(np.zeros((60, 80), np.uint8), name="mine")
    labels.data[0, 0] = 253
    found.widget.target.value = labels
    for times in (1, 2):  # the first waits until the labels are read
        found.widget.accept_candidates()
        qtbot.waitUntil(lambda times=times: len(notes) == times)
        assert "ids for 2 more objects, and 4 are to be accepted" in notes[-1]
    assert set(np.unique(labels.data)) == {0, 253} and len(found.widget.session.document) == 0
    labels.data[0, 0] = 251
    labels.data = labels.data.copy()
    found.widget.accept_candidates()
    qtbot.waitUntil(lambda: len(found.widget.session.document) == 4)


def test_limits_hide_what_is_less_sure(found) -> None:
    scores = sorted(each.score for each in found.panel.candidates.found)
    found.panel.score.setValue(round((scores[0] + scores[-1]) / 2, 2))
    shown = found.panel.table.rowCount()
    assert 0 < shown < 4
    assert len(np.unique(seen(found))) == shown + 1
    found.widget.accept_candidates()
    assert len(np.unique(objects(found))) == shown + 1


def test_a_row_shows_its_candidate_alone(found) -> None:
    everything, index = seen(found).copy(), found.panel.rows[1]
    candidates = found.panel.candidates
    found.panel.table.selectRow(1)
    np.testing.assert_array_equal(seen(found) == index + 1, candidates.masks[index].unpack())
    assert set(np.unique(seen(found))) == {0, index + 1}
    found.panel.table.clearSelection()
    np.testing.assert_array_equal(seen(found), everything)


def mouse(layer: Any, *steps: tuple[str, tuple[float, ...], tuple[int, int]]) -> None:
    event = SimpleNamespace(type="mouse_press", position=steps[0][1], pos=steps[0][2], button=1)
    generator = layer.mouse_drag_callbacks[-1](layer, event)
    next(generator, None)
    for kind, position, pos in steps[1:]:
        event.type, event.position, event.pos = kind, position, pos
        next(generator, None)


def test_a_click_on_the_layer_picks_and_a_drag_does_not(found, qtbot) -> None:
    layer = found.layer
    mouse(layer, ("mouse_press", (15, 60), (0, 0)), ("mouse_move", (18, 66), (90, 9)),
          ("mouse_release", (18, 66), (90, 9)))  # fmt: skip
    mouse(layer, ("mouse_press", (58, 78), (0, 0)), ("mouse_release", (58, 78), (0, 0)))  # on nothing
    qtbot.wait(20)
    assert len(found.widget.session.document) == 0
    mouse(layer, ("mouse_press", (15, 60), (0, 0)), ("mouse_release", (15, 60), (1, 0)))
    qtbot.waitUntil(lambda: len(found.widget.session.document) == 1)
    assert found.widget.session.object.seed.mask.area == 600
    found.widget.pick_candidates()
    assert found.viewer.layers.selection.active == layer


def test_cancelled_it_keeps_nothing(opened, qtbot, fake) -> None:
    fake.pause = 0.02
    opened.widget.find_everything()
    qtbot.waitUntil(lambda: opened.panel.progress.value() > 0)
    opened.widget.cancel_everything()
    qtbot.waitUntil(lambda: not opened.panel.running)
    assert opened.panel.candidates is None
    assert "scan candidates" not in opened.viewer.layers
    assert opened.panel.status.text() == "Nothing was kept."
    opened.widget.find_everything()
    qtbot.waitUntil(lambda: opened.panel.candidates is not None)


def test_a_click_is_answered_while_it_looks(opened, qtbot, fake, click) -> None:
    fake.pause = 0.02
    opened.widget.find_everything()
    click(opened.widget, 10, 10)
    assert opened.panel.running


def test_with_the_session_the_candidates_go(found, qtbot) -> None:
    with qtbot.waitSignal(found.widget.embedded):
        found.widget.start()
    assert "scan candidates" not in found.viewer.layers
    assert found.panel.table.rowCount() == 0
    found.widget.shutdown()
    assert not found.panel.find_button.isEnabled()


def test_without_candidates_or_a_session_it_says_what_to_do(started, make, notes) -> None:
    started.accept_candidates()
    assert "Find candidates" in notes[-1]
    started.shutdown()
    started.find_everything()
    assert "press Start" in notes[-1]


def test_on_a_plane_of_a_stack_they_are_objects_of_that_plane(viewer, make, qtbot) -> None:
    stack = np.zeros((5, 60, 80), np.float32)
    stack[3, 5:25, 5:30] = 1
    viewer.add_image(stack, name="scan", scale=(4, 1, 1))
    viewer.dims.set_current_step(0, 3)
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    widget.find_everything()
    panel = widget.findChild(EverythingPanel)
    qtbot.waitUntil(lambda: panel.candidates is not None)
    layer = viewer.layers["scan candidates"]
    assert layer.data.shape == (1, 60, 80) and layer.translate[0] == 12
    widget.accept_candidates()
    labels = viewer.layers["scan objects"].data
    assert (labels[3] != 0).sum() == 500 == (labels != 0).sum()
