from __future__ import annotations

import math

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.evaluation.metrics import (
    bootstrap_interval,
    boundary_iou,
    differences,
    iou,
    k_miou,
    mean_over_sets,
    noc,
    nof,
)


def test_iou_counts_overlap_and_leaves_ignored_pixels_out():
    target = np.array([[1, 1, 0, 0, 255]], np.uint8)
    mask = np.array([[True, False, True, False, True]])
    assert iou(mask, target) == pytest.approx(1 / 3)
    assert iou(target == 1, target) == 1.0
    assert iou(np.zeros((1, 5), bool), target) == 0.0


def test_iou_of_two_empty_masks_is_one():
    assert iou(np.zeros((2, 2), bool), np.array([[0, 255], [0, 0]], np.uint8)) == 1.0


def test_iou_refuses_another_shape():
    with pytest.raises(InputError, match="target"):
        iou(np.zeros((2, 3), bool), np.zeros((3, 2), np.uint8))


def test_noc_reached_at_first_at_last_and_never():
    at_first = [0.9] + [0.5] * 19
    at_last = [0.5] * 19 + [0.9]
    never = [0.5] * 20
    counts = [noc(curve, 0.9) for curve in (at_first, at_last, never)]
    assert counts == [1, 20, 20]
    # failures are those at the budget: the one reached at click 20 counts as failed too
    assert nof(counts) == 2


def test_noc_of_another_budget_and_exact_threshold():
    assert noc([0.1, 0.85, 0.9], 0.85, budget=3) == 2
    assert noc([0.1, 0.2, 0.9], 0.85, budget=2) == 2


def test_k_miou_is_the_mean_after_click_k():
    assert k_miou([[0.2, 0.6], [0.4, 1.0]], 2) == pytest.approx(0.8)
    assert math.isnan(k_miou([], 1))


def test_mean_over_sets_weighs_sets_alike():
    assert mean_over_sets({"large": [0.0] * 9, "small": [1.0], "none": []}) == pytest.approx(0.5)


def squares(shape, *corners):
    mask = np.zeros(shape, bool)
    for top, left, side in corners:
        mask[top : top + side, left : left + side] = True
    return mask


def test_boundary_iou_of_hand_made_squares():
    # 30 x 40: the diagonal is 50, so the border is one pixel wide
    target = squares((30, 40), (5, 5, 10)).astype(np.uint8)
    assert boundary_iou(target == 1, target) == 1.0
    # rings of 36 and of 28 pixels about the same middle do not touch
    assert boundary_iou(squares((30, 40), (6, 6, 8)), target) == 0.0
    # moved by one column: the top and bottom rows share 9 each; the columns at the sides share nothing
    assert boundary_iou(squares((30, 40), (5, 6, 10)), target) == pytest.approx(18 / (36 + 36 - 18))
    # twice as wide, counted pixel by pixel
    wide = boundary_iou(squares((30, 40), (5, 6, 10)), target, dilation=0.04)
    both = {(r, c) for r in range(10) for c in range(10) if min(r, c, 9 - r, 9 - c) < 2}
    moved = {(r, c + 1) for r, c in both}
    assert wide == pytest.approx(len(both & moved) / len(both | moved))


def test_boundary_iou_at_the_image_border_and_of_nothing():
    # the outside of the image is not object: a full image has a border all round
    target = np.ones((30, 40), np.uint8)
    inner = squares((30, 40), (0, 0, 40))
    inner[:, 39] = False
    ring, shrunk = 2 * 40 + 2 * 28, 2 * 39 + 2 * 28
    shared = 39 + 39 + 28
    assert boundary_iou(inner, target) == pytest.approx(shared / (ring + shrunk - shared))
    assert boundary_iou(np.zeros((5, 5), bool), np.zeros((5, 5), np.uint8)) == 1.0
    assert boundary_iou(np.ones((5, 5), bool), np.zeros((5, 5), np.uint8)) == 0.0


def test_boundary_iou_leaves_ignored_pixels_out():
    target = squares((30, 40), (5, 5, 10)).astype(np.uint8)
    mask = target == 1
    mask[20:25, 20:25] = True
    target[18:28, 18:28] = 255
    assert boundary_iou(mask, target) == 1.0
    with pytest.raises(InputError, match="target"):
        boundary_iou(mask, target[1:])


def test_differences_are_of_the_same_objects():
    assert differences({"a": [3.0, 1.0], "b": [2.0]}, {"a": [1.0, 1.0], "b": [5.0]}) == {"a": [2.0, 0.0], "b": [-3.0]}
    with pytest.raises(ValueError, match="zip"):
        differences({"a": [3.0]}, {"a": [1.0, 1.0]})


def test_bootstrap_interval_of_a_known_mean():
    # 400 coin throws: the mean's standard deviation is .5 / sqrt(400) = .025
    values = {"a": [0.0, 1.0] * 200}
    low, high = bootstrap_interval(values)
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.008)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.008)
    assert bootstrap_interval(values) == (low, high)
    narrow = bootstrap_interval(values, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_bootstrap_interval_weighs_sets_alike():
    # the large set does not vary; half of the small one's deviation is left: .5 * .5 / sqrt(100) = .025
    low, high = bootstrap_interval({"large": [1.0] * 900, "small": [0.0, 1.0] * 50, "none": []})
    assert (low + high) / 2 == pytest.approx(0.75, abs=0.01)
    assert high - low == pytest.approx(2 * 1.96 * 0.025, abs=0.012)
    assert all(math.isnan(end) for end in bootstrap_interval({"none": []}))
