from __future__ import annotations

import math

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.evaluation.metrics import iou, k_miou, mean_over_sets, noc, nof


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
