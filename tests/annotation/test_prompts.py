"""A box begins an object with a mask and a guess; drawings are one step, and everything comes back from JSON."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_ois.annotation import AnnotatedObject, Clicks, Document, PlaneKey, Prompt, Replay, Seed, Settings
from napari_ois.annotation.objects import BOX
from napari_ois.annotation.packed import PackedMask
from napari_ois.annotation.prompts import box_ellipse
from napari_ois.annotation.records import object_from_record, object_record
from napari_ois.errors import InputError
from napari_ois.segmentation.frame import View

SHAPE = (100, 200)
BOXED = [(20, 30), (40, 80)]
PLANE = PlaneKey((0, 1), (0, 0))


def test_the_first_box_is_a_mask_and_no_click_of_the_users() -> None:
    prompt = Prompt().with_box(BOXED, SHAPE)
    assert prompt.clicks == Clicks()
    assert prompt.seed.source == BOX and prompt.seed.box == prompt.seed.mask.box == (20, 30, 41, 81)
    assert prompt.seed.mask.area == pytest.approx(np.pi / 4 * 21 * 51, rel=0.03)
    assert prompt == Prompt().with_box([(40, 30), (20, 30), (20, 80), (40, 80)], SHAPE)


def test_a_box_on_an_object_with_clicks_or_a_mask_is_clicks_alone() -> None:
    clicked = Prompt().with_click(3, 4).with_box(BOXED, SHAPE)
    assert clicked.seed is None
    assert clicked.clicks.points.tolist()[:2] == [[3, 4], [30, 55]]
    assert clicked.clicks.labels.tolist() == [1, 1, 0, 0, 0, 0]
    seed = Seed(PackedMask.pack(np.ones(SHAPE, bool)), "nuclei", 3)
    assert Prompt(seed=seed).with_box(BOXED, SHAPE).seed is seed
    twice = Prompt().with_box(BOXED, SHAPE).with_box([(1, 1), (9, 9)], SHAPE)
    assert twice.seed.box == (20, 30, 41, 81) and twice.clicks.labels.tolist() == [1, 0, 0]


def test_scribbles_come_behind_what_is_there_in_their_kind() -> None:
    prompt = Prompt().with_box(BOXED, SHAPE).with_scribble([(0, 0), (0, 199)], SHAPE, positive=False)
    assert len(prompt.clicks) == 8 and not prompt.clicks.labels.any() and prompt.seed is not None
    assert prompt.with_scribble([(9, 0), (9, 199)], SHAPE).clicks.labels.tolist() == [0] * 8 + [1] * 8


def test_an_ellipse_is_cut_off_at_the_border_and_never_empty() -> None:
    assert box_ellipse([(-10, -10), (10, 10)], (50, 50))[0, 0]
    assert box_ellipse([(3.2, 3.2), (3.6, 3.6)], (9, 9)).sum() == 1
    with pytest.raises(InputError, match="no extent"):
        Prompt().with_box([(1, 1), (1, 9)], SHAPE)


def test_a_box_is_the_same_mask_without_a_plane_in_memory() -> None:
    for box in ([[3.2, 4.7], [20.9, 11.1]], [[-5, -3], [6.5, 60]], [[30.6, 39.5], [44, 50]], [[7, 7], [7.4, 9]]):
        prompt = Prompt().with_box(box, (32, 41))
        seen = np.clip(box, 0, (31, 40))
        np.testing.assert_array_equal(prompt.seed.mask.unpack(), box_ellipse(seen, (32, 41)))
    slide = Prompt().with_box([[20_000, 30_000], [20_400, 30_400]], (60_000, 60_000))
    assert slide.seed.mask.shape == (60_000, 60_000)
    assert abs(slide.seed.mask.area / (np.pi / 4 * 401**2) - 1) < 0.01


def test_a_box_over_the_border_is_what_is_seen_of_it() -> None:
    over = Prompt().with_box([(-20, 150), (19, 260)], SHAPE)
    assert over == Prompt().with_box([(0, 150), (19, 199)], SHAPE)
    with pytest.raises(InputError, match="outside"):
        Prompt().with_box([(120, 30), (150, 60)], SHAPE)
    with pytest.raises(InputError, match="list of points"):
        Prompt().with_box([(1, 2, 3), (4, 5, 6)], SHAPE)


class Network:
    """Answers with what it was asked; sees the object of a box at a place of its own."""

    state = None

    def __init__(self, guess: tuple[float, float] | None = None) -> None:
        if guess is not None:
            self.place_in_box = lambda box: guess

    def state_from_mask(self, mask: Any, bound: View | None = None) -> Any:
        return int(mask.sum()), bound

    def predict(self, points: Any, labels: Any, previous: Any = None) -> Any:
        self.asked = (points.tolist(), labels.tolist(), previous)
        return self

    def play(self, prompt: Prompt) -> list[list[float]]:
        """Clicks played last, as row, column, kind."""
        Replay(self).answer(prompt.clicks, seed=prompt.seed)
        return [[*place, kind] for place, kind in zip(*self.asked[:2], strict=True)]


def test_a_box_is_clicked_where_its_object_seems_to_be() -> None:
    prompt = Prompt().with_box(BOXED, SHAPE)
    assert Network((24, 70)).play(prompt) == [[24, 70, 1]]
    assert Network((24, 70)).play(prompt.with_click(3, 4)) == [[24, 70, 1], [3, 4, 1]]
    assert Network().play(prompt) == [[30, 55, 1]]  # in its middle, by a predictor that sees no colours
    seed = Seed(prompt.seed.mask, "nuclei")
    assert Replay(Network((24, 70))).answer(Clicks(), seed=seed) is None
    assert Network((24, 70)).play(Prompt(Clicks().added(3, 4), seed)) == [[3, 4, 1]]


def test_a_negative_click_beside_it_takes_the_boxs_guess_away() -> None:
    prompt, network = Prompt().with_box(BOXED, SHAPE), Network((30, 55))  # 21 x 51
    spoken = prompt.with_click(33, 60, False)
    assert network.play(spoken.with_click(22, 40))[0] == [33, 60, 0]
    assert [kind for *_, kind in network.play(prompt.with_click(35, 55, False))] == [1, 0]  # beside in columns alone
    assert network.play(prompt.with_click(33, 60))[0] == [30, 55, 1]
    assert network.play(prompt.with_scribble([(30, 50), (30, 52)], SHAPE, positive=False))[0][2] == 1
    first = network.play(prompt.with_scribble([(30, 50), (30, 52)], SHAPE, positive=False))[0]
    assert first[:2] != [30, 55]


def test_what_is_left_of_a_box_is_played_from_a_place_that_nobody_spoke_against() -> None:
    prompt = Prompt().with_box(BOXED, SHAPE).with_click(30, 50, False)
    (row, column, kind), second = Network().play(prompt)
    assert (kind, second) == (1, [30, 50, 0])
    assert ((row - 30) / 21) ** 2 + ((column - 50) / 51) ** 2 >= 0.2**2
    assert prompt.seed.mask.unpack()[int(row), int(column)]


def test_another_box_is_clicked_anew_and_the_same_one_is_not_looked_at_again() -> None:
    looked: list[Any] = []
    network = Network()
    network.place_in_box = lambda box: looked.append(box) or (box[0], box[1])
    replay, first = Replay(network), Prompt().with_box(BOXED, SHAPE)
    for prompt in (first, first.with_click(3, 4), Prompt().with_box([(1, 2), (9, 9)], SHAPE), first):
        replay.answer(prompt.clicks, seed=prompt.seed)
    assert looked == [(20, 30, 41, 81), (1, 2, 10, 10), (20, 30, 41, 81)]


def test_parts_that_the_boxs_guess_is_on_are_kept_as_a_clicks_are() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[20:30, 30:40] = mask[60:70, 30:40] = mask[80:90, 30:40] = True
    answer = SimpleNamespace(mask=mask, points=np.array([[25, 35], [65, 35]]), labels=np.array([1, 1]))
    seed = Prompt().with_box(BOXED, SHAPE).seed
    obj = AnnotatedObject(1, PLANE, "a", clicks=Clicks().added(65, 35), seed=seed, settings=Settings(connected=True))
    assert obj.mask(answer).sum() == 200


@pytest.fixture
def document() -> Document:
    return Document()


def test_a_drawing_is_one_step_and_is_written_down(document) -> None:
    obj = document.start(PLANE, clicks=Clicks().added(5, 5))
    assert document.draw(obj.number, Prompt(obj.clicks).with_box(BOXED, SHAPE), "box")
    assert document.history.undo_text == "Undo box on object 1"
    drawn = document[obj.number]
    assert len(drawn.clicks) == 6 and object_from_record(object_record(drawn)) == drawn
    assert not document.draw(obj.number, Prompt(drawn.clicks, drawn.seed), "box")
    document.undo()
    assert len(document[obj.number].clicks) == 1


def test_a_box_stays_without_a_click_and_is_no_answer(document) -> None:
    prompt = Prompt().with_box(BOXED, SHAPE)
    obj = document.start(PLANE, clicks=prompt.clicks, seed=prompt.seed)
    document.set_clicks(obj.number, prompt.clicks.added(1, 1, False))
    document.set_clicks(obj.number, Clicks())
    drawn = document[obj.number]
    assert drawn.seed == prompt.seed and object_from_record(object_record(drawn)) == drawn
    assert drawn.mask(None) is None and drawn.packed(None) is None  # an ellipse is no answer
    seeded = document.start(PLANE, clicks=Clicks().added(1, 1), seed=Seed(prompt.seed.mask, "nuclei", 3))
    document.set_clicks(seeded.number, Clicks())
    assert document[seeded.number].seed is not None


def test_the_network_goes_on_from_the_ellipse() -> None:
    network, prompt = Network(), Prompt().with_box(BOXED, SHAPE)
    network.play(prompt)
    area, bound = network.asked[2]
    assert area == prompt.seed.mask.area
    top, left, bottom, right = prompt.seed.box
    slack = -(-max(bottom - top, right - left) // 10)
    assert bound == View(top - slack, left - slack, bottom + slack, right + slack)


def test_only_a_drawn_box_bounds_the_object() -> None:
    mask = PackedMask.pack(box_ellipse(BOXED, SHAPE))
    assert Seed(mask, BOX).bound is not None
    assert Seed(mask, "Cellpose").bound is None and Seed(mask, BOX, 3).bound is None
    assert not Seed(PackedMask.empty(SHAPE), BOX)
