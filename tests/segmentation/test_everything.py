"""A grid of prompts gives candidates: sifted at the network's resolution, enlarged, without duplicates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_ois import Predictor
from napari_ois.errors import InputError
from napari_ois.segmentation.candidates import (
    Candidate,
    candidate_table,
    candidates_csv,
    overlap,
    paint_candidates,
    without_duplicates,
)
from napari_ois.segmentation.everything import grid_points, propose, segment_everything, windows
from napari_ois.segmentation.runner import MASK_LOGIT
from napari_ois.segmentation.sieve import Sieve, enlarged, sift
from napari_ois.segmentation.stack_planes import Interrupted
from napari_ois.segmentation.view import View

SHAPE = (120, 180)
BLOCKS = ((10, 50, 10, 60), (60, 110, 100, 170), (80, 92, 20, 32))
"""Rows and columns of the three objects of a scene."""


class Scene:
    """Answers each prompt with the block that it lies on, sampled as a network of half the resolution sees it."""

    image_shape = SHAPE

    def __init__(self, depth: float = 10.0) -> None:
        self.depth = depth
        self.views: list[View] = []
        self.batches: list[int] = []

    def answer_each(self, points: np.ndarray, view: View) -> torch.Tensor:
        self.views.append(view)
        self.batches.append(len(points))
        logits = np.full((len(points), *SHAPE), -self.depth, np.float32)
        for number, (row, column) in enumerate(points):
            for top, bottom, left, right in BLOCKS:
                if top <= row < bottom and left <= column < right:
                    logits[number, top:bottom, left:right] = self.depth
        part = torch.from_numpy(logits[:, view.rows, view.columns])[:, None]
        return functional.interpolate(part, size=(60, 90), mode="bilinear", antialias=True)[:, 0]


def block(top: int, left: int, bottom: int, right: int, score: float = 0.9, votes: int = 1) -> Candidate:
    window = np.ones((bottom - top, right - left), bool)
    return Candidate((top, left, bottom, right), window, score, 1.0, (top, left), View.whole(SHAPE), votes)


def truth(number: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    top, bottom, left, right = BLOCKS[number]
    mask[top:bottom, left:right] = True
    return mask


def test_the_grid_of_the_paper_lies_in_the_middle_of_its_cells():
    points = grid_points(View.whole((160, 320)))
    assert points.shape == (256, 2)
    assert points[0].tolist() == [4.5, 9.5] and points[-1].tolist() == [154.5, 309.5]
    assert grid_points(View(100, 40, 110, 60), 1).tolist() == [[104.5, 49.5]]


def test_each_object_is_found_once_with_the_votes_of_all_prompts_on_it():
    scene = Scene()
    found = segment_everything(scene, grid=16, batch=50)
    # The block of 12 x 12 lies between the prompts but for one column of them: it is there too, if one hits it.
    assert scene.batches == [50, 50, 50, 50, 50, 6]
    by_area = sorted(found, key=lambda each: -each.area)
    for candidate, number in zip(by_area, (1, 0), strict=False):
        mask, want = candidate.mask(SHAPE), truth(number)
        assert (mask & want).sum() / (mask | want).sum() > 0.9
        points = grid_points(View.whole(SHAPE)).round().astype(int)
        assert candidate.votes == want[points[:, 0], points[:, 1]].sum()
        assert mask[round(candidate.point[0]), round(candidate.point[1])]


def test_small_objects_are_found_in_closer_windows():
    def small(found: list[Candidate]) -> list[float]:
        return [overlap(each, block(80, 20, 92, 32)) for each in found if each.area < 300]

    assert small(segment_everything(Scene(), grid=8)) == []
    closer = Scene()
    found = small(segment_everything(closer, grid=8, closer=1))
    assert len(found) == 1 and found[0] > 0.7
    assert len(dict.fromkeys(closer.views)) == 5


def test_windows_cover_the_image_and_share_their_borders():
    for shape in ((100, 100), (37, 211), (3, 5)):
        views = windows(shape, 2)
        assert len(views) == 1 + 4 + 16
        for level in (views[1:5], views[5:]):
            seen = np.zeros(shape, int)
            for view in level:
                assert 0 <= view.top < view.bottom <= shape[0] and 0 <= view.left < view.right <= shape[1]
                seen[view.rows, view.columns] += 1
            assert seen.min() >= 1
    assert windows((50, 60), 0) == [View.whole((50, 60))]


def test_what_a_window_cuts_is_left_to_those_that_show_it_whole():
    found = segment_everything(Scene(), grid=8, closer=2)
    areas = sorted(each.area for each in found)
    assert len(areas) == 3  # no halves of the large blocks
    assert np.allclose(areas, [144, 2000, 3500], rtol=0.1)


def test_progress_counts_prompts_and_the_candidates_come_last():
    steps = list(propose(Scene(), grid=4, batch=5))
    assert [step.done for step in steps] == [5, 10, 15, 16, 16]
    assert all(step.total == 16 for step in steps)
    assert [step.candidates is None for step in steps] == [True] * 4 + [False]


def test_it_stops_when_told():
    scene, told = Scene(), []
    with pytest.raises(Interrupted):
        segment_everything(
            scene, grid=8, batch=8, progress=lambda done, _: told.append(done), interrupted=lambda: len(told) == 3
        )
    assert told == [8, 16, 24] and len(scene.batches) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"grid": 0}, "grid=0"), ({"grid": 999}, "grid=999"), ({"closer": 9}, "closer"), ({"batch": 0}, "batch")],
)
def test_numbers_out_of_range_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        segment_everything(Scene(), **options)


def test_a_sieve_says_which_number_is_wrong():
    with pytest.raises(InputError, match="score=2"):
        Sieve(score=2)
    with pytest.raises(InputError, match="stability=nan"):
        Sieve(stability=float("nan"))
    with pytest.raises(InputError, match="offset"):
        Sieve(offset=0)


def sifted(logits: torch.Tensor, point: tuple[float, float] = (60, 90), **sieve: float) -> list[Candidate]:
    return sift(logits[None], np.array([point], np.float32), View.whole(SHAPE), SHAPE, Sieve(**sieve))


def ramp(depth: float) -> torch.Tensor:
    """A cone in the middle: the steeper, the more stable."""
    rows, columns = np.indices((60, 90))
    return torch.from_numpy(depth * (1 - np.hypot(rows - 30, columns - 45) / 20)).float()


def test_the_sieve_holds_back_what_is_unsure_or_changes_with_its_threshold():
    assert len(sifted(ramp(40.0))) == 1
    steep, gentle = (sifted(ramp(depth), score=0, stability=0)[0] for depth in (40.0, 3.0))
    assert steep.stability > 0.85 > gentle.stability and steep.score > gentle.score
    logits = ramp(40.0)
    expected = (logits > MASK_LOGIT + 1).sum() / (logits > MASK_LOGIT - 1).sum()
    assert steep.stability == pytest.approx(float(expected))
    inside = logits > MASK_LOGIT
    assert steep.score == pytest.approx(float(logits.sigmoid()[inside].mean()))
    assert sifted(ramp(3.0), score=0, stability=0.8) == []
    assert sifted(ramp(3.0), score=0.9, stability=0) == []


def test_the_sieve_holds_back_specks_the_background_and_masks_beside_their_prompt():
    assert sifted(torch.full((60, 90), 9.0)) == []
    assert sifted(ramp(40.0), point=(5, 5)) == []
    assert sifted(ramp(40.0), smallest=10**5) == []
    assert sifted(torch.full((60, 90), -9.0), score=0, stability=0) == []


@pytest.mark.parametrize("shape", [(400, 600), (61, 90), (64, 96), (30, 45), (41, 90)])
def test_a_part_is_enlarged_as_the_whole_would_be(shape):
    logits = functional.interpolate(torch.randn(1, 1, 10, 15), size=(64, 96), mode="bicubic")[0, 0] - 0.7
    rows = torch.arange(64)[:, None]
    logits = torch.where((rows > 20) & (rows < 50), logits, torch.tensor(-5.0))
    part, top, left = enlarged(logits, shape)
    whole = np.zeros(shape, bool)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    want = functional.interpolate(logits[None, None], size=shape, mode="bilinear", antialias=True)[0, 0]
    unsure = (want - MASK_LOGIT).abs().numpy() < 1e-4  # rounding may fall to either side
    assert want.max() > MASK_LOGIT
    assert np.array_equal(whole[~unsure], (want > MASK_LOGIT).numpy()[~unsure])


def test_of_those_that_say_the_same_the_best_stays_and_one_inside_of_another_is_no_duplicate():
    best, same, inner = block(10, 10, 50, 50), block(11, 10, 50, 50, 0.8, votes=3), block(20, 20, 30, 30, 0.85)
    kept = without_duplicates([same, inner, best], 0.7)
    assert [each.box for each in kept] == [best.box, inner.box]
    assert [each.votes for each in kept] == [4, 1]
    assert without_duplicates([], 0.7) == []
    assert len(without_duplicates([same, inner, best], 0.99)) == 3


def test_overlap_is_intersection_over_union():
    assert overlap(block(0, 0, 10, 10), block(0, 0, 10, 10)) == 1
    assert overlap(block(0, 0, 10, 10), block(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap(block(0, 0, 10, 10), block(10, 0, 20, 10)) == 0


def test_small_ones_are_painted_over_large_ones_and_the_table_says_which():
    candidates = [block(5, 5, 9, 9), block(0, 0, 20, 20)]
    labels = paint_candidates(candidates, SHAPE)
    assert labels.dtype == np.int32
    assert (labels == 1).sum() == 16 and (labels == 2).sum() == 400 - 16
    table = candidate_table(candidates)
    assert table["index"] == [1, 2] and table["area_px"] == [16, 400] and table["bottom"] == [9, 20]
    lines = candidates_csv(candidates).splitlines()
    assert lines[0].startswith("index,score,stability,votes,area_px,top") and lines[1].startswith("1,0.9,1.0,1,16,5,5")


def test_a_batch_answers_as_its_prompts_do_one_by_one(tiny_network):
    predictor = Predictor.from_network(tiny_network(), input_size=64, multiple=32, device="cpu")
    predictor.set_image(np.random.default_rng(0).random((50, 70, 3)).astype(np.float32))
    whole = View.whole((50, 70))
    points = grid_points(whole, 3)
    together = predictor.answer_each(points, whole)
    assert together.shape == (9, *predictor.geometry.input_shape)
    for point, logits in zip(points, together, strict=True):
        alone = predictor.predict([point], [1])
        assert torch.allclose(logits, alone.state.logits[0, 0], atol=1e-4)
    corner = View(0, 0, 30, 40)
    assert predictor.answer_each(grid_points(corner, 2), corner).shape[0] == 4


def test_without_an_image_it_says_so(tiny_network):
    predictor = Predictor.from_network(tiny_network(), input_size=64, multiple=32, device="cpu")
    with pytest.raises(InputError, match="set_image"):
        segment_everything(predictor)
