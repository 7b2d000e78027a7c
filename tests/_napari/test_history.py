"""Undo and redo go back and forth through everything, across objects, accepts and planes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_ois._napari import settings


def shown(widget: Any) -> np.ndarray:
    return widget.session.layers.shown_mask()


def idle(qtbot: Any, widget: Any) -> None:
    """Wait until the screen shows what the document says."""
    qtbot.waitUntil(lambda: not widget._holder.worker.busy)
    qtbot.wait(20)


def test_each_finished_change_is_one_step_and_says_what_it_is(started, click, qtbot) -> None:
    history = started.session.document.history
    assert not started.undo_button.isEnabled()
    click(started, 20, 30)
    click(started, 40, 50, positive=False)
    with qtbot.waitSignal(started.answered):
        started.session.layers.clicks.data = np.array([[21, 31], [40, 50]])
    assert [command.title for command in history.done] == [
        "start object 1",
        "add negative click to object 1",
        "move click of object 1",
    ]
    assert "Undo move click of object 1" in started.undo_button.toolTip()
    assert settings.KEY_UNDO in started.undo_button.toolTip()
    started.undo()
    assert "Redo move click of object 1" in started.redo_button.toolTip()
    assert started.session.clicks.points.tolist() == [[20, 30], [40, 50]]
    assert started.session.clicks.labels.tolist() == [1, 0]  # and the polarities with them


def test_across_objects_and_accepts_to_the_beginning_and_forth(started, viewer, click, qtbot) -> None:
    click(started, 20, 30)
    started.accept()
    objects = viewer.layers["scan objects"]
    click(started, 40, 50)
    click(started, 41, 57)
    started.accept()
    finished, highest = objects.data.copy(), int(objects.data.max())
    states = [finished]
    for _ in range(5):
        started.undo()
        idle(qtbot, started)
        states.append(objects.data.copy())
    assert not started.undo_button.isEnabled()
    assert not objects.data.any() and not shown(started).any()
    assert len(started.session.document) == 0
    for expected in reversed(states[:-1]):
        started.redo()
        idle(qtbot, started)
        np.testing.assert_array_equal(objects.data, expected)
    assert highest == 2 and len(started.session.clicks) == 0


def test_an_accept_undone_brings_clicks_and_mask_back(started, viewer, click, qtbot) -> None:
    click(started, 20, 30)
    mask = shown(started).copy()
    started.accept()
    started.undo()
    assert started.session.clicks.points.tolist() == [[20, 30]]
    idle(qtbot, started)
    np.testing.assert_array_equal(shown(started), mask)
    assert not viewer.layers["scan objects"].data.any()


def test_a_mask_is_that_of_its_clicks_whatever_the_way(started, fake, click, qtbot) -> None:
    click(started, 20, 30)
    expected = shown(started).copy()
    click(started, 20, 36, positive=False)
    started.undo()
    idle(qtbot, started)
    np.testing.assert_array_equal(shown(started), expected)


def test_napari_s_own_undo_takes_back_a_stroke_and_no_mask(started, click, qtbot) -> None:
    click(started, 20, 30)
    click(started, 40, 50)
    preview, mask = started.session.layers.preview, shown(started)
    preview.data_setitem((np.array([2, 2]), np.array([3, 4])), 1)
    idle(qtbot, started)
    assert started.session.object.edits is not None
    for _ in range(3):  # the stroke; there is no more to undo
        preview.undo()
        idle(qtbot, started)
        np.testing.assert_array_equal(shown(started), mask)
    started.session.keep_strokes()
    np.testing.assert_array_equal(shown(started), mask)


def test_strokes_are_steps_and_stay_when_clicks_change(started, click, qtbot) -> None:
    click(started, 20, 30)
    preview = started.session.layers.preview
    preview.data_setitem((np.array([50, 50]), np.array([70, 71])), 1)
    qtbot.waitUntil(lambda: "paint on" in started.undo_button.toolTip())
    click(started, 22, 30)
    assert shown(started)[50, 70] and shown(started)[22, 36]
    preview.data_setitem((np.array([20]), np.array([30])), 0)
    qtbot.waitUntil(lambda: "paint on" in started.undo_button.toolTip())
    click(started, 24, 30)
    assert not shown(started)[20, 30]
    for _ in range(4):
        started.undo()
    idle(qtbot, started)
    assert not shown(started)[50, 70] and shown(started)[20, 30]
    started.redo()
    idle(qtbot, started)
    assert shown(started)[50, 70]


def test_an_object_can_be_painted_without_a_click(started, viewer, qtbot) -> None:
    started.session.layers.preview.data_setitem((np.array([5, 5]), np.array([6, 7])), 1)
    qtbot.waitUntil(lambda: len(started.session.document) == 1)
    started.accept()
    assert np.argwhere(viewer.layers["scan objects"].data == 1).tolist() == [[5, 6], [5, 7]]
    started.undo()
    started.undo()
    assert len(started.session.document) == 0 and not shown(started).any()


def test_clear_is_a_step_too(started, click, qtbot) -> None:
    click(started, 20, 30)
    click(started, 24, 30)
    started.clear()
    assert not shown(started).any() and len(started.session.clicks) == 0
    started.undo()
    idle(qtbot, started)
    assert shown(started)[20, 30] and len(started.session.clicks) == 2


def test_the_strength_is_part_of_the_object(started, click, qtbot) -> None:
    click(started, 20, 30)
    small = shown(started).sum()
    with qtbot.waitSignal(started.answered) as heard:
        started.session.adjust(order_strength=2.0)
    assert heard.args[0].question.strength == 2.0
    assert shown(started).sum() > 3 * small
    started.undo()
    idle(qtbot, started)
    assert shown(started).sum() == small


def test_starting_again_goes_on_with_the_same_document(started, viewer, click, qtbot) -> None:
    click(started, 20, 30)
    started.accept()
    click(started, 40, 50)
    with qtbot.waitSignal(started.answered):
        started.start()
    assert started.session.clicks.points.tolist() == [[40, 50]] and shown(started)[40, 50]
    assert [layer.name for layer in viewer.layers].count("scan clicks") == 1
    for _ in range(3):
        started.undo()
    assert not viewer.layers["scan objects"].data.any()


def test_undo_goes_to_the_plane_of_its_object(viewer, moved_on, qtbot) -> None:
    widget = moved_on
    with qtbot.waitSignal(widget.answered):
        widget.undo()
    assert viewer.dims.current_step[0] == 4
    assert widget.session.place.index == (4, 0, 0)
    assert shown(widget)[20, 30]


@pytest.mark.parametrize("rule", ["keep", "overwrite"])
def test_a_failed_click_is_said_and_the_next_one_asks_again(started, fake, click, qtbot, notes, rule) -> None:
    def fail(self: Any, *_: Any, **__: Any) -> None:
        raise ValueError("no")

    right, fake.predict = fake.predict, fail
    with qtbot.waitSignal(started.failed):
        started.session.layers.clicks.add((20, 30))
    fake.predict = right
    click(started, 21, 30)
    started.session.accept(None, rule)
    assert started.target.value.data[20, 30] == 1
