"""A replay gives what a script gives that plays the same clicks, however the user came to them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_ois.annotation import Clicks, PackedMask, Replay, Seed
from napari_ois.errors import InputError


class Diary:
    """A predictor whose state is its whole history, so that any other order of calls shows."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, points: Any, labels: Any, previous: Any = None) -> SimpleNamespace:
        self.calls += 1
        state = (previous, tuple(map(tuple, points)), tuple(labels))
        return SimpleNamespace(state=state)


def script(clicks: Clicks) -> Any:
    predictor, previous, last = Diary(), None, None
    for count in range(1, len(clicks) + 1):
        part = clicks.first(count)
        if part.has_positive:
            last = predictor.predict(part.points, part.labels, previous=previous)
            previous = last.state
    return last.state


def test_adding_costs_one_prediction_a_click() -> None:
    predictor = Diary()
    replay = Replay(predictor)
    clicks = Clicks()
    for number in range(4):
        clicks = clicks.added(number, number, positive=number != 1)
        assert replay.answer(clicks).state == script(clicks)
    assert predictor.calls == 4


@pytest.mark.parametrize("change", ["move first", "move last", "delete last", "delete middle", "same"])
def test_any_change_gives_the_script_s_answer(change: str) -> None:
    predictor = Diary()
    replay = Replay(predictor)
    clicks = Clicks().added(0, 0).added(1, 1, positive=False).added(2, 2).added(3, 3)
    replay.answer(clicks)
    changed, calls = {
        "move first": (clicks.moved(0, 9, 9), 4),
        "move last": (clicks.moved(3, 9, 9), 1),
        "delete last": (clicks.removed(), 1),
        "delete middle": (clicks.removed(1), 2),
        "same": (clicks, 0),
    }[change]
    predictor.calls = 0
    assert replay.answer(changed).state == script(changed)
    assert predictor.calls == calls


def test_negative_clicks_wait_for_the_first_positive_one() -> None:
    predictor = Diary()
    replay = Replay(predictor)
    clicks = Clicks().added(0, 0, positive=False)
    assert replay.answer(clicks) is None
    clicks = clicks.added(1, 1)
    assert replay.answer(clicks).state == script(clicks)
    assert predictor.calls == 1


def test_an_interrupted_play_gives_nothing_and_loses_nothing() -> None:
    predictor = Diary()
    replay = Replay(predictor)
    clicks = Clicks().added(0, 0).added(1, 1).added(2, 2)
    assert replay.answer(clicks, lambda: predictor.calls >= 2) is None
    assert replay.answer(clicks.first(2)).state == script(clicks.first(2))
    assert replay.answer(clicks).state == script(clicks)
    assert predictor.calls == 3


def test_a_shorter_list_after_an_interruption_is_played_again() -> None:
    predictor = Diary()
    replay = Replay(predictor)
    clicks = Clicks().added(0, 0).added(1, 1).added(2, 2)
    replay.answer(clicks)
    assert replay.answer(clicks.first(2).added(5, 5), lambda: True) is None
    assert replay.answer(clicks.first(2)).state == script(clicks.first(2))


class Seedable(Diary):
    """Can go on from a mask: the state is then the mask's pixels."""

    def state_from_mask(self, mask: Any) -> Any:
        return ("mask", mask.sum())


def test_the_first_click_on_a_seeded_object_goes_on_from_the_seed() -> None:
    predictor = Seedable()
    replay = Replay(predictor)
    seed, other = Seed(PackedMask.pack(np.eye(4))), Seed(PackedMask.pack(np.ones((4, 4))))
    clicks = Clicks().added(0, 0)
    first = replay.answer(clicks, seed=seed)
    assert first.state[0] == ("mask", 4)
    assert replay.answer(clicks.added(1, 1), seed=seed).state[0] == first.state
    assert predictor.calls == 2
    assert replay.answer(clicks, seed=other).state[0] == ("mask", 16)
    assert replay.answer(clicks).state == script(clicks)


def test_negative_clicks_alone_refine_a_seed_from_its_middle() -> None:
    replay = Replay(Seedable())
    seed = Seed(PackedMask.pack(np.pad(np.ones((3, 3)), 2)))
    prediction = replay.answer(Clicks().added(6, 6, positive=False), seed=seed)
    assert prediction.state[1:] == (((3.0, 3.0), (6.0, 6.0)), (1, 0))
    assert replay.answer(Clicks(), seed=seed) is None


def test_a_predictor_that_takes_no_mask_says_so() -> None:
    with pytest.raises(InputError, match="cannot go on from a mask"):
        Replay(Diary()).answer(Clicks().added(0, 0), seed=Seed(PackedMask.pack(np.eye(4))))


def test_the_order_s_strength_holds_for_the_whole_play() -> None:
    asked = []

    class Strong(Diary):
        def predict(self, points: Any, labels: Any, previous: Any = None, order_strength: float = 1.0) -> Any:
            asked.append((len(points), order_strength))
            return super().predict(points, labels, previous)

    replay = Replay(Strong())
    clicks = Clicks().added(0, 0).added(1, 1)
    for strength in (1.0, 0.0, 0.0):
        replay.answer(clicks, order_strength=strength)
    assert asked == [(1, 1.0), (2, 1.0), (1, 0.0), (2, 0.0)]


def test_undo_and_redo_ask_the_network_nothing_where_a_state_can_be_shown() -> None:
    class Showing(Diary):
        def shown(self, state: Any, points: Any, labels: Any) -> SimpleNamespace:
            assert state[1:] == (tuple(map(tuple, points)), tuple(labels))
            return SimpleNamespace(state=state)

    predictor = Showing()
    replay = Replay(predictor)
    clicks = Clicks().added(0, 0, positive=False).added(1, 1).added(2, 2).added(3, 3, positive=False)
    replay.answer(clicks)
    assert predictor.calls == 3
    for count in (3, 2, 3, 4):
        assert replay.answer(clicks.first(count)).state == script(clicks.first(count))
    assert predictor.calls == 3
    other = clicks.first(3).added(9, 9)
    assert replay.answer(other).state == script(other)
    assert predictor.calls == 4
    replay.answer(clicks.first(2))
    assert replay.answer(other, lambda: True).state == script(other)  # nothing is to be played
    assert replay.answer(clicks, lambda: True) is None
    assert replay.answer(clicks.first(3)).state == script(clicks.first(3))
    assert predictor.calls == 4
