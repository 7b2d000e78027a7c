"""Order maps follow Eq. 1 and 2."""

from __future__ import annotations

import pytest
import torch

from napari_ois.network.order import (
    cell_depth,
    depth_at_clicks,
    nearest_negative_order_map,
    normalize_depth,
    order_map,
    order_mask,
    positive_order_map,
    positive_reference,
)

POINTS = torch.tensor([[[1.0, 2.0], [6.0, 7.0], [3.0, 3.0], [0.0, 0.0]]])
LABELS = torch.tensor([[1, 1, 0, -1]])


@pytest.fixture
def depth():
    return normalize_depth(torch.rand(1, 1, 8, 8) * 40 - 3)


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (25, -7), (1e-3, 100)])
def test_normalised_depth_spans_zero_to_one(scale, shift):
    raw = torch.rand(3, 1, 8, 8, dtype=torch.float64) * scale + shift
    normal = normalize_depth(raw)
    assert normal.dtype == torch.float32
    assert normal.amin(dim=(1, 2, 3)).tolist() == [0, 0, 0]
    assert normal.amax(dim=(1, 2, 3)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("value", [0.0, 1.0, -5.0, 80.0])
def test_constant_depth_has_no_order(value):
    flat = normalize_depth(torch.full((2, 1, 8, 8), value))
    assert not flat.any()
    assert not positive_order_map(flat, POINTS.expand(2, -1, -1), LABELS.expand(2, -1)).any()


def test_almost_flat_estimates_are_not_blown_up():
    raw = torch.rand(1, 1, 8, 8) * 0.01 + 0.5
    assert normalize_depth(raw).max() == 1
    assert normalize_depth(raw, min_range=0.1).max() <= 0.1 + 1e-6


def test_order_does_not_depend_on_the_sign_of_depth(depth):
    turned = normalize_depth(-depth)
    torch.testing.assert_close(positive_order_map(turned, POINTS, LABELS), positive_order_map(depth, POINTS, LABELS))
    torch.testing.assert_close(
        nearest_negative_order_map(turned, POINTS, LABELS),
        nearest_negative_order_map(depth, POINTS, LABELS),
    )


def test_positive_clicks_share_the_distance_to_their_mean(depth):
    mean = (depth[0, 0, 1, 2] + depth[0, 0, 6, 7]) / 2
    shared = positive_order_map(depth, POINTS, LABELS)
    torch.testing.assert_close(shared, (depth - mean).abs())
    assert 0 <= shared.min() <= shared.max() <= 1


def test_without_a_positive_click_the_shared_map_is_zero(depth):
    assert not positive_order_map(depth, POINTS, torch.tensor([[0, 0, -1, -1]])).any()


def test_nearest_negative_is_the_minimum_over_negatives(depth):
    labels = torch.tensor([[0, 1, 0, -1]])
    expected = torch.minimum((depth - depth[0, 0, 1, 2]).abs(), (depth - depth[0, 0, 3, 3]).abs())
    torch.testing.assert_close(nearest_negative_order_map(depth, POINTS, labels), expected)


def test_clicks_read_the_nearest_pixel_and_stay_inside(depth):
    points = torch.tensor([[[0.4, 0.6], [7.0, 7.0], [7.49, -0.49], [8.0, 9.0]]])
    read = depth_at_clicks(depth, points)[0]
    expected = [depth[0, 0, 0, 1], depth[0, 0, 7, 7], depth[0, 0, 7, 0], depth[0, 0, 7, 7]]
    assert read.tolist() == [float(value) for value in expected]


def test_mask_lays_out_the_shared_map_then_one_map_per_negative(depth):
    cells = cell_depth(depth, 2)
    torch.testing.assert_close(cells[0, 0, 1, 2], depth[0, 0, 2:4, 4:6].mean())
    slot_labels = torch.tensor([[1, 1, -1, 0, 0, -1]])
    slot_depths = torch.tensor([[0.2, 0.6, 0.0, 0.9, 0.1, 0.0]])
    reference, exists = torch.tensor([0.4]), torch.tensor([True])
    mask = order_mask(cells, slot_depths, slot_labels, reference, exists, half=3)[0]
    flat = cells.flatten()
    assert mask.shape == (6, 16)
    for row, depth_of_row in enumerate([0.4, 0.4, 0.4, 0.9, 0.1]):
        torch.testing.assert_close(mask[row], (flat - depth_of_row).abs())
    assert not mask[5].any()  # padding of the negative half
    nobody = order_mask(cells, slot_depths, slot_labels, reference, torch.tensor([False]), half=3)
    assert not nobody[0, :3].any()


def test_reference_counts_positive_clicks_only():
    reference, exists = positive_reference(
        torch.tensor([[0.2, 0.4, 0.9], [0.2, 0.4, 0.9]]), torch.tensor([[1, 1, 0], [0, -1, -1]])
    )
    torch.testing.assert_close(reference, torch.tensor([0.3, 0.0]))
    assert exists.tolist() == [True, False]


def test_order_map_broadcasts_a_reference():
    depth = torch.tensor([0.0, 0.5, 1.0])
    assert order_map(depth, 0.5).tolist() == [0.5, 0.0, 0.5]
