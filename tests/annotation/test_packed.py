"""A packed mask is COCO's own text, unpacks to the same pixels, and joins like the pixels do."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.annotation import PackedMask
from napari_ois.annotation.packed import find_label
from napari_ois.errors import InputError


def _square():
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    return mask


# Texts as pycocotools 2 writes them.
@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        (np.zeros((3, 4), bool), "<"),
        (np.ones((3, 4), bool), "0<"),
        (np.eye(5, dtype=bool), "0150000000"),
        (_square(), "52203"),
    ],
)
def test_counts_are_coco_s(mask, counts) -> None:
    assert PackedMask.pack(mask).counts == counts
    np.testing.assert_array_equal(PackedMask((mask.shape), counts).unpack(), mask)


def test_any_mask_comes_back_and_joins_like_its_pixels() -> None:
    random = np.random.default_rng(0)
    for _ in range(40):
        shape = tuple(int(side) for side in random.integers(1, 40, 2))
        one, two = (random.random(shape) < random.random() for _ in range(2))
        a, b = PackedMask.pack(one), PackedMask.pack(two)
        np.testing.assert_array_equal(a.unpack(), one)
        assert a.area == one.sum()
        assert (a | b) == PackedMask.pack(one | two)
        assert (a & b) == PackedMask.pack(one & two)
        assert (a - b) == PackedMask.pack(one & ~two)
        assert PackedMask.from_record(a.to_record()) == a


def test_the_box_and_the_window_hold_the_mask() -> None:
    mask = np.zeros((50, 60), bool)
    mask[10:20, 30:33] = mask[15, 5] = True
    packed = PackedMask.pack(mask)
    assert packed.box == (10, 5, 20, 33)
    np.testing.assert_array_equal(packed.window((12, 20, 40, 60)), mask[12:40, 20:60])
    assert PackedMask.empty((3, 3)).box is None
    assert not PackedMask.empty((3, 3))


@pytest.mark.parametrize("strip", [1, 50, 1 << 20])
def test_any_window_is_that_of_the_whole(monkeypatch, strip) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr("napari_ois.annotation.packed.STRIP", strip)
    full = rng.random((31, 23)) < 0.5
    full[:, 3:6] = True  # runs through whole columns
    full[:, 9:11] = False
    packed = PackedMask.pack(full)
    for _ in range(60):
        top, bottom = np.sort(rng.integers(0, 32, 2))
        left, right = np.sort(rng.integers(0, 24, 2))
        np.testing.assert_array_equal(packed.window((top, left, bottom, right)), full[top:bottom, left:right])
    np.testing.assert_array_equal(packed.unpack(), full)


def test_long_runs_take_several_characters() -> None:
    mask = np.zeros((700, 900), bool)
    mask[100:600, 200:800] = True
    packed = PackedMask.pack(mask)
    assert packed.area == 300_000
    assert len(packed.counts) < 1300  # two characters a column
    np.testing.assert_array_equal(packed.unpack(), mask)


@pytest.mark.parametrize(
    "record",
    [None, {}, {"size": [2, 2]}, {"size": [2, 2], "counts": ""}, {"size": [2, 2], "counts": "é"},
     {"size": [2, 2], "counts": "5"}, {"size": [2, 2], "counts": "T"}, {"size": [2, 2], "counts": 4}],
)  # fmt: skip
def test_a_damaged_record_is_refused(record) -> None:
    with pytest.raises(InputError, match="mask"):
        PackedMask.from_record(record)


def test_what_is_no_plane_is_refused() -> None:
    with pytest.raises(InputError, match="rows and columns"):
        PackedMask.pack(np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match="one plane"):
        PackedMask.empty((2, 2)) | PackedMask.empty((2, 3))


def test_runs_of_no_pixels_are_read_as_nothing():
    """The text "d00" is 20 background pixels and a run of none: other programs may end like that."""
    empty = PackedMask.from_record({"size": [20, 1], "counts": "d00"})
    assert not empty and empty.box is None and not empty.unpack().any()


def test_cells_of_several_pixels_are_packed_and_read_again() -> None:
    random = np.random.default_rng(1)
    for _ in range(30):
        high, wide = (int(side) for side in random.integers(1, 9, 2))
        cells = random.random((high, wide)) < 0.5
        box = (3, 5, 3 + int(high * random.uniform(1, 4)), 5 + int(wide * random.uniform(1, 4)))
        packed = PackedMask.from_cells(cells, box, (60, 70))
        np.testing.assert_array_equal(packed.cells(box, (high, wide)), cells)
        rows = ((np.arange(box[2] - 3) + 0.5) * high / (box[2] - 3)).astype(int)
        columns = ((np.arange(box[3] - 5) + 0.5) * wide / (box[3] - 5)).astype(int)
        full = np.zeros((60, 70), bool)
        full[3 : box[2], 5 : box[3]] = cells[np.ix_(rows, columns)]
        assert packed == PackedMask.pack(full)


def test_of_a_large_plane_no_more_than_a_part_is_unpacked() -> None:
    side = 40_000
    window = np.zeros((300, 200), bool)
    window[10:290, 20:180] = True
    packed = PackedMask.pack_window(window, (39_000, 20_000), (side, side))
    assert packed.area == 280 * 160
    assert packed.box == (39_010, 20_020, 39_290, 20_180)
    np.testing.assert_array_equal(packed.window((39_000, 20_000, 39_300, 20_200)), window)
    moved = PackedMask.pack_window(window, (39_100, 20_000), (side, side))
    assert (packed | moved).area == 380 * 160
    assert PackedMask.pack(packed) is packed


def test_a_run_that_goes_on_in_the_next_column_has_a_box() -> None:
    mask = np.zeros((6, 5), bool)
    mask[2:, 1] = mask[:3, 2] = True
    assert PackedMask.pack(mask).box == (0, 1, 6, 3)


def test_a_label_is_looked_for_band_by_band(monkeypatch) -> None:
    monkeypatch.setattr("napari_ois.annotation.packed.STRIP", 60)
    monkeypatch.setattr("napari_ois.annotation.packed.LEAST_ROWS", 1)
    plane = np.zeros((20, 30), int)
    plane[3:9, 5:12] = plane[15, 2] = 4
    plane[4, 6] = 1
    assert find_label(plane, 4) == PackedMask.pack(plane == 4)
    assert not find_label(plane, 7)
