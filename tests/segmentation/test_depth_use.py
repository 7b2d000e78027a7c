"""A depth map that says nothing is said to, and so is one that does not tell an object from what is around it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.segmentation.depth_use import flat_depth, object_separation, separation, separation_warning

RAMP = np.linspace(0, 1, 80, dtype=np.float32)[None].repeat(60, axis=0)


def test_flat_maps_are_told_even_with_a_few_that_stick_out() -> None:
    flat = np.zeros((60, 80), np.float32)
    assert "flat" in flat_depth(flat)
    flat[:2, :20] = 1
    assert "flat" in flat_depth(flat)
    assert flat_depth(RAMP) == ""
    assert flat_depth(np.tile(RAMP, (20, 20))) == ""  # of a large one every other pixel is looked at


def test_an_object_nearer_than_its_surroundings_is_separated() -> None:
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:50] = True
    near = np.where(mask, 0.9, 0.1).astype(np.float32)
    assert object_separation(near, mask, [(30, 40)], [1]) == pytest.approx(1.0)
    assert separation_warning(1.0) == ""
    same = np.full((60, 80), 0.4, np.float32)
    found = object_separation(same, mask, [(30, 40), (2, 2)], [1, 0])
    assert found == 0.5
    assert "does not separate" in separation_warning(found)


def test_only_what_is_around_the_object_counts() -> None:
    mask = np.zeros((60, 80), bool)
    mask[5:15, 5:15] = True
    depth = np.full((60, 80), 0.5, np.float32)
    depth[:, 40:] = 0.0  # far away, and another depth
    assert object_separation(depth, mask, [(10, 10)], [1]) == 0.5


def test_without_a_mask_or_surroundings_nothing_is_said() -> None:
    assert object_separation(RAMP, np.zeros(RAMP.shape, bool), [(3, 3)], [1]) is None
    assert object_separation(RAMP, np.ones(RAMP.shape, bool), [(3, 3)], [1]) is None
    assert object_separation(RAMP, np.ones(RAMP.shape, bool), [(3, 3)], [0]) is None


def test_separation_is_the_chance_that_outside_lies_further() -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.uniform(0, 0.6, 300), rng.uniform(0.2, 1, 200)
    pairs = (outside[:, None] > inside[None]).mean()
    assert separation(inside, outside) == pytest.approx(pairs, abs=2e-3)
    assert separation(inside, outside[:0]) == 0.5
