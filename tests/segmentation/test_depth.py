"""A depth given by the user becomes a complete map in [0, 1]."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.segmentation.depth import prepare_depth


def test_depth_is_stretched_whatever_the_unit():
    millimetres = np.arange(12, dtype=np.uint16).reshape(3, 4) * 100 + 5000
    ready = prepare_depth(millimetres, (3, 4))
    assert ready.dtype == np.float32
    np.testing.assert_allclose(ready, np.arange(12).reshape(3, 4) / 11, atol=1e-6)


def test_unknown_depth_takes_the_median():
    depth = np.array([[0.0, 1.0, 2.0], [np.nan, np.inf, 10.0]])
    np.testing.assert_allclose(prepare_depth(depth, (2, 3))[1], [0.15, 0.15, 1.0], atol=1e-6)


@pytest.mark.parametrize("depth", [np.full((2, 3), 7), np.full((2, 3), 0.1) + 1e-12 * np.eye(2, 3)])
def test_constant_depth_is_zero(depth):
    assert not prepare_depth(depth, (2, 3)).any()


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        (np.zeros((3, 2)), "has shape"),
        (np.zeros((2, 3, 1)), "has shape"),
        (np.full((2, 3), np.nan), "no finite value"),
        (np.full((2, 3), "a"), "dtype"),
    ],
)
def test_bad_depth_is_refused(depth, words):
    with pytest.raises(InputError, match=words):
        prepare_depth(depth, (2, 3))
