"""Clicks become slots, codes and disks as SAM and RITM have them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from napari_ois.network.prompts import (
    SLOTS_PER_HALF,
    DenseEmbedding,
    FourierCode,
    SparseEmbedding,
    arrange_slots,
    disk_map,
)


def random_clicks(count, labels):
    return torch.rand(1, count, 2) * 60, torch.tensor([labels])


def test_all_slots_are_24_and_24_with_padding():
    points, labels = random_clicks(4, [0, 1, 1, -1])
    slots = arrange_slots(points, labels, collapse=False)
    assert slots.half == SLOTS_PER_HALF == 24
    assert slots.log_count is None
    assert slots.labels[0].tolist() == [1, 1] + 22 * [-1] + [0] + 23 * [-1]
    assert slots.points[0, :2].tolist() == points[0, [2, 1]].tolist()  # newest first
    assert slots.points[0, 24].tolist() == points[0, 0].tolist()
    assert not slots.points[slots.labels < 0].any()


@pytest.mark.parametrize("kind", [0, 1])
def test_of_too_many_clicks_the_newest_stay(kind):
    points, labels = random_clicks(30, [kind] * 30)
    for collapse in (False, True):
        slots = arrange_slots(points, labels, collapse=collapse)
        kept = slots.points[slots.labels == kind]
        assert sorted(map(tuple, kept.tolist())) == sorted(map(tuple, points[0, 6:].tolist()))


@pytest.mark.parametrize("labels", [[1], [0, 0], [1, 0, 1], [-1], [1] * 24 + [0], [1] * 30])
def test_collapsed_rows_stand_for_48_slots(labels):
    points, labels = random_clicks(len(labels), labels)
    slots = arrange_slots(points, labels)
    assert slots.labels.shape[1] <= labels.shape[1] + 2
    torch.testing.assert_close(slots.log_count.exp().sum(), torch.tensor(48.0))


def test_collapsed_rows_stand_for_48_slots_in_each_image_of_a_batch():
    labels = torch.tensor([[1, 1, 1, 0], [1, -1, -1, -1], [0, 0, 0, 0]])
    slots = arrange_slots(torch.rand(3, 4, 2), labels)
    torch.testing.assert_close(slots.log_count.exp().sum(dim=1), torch.full((3,), 48.0))


def test_fourier_code_follows_sam_and_is_not_stretched():
    code = FourierCode(8)
    point = torch.tensor([[[10.0, 30.0]]])
    x, y = (30.5 / 64) * 2 - 1, (10.5 / 64) * 2 - 1
    angle = 2 * math.pi * (torch.tensor([x, y]) @ code.frequencies)
    expected = torch.cat([angle.sin(), angle.cos()])
    for size in ((64, 64), (32, 64), (64, 20)):  # the longest side counts, in both axes
        torch.testing.assert_close(code(point, size)[0, 0], expected)


def test_code_is_not_rounded_in_half_precision():
    code, cells = FourierCode(8), torch.rand(50, 2) * 1022
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = code(cells, (1022, 1022))
    assert half.dtype == torch.float32
    assert torch.equal(half, code(cells, (1022, 1022)))


def test_grid_code_is_the_code_of_the_cells_centres():
    code = FourierCode(8)
    grid = code.grid((16, 24), 8)
    centres = torch.tensor([[r * 8 + 3.5, c * 8 + 3.5] for r in range(2) for c in range(3)])
    assert grid.shape == (1, 6, 8)
    torch.testing.assert_close(grid[0], code(centres, (16, 24)))


def test_frequencies_are_stored_but_not_trained():
    code = FourierCode(8)
    assert "frequencies" in code.state_dict()
    assert not list(code.parameters())


def test_empty_slots_are_the_non_point_vector_alone():
    embedding = SparseEmbedding(8)
    slots = arrange_slots(torch.tensor([[[3.0, 4.0]]]), torch.tensor([[1]]), collapse=False)
    embedded = embedding(slots, (32, 32))[0]
    kind = embedding.kind.weight
    torch.testing.assert_close(embedded[0], kind[1] + embedding.code(slots.points, (32, 32))[0, 0])
    torch.testing.assert_close(embedded[1:], kind[2].expand(47, -1))


def test_disks_have_radius_five_and_are_united():
    maps = disk_map(torch.tensor([[[20.0, 20.0], [20.0, 23.0], [9.0, 9.0]]]), torch.tensor([[1, 1, 0]]), (40, 40))
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    disk = [(rows - r) ** 2 + (columns - c) ** 2 <= 25 for r, c in ((20, 20), (20, 23), (9, 9))]
    assert torch.equal(maps[0, 0] > 0, disk[0] | disk[1])
    assert torch.equal(maps[0, 1] > 0, disk[2])
    assert maps.max() == 1


@pytest.mark.parametrize("point", [(0.0, 0.0), (31.0, 47.0), (31.49, 47.49), (31.0, 0.0)])
def test_disks_at_the_border_are_cut_off(point):
    maps = disk_map(torch.tensor([[point]]), torch.tensor([[0]]), (32, 48))
    assert not maps[0, 0].any()
    assert maps[0, 1, round(point[0]), round(point[1])] == 1
    assert 20 <= int(maps.sum()) <= 45  # a quarter of 81 pixels and the axes


def test_places_without_a_click_draw_nothing():
    assert not disk_map(torch.zeros(2, 3, 2), torch.full((2, 3), -1), (32, 32)).any()


def test_dense_embedding_is_one_convolution():
    embedding = DenseEmbedding(8, 4, extra_channels=1)
    maps = torch.rand(2, 3, 16, 24)
    convolution = embedding.convolution
    expected = F.conv2d(maps, convolution.weight, convolution.bias, stride=4)
    torch.testing.assert_close(embedding(maps), expected)
