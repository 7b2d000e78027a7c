"""A box begins an object with a mask and one click; drawings are one step, and everything comes back from JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_ois.annotation import Click, Clicks, Document, PlaneKey, Prompt, Replay, Seed
from napari_ois.annotation.objects import BOX
from napari_ois.annotation.packed import PackedMask
from napari_ois.annotation.prompts import box_ellipse
from napari_ois.annotation.records import object_from_record, object_record
from napari_ois.errors import InputError
from napari_ois.segmentation.frame import View

SHAPE = (100, 200)
BOXED = [(20, 30), (40, 80)]
PLANE = PlaneKey((0, 1), (0, 0))


def test_the_first_box_is_a_mask_and_a_click_in_its_middle() -> None:
    prompt = Prompt().with_box(BOXED, SHAPE)
    assert prompt.clicks == Clicks((Click(30, 55),))
    assert prompt.seed.source == BOX and prompt.seed.mask.box == (20, 30, 41, 81)
    assert prompt.seed.mask.area == pytest.approx(np.pi / 4 * 21 * 51, rel=0.03)
    assert prompt == Prompt().with_box([(40, 30), (20, 30), (20, 80), (40, 80)], SHAPE)


def test_a_box_on_an_object_with_clicks_or_a_mask_is_clicks_alone() -> None:
    clicked = Prompt().with_click(3, 4).with_box(BOXED, SHAPE)
    assert clicked.seed is None
    assert clicked.clicks.points.tolist()[:2] == [[3, 4], [30, 55]]
    assert clicked.clicks.labels.tolist() == [1, 1, 0, 0, 0, 0]
    seed = Seed(PackedMask.pack(np.ones(SHAPE, bool)), "nuclei", 3)
    assert Prompt(seed=seed).with_box(BOXED, SHAPE).seed is seed


def test_scribbles_come_behind_what_is_there_in_their_kind() -> None:
    prompt = Prompt().with_box(BOXED, SHAPE).with_scribble([(0, 0), (0, 199)], SHAPE, positive=False)
    assert prompt.clicks.labels[0] == 1 and not prompt.clicks.labels[1:].any()
    assert len(prompt.clicks) == 9 and prompt.seed is not None


def test_an_ellipse_is_cut_off_at_the_border_and_never_empty() -> None:
    assert box_ellipse([(-10, -10), (10, 10)], (50, 50))[0, 0]
    assert box_ellipse([(3.2, 3.2), (3.6, 3.6)], (9, 9)).sum() == 1
    with pytest.raises(InputError, match="no extent"):
        Prompt().with_box([(1, 1), (1, 9)], SHAPE)


def test_a_box_over_the_border_is_what_is_seen_of_it() -> None:
    over = Prompt().with_box([(-20, 150), (19, 260)], SHAPE)
    assert over == Prompt().with_box([(0, 150), (19, 199)], SHAPE)
    with pytest.raises(InputError, match="outside"):
        Prompt().with_box([(120, 30), (150, 60)], SHAPE)
    with pytest.raises(InputError, match="list of points"):
        Prompt().with_box([(1, 2, 3), (4, 5, 6)], SHAPE)


def test_a_negative_click_beside_the_middle_takes_the_boxs_guess_away() -> None:
    prompt = Prompt().with_box(BOXED, SHAPE)  # 21 x 51, its middle at (30, 55)
    assert prompt.with_click(34, 60, False).clicks == Clicks((Click(34, 60, False),))
    assert len(prompt.with_click(34, 60).clicks) == 2
    assert len(prompt.with_click(36, 55, False).clicks) == 2  # beside in columns, not in rows
    assert len(prompt.with_scribble([(30, 45), (30, 50)], SHAPE, positive=False).clicks.positives) == 0
    moved = Prompt(prompt.clicks.moved(0, 30, 58), prompt.seed)
    assert len(moved.with_click(30, 57, False).clicks) == 2  # the user's own
    seed = Seed(prompt.seed.mask, "nuclei")
    assert len(Prompt(prompt.clicks, seed).with_click(34, 60, False).clicks) == 2


def test_what_is_left_of_a_box_is_played_from_a_place_that_nobody_spoke_against() -> None:
    class Network:
        def state_from_mask(self, mask: Any, bound: View) -> str:
            return "ellipse"

        def predict(self, points: Any, labels: Any, previous: Any = None) -> Any:
            self.asked = (points.tolist(), labels.tolist(), previous)
            return self

        state = None

    network = Network()
    prompt = Prompt().with_box(BOXED, SHAPE).with_click(30, 50, False)
    Replay(network).answer(prompt.clicks, seed=prompt.seed)
    (row, column), *_ = network.asked[0]
    assert network.asked[1] == [1, 0]
    assert ((row - 30) / 21) ** 2 + ((column - 50) / 51) ** 2 >= 0.25**2
    assert prompt.seed.mask.unpack()[int(row), int(column)]


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


def test_a_box_goes_with_the_last_click_and_comes_back_with_it(document) -> None:
    prompt = Prompt().with_box(BOXED, SHAPE)
    obj = document.start(PLANE, clicks=prompt.clicks, seed=prompt.seed)
    document.set_clicks(obj.number, prompt.clicks.added(1, 1, False))
    assert document[obj.number].seed == prompt.seed
    document.set_clicks(obj.number, Clicks())
    assert document[obj.number].seed is None
    document.undo()
    assert document[obj.number].seed == prompt.seed
    assert document[obj.number].mask(None) is None  # an ellipse is no answer
    seeded = document.start(PLANE, clicks=prompt.clicks, seed=Seed(prompt.seed.mask, "nuclei", 3))
    document.set_clicks(seeded.number, Clicks())
    assert document[seeded.number].seed is not None


def test_the_viewers_clicks_lose_the_guess_too_and_undo_brings_it_back(document) -> None:
    prompt = Prompt().with_box(BOXED, SHAPE)
    obj = document.start(PLANE, clicks=prompt.clicks, seed=prompt.seed)
    assert document.set_clicks(obj.number, prompt.clicks.added(31, 57, False))
    assert document[obj.number].clicks == Clicks((Click(31, 57, False),)) and document[obj.number].seed
    assert document.history.undo_text == "Undo add negative click to object 1"
    document.undo()
    assert document[obj.number].clicks == prompt.clicks


def test_the_network_goes_on_from_the_ellipse() -> None:
    class Network:
        def state_from_mask(self, mask: Any, bound: View) -> Any:
            return int(mask.sum()), bound

        def predict(self, points: Any, labels: Any, previous: Any = None) -> Any:
            self.asked = (points.tolist(), labels.tolist(), previous)
            return self

        state = None

    network, prompt = Network(), Prompt().with_box(BOXED, SHAPE)
    Replay(network).answer(prompt.clicks, seed=prompt.seed)
    points, labels, (area, bound) = network.asked
    assert (points, labels, area) == ([[30, 55]], [1], prompt.seed.mask.area)
    top, left, bottom, right = prompt.seed.mask.box
    slack = -(-max(bottom - top, right - left) // 10)
    assert bound == View(top - slack, left - slack, bottom + slack, right + slack)


def test_only_a_drawn_box_bounds_the_object() -> None:
    mask = PackedMask.pack(box_ellipse(BOXED, SHAPE))
    assert Seed(mask, BOX).bound is not None
    assert Seed(mask, "Cellpose").bound is None
    assert not Seed(PackedMask.empty(SHAPE), BOX)
