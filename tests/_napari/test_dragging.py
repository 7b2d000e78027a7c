"""A click that is dragged shows its mask on the way; the drag is one step, and ends at the mask of where it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def shown(widget: Any) -> np.ndarray:
    return widget.session.layers.shown_mask()


@pytest.fixture
def held(started, click, mouse, qtbot) -> Any:
    """A click at 20, 30 that the mouse holds, in the mode that moves clicks."""
    click(started, 20, 30)
    layer = started.session.layers.clicks
    layer.mode = "select"
    layer.selected_data = {0}
    mouse.press(layer, (20, 30))
    return layer


def test_the_mask_follows_the_mouse_and_the_drag_is_one_step(started, held, mouse, fake, qtbot) -> None:
    history = started.session.document.history
    for column in (34, 40, 46):
        mouse.move(held, (20, column))
        qtbot.waitUntil(lambda column=column: bool(shown(started)[20, column + 6]))
        assert not shown(started)[20, column - 7]
        assert len(history.done) == 1  # nothing is recorded yet
    with qtbot.waitSignal(started.answered) as heard:  # told again, as the object's own
        mouse.release(held, (20, 46))
    assert heard.args[0].clicks.points.tolist() == [[20, 46]]
    assert [command.title for command in history.done] == ["start object 1", "move click of object 1"]
    started.undo()
    qtbot.waitUntil(lambda: bool(shown(started)[20, 30]) and not shown(started)[20, 46])
    assert not started.session.document.history.undone[0].title.startswith("start")


def test_a_drag_back_to_where_it_began_changes_nothing(started, held, mouse, qtbot) -> None:
    before = shown(started).copy()
    mouse.move(held, (20, 50))
    qtbot.waitUntil(lambda: bool(shown(started)[20, 56]))
    mouse.move(held, (20, 30))
    mouse.release(held, (20, 30))
    qtbot.waitUntil(lambda: np.array_equal(shown(started), before))
    assert len(started.session.document.history.done) == 1


def test_accept_in_the_middle_of_a_drag_takes_the_mask_of_the_recorded_clicks(started, held, mouse, qtbot) -> None:
    before = shown(started).copy()
    mouse.move(held, (20, 50))
    qtbot.waitUntil(lambda: bool(shown(started)[20, 56]))
    started.accept()
    document = started.session.document
    qtbot.waitUntil(lambda: document[1].accepted is not None)
    np.testing.assert_array_equal(document[1].accepted.written.unpack(), before)
    mouse.release(held, (20, 50))


def test_a_fast_drag_is_answered_as_fast_as_it_can_be_and_ends_right(started, held, mouse, fake, qtbot) -> None:
    fake.delay = 0.02
    places = np.linspace(30, 60, 60)
    worker = started._holder.worker
    calls = worker._engine._predictor.calls
    for column in places:
        mouse.move(held, (20, column))
        qtbot.wait(1)
    mouse.release(held, (20, 60))
    qtbot.waitUntil(lambda: not worker.busy and bool(shown(started)[20, 66]))
    assert 2 <= worker._engine._predictor.calls - calls < len(places)


def test_a_session_that_ends_in_a_drag_hears_no_more(started, held, mouse, viewer, qtbot) -> None:
    mouse.move(held, (20, 40))
    viewer.layers.remove(held)
    qtbot.waitUntil(lambda: started.session is None)
    mouse.move(held, (20, 50))
    mouse.release(held, (20, 50))
    qtbot.wait(30)
    assert started.session is None
