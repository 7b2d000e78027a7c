"""Contrast to the surroundings says whether an object is still there; where it never had any, nothing is said."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.annotation.contrast import contrast, kept


def plane(mask, inside, around=50.0, noise=4.0):
    return np.where(mask, inside, around) + noise * np.random.default_rng(0).standard_normal(mask.shape)


def test_it_is_the_difference_to_a_ring(disk) -> None:
    mask = disk(12, 15, 6)
    found = contrast(plane(mask, 120.0), mask)
    assert found.difference.shape == (1,)
    assert found.difference[0] == pytest.approx(70, abs=2) and found.spread == pytest.approx(4, abs=1)
    assert contrast(plane(mask, 120.0), np.zeros_like(mask)) is None
    assert contrast(plane(mask, 120.0), np.ones_like(mask)) is None


def test_what_is_kept_of_it(disk) -> None:
    mask = disk(12, 15, 6)
    then = contrast(plane(mask, 120.0), mask)
    assert kept(contrast(plane(mask, 85.0), mask), then) == pytest.approx(0.5, abs=0.05)
    assert kept(contrast(plane(mask, 50.0), mask), then) == pytest.approx(0, abs=0.05)
    assert kept(contrast(plane(mask, 20.0), mask), then) < 0  # darker now: something else
    assert kept(then, None) is None and kept(None, then) is None
    faint = contrast(plane(mask, 50.5), mask)
    assert kept(then, faint) is None


def test_colours_are_seen_apart(disk) -> None:
    mask = disk(12, 15, 6)
    red = np.stack([plane(mask, 120.0), plane(mask, 50.0), plane(mask, 50.0)], axis=-1)
    green = red[..., [1, 0, 2]]
    assert kept(contrast(green, mask), contrast(red, mask)) == pytest.approx(0, abs=0.05)
