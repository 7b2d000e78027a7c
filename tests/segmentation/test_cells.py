"""Made cells: brightness does not tell two overlapping ones apart, depth does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_ois.errors import InputError
from napari_ois.segmentation.cells import made_cells
from napari_ois.segmentation.stack_sources import Projection


@pytest.fixture(scope="module")
def cells():
    return made_cells()


def test_the_seed_decides(cells):
    assert cells.stack.shape == (24, 256, 256) and cells.stack.dtype == np.uint8
    np.testing.assert_array_equal(made_cells().stack, cells.stack)
    assert (made_cells(1, (8, 64, 64)).stack != made_cells(2, (8, 64, 64)).stack).any()


def test_labels_are_complete_and_pairs_touch(cells):
    count = len(cells.z)
    assert set(np.unique(cells.labels)) == set(range(count + 1)) and count == 18
    for near in range(1, count, 2):
        touching = cells.labels[ndimage.binary_dilation(cells.labels == near, iterations=2)]
        assert (touching == near + 1).sum() > 20
        assert cells.z[near] - cells.z[near - 1] > 5


def inside(labels, number):
    return ndimage.binary_erosion(labels == number, iterations=4)


def test_brightness_does_not_tell_two_cells_apart(cells):
    image = cells.stack.max(axis=0).astype(float)
    differences, spreads = [], []
    for near in range(1, len(cells.z), 2):
        one, other = image[inside(cells.labels, near)], image[inside(cells.labels, near + 1)]
        differences.append(one.mean() - other.mean())
        spreads.append(one.std())
    assert abs(np.mean(differences)) < 0.5 * np.mean(spreads)  # near ones are not brighter as such
    assert np.abs(differences).max() < 1.5 * np.mean(spreads)


def test_the_line_between_two_cells_is_fainter_than_their_mottling(cells):
    image = ndimage.gaussian_filter(cells.stack.max(axis=0).astype(float), 1)
    for near in range(1, len(cells.z), 2):
        both = (cells.labels == near) | (cells.labels == near + 1)
        deep = ndimage.binary_erosion(both, iterations=4)
        line = deep & ndimage.binary_dilation(cells.labels == near) & (cells.labels == near + 1)
        assert abs(image[line].mean() - image[deep].mean()) < 1.5 * image[deep].std()


def test_the_depth_coded_projection_tells_them_apart(cells):
    depth = Projection().compute(cells.stack).depth
    means = np.array([np.median(depth[inside(cells.labels, n + 1)]) for n in range(len(cells.z))])
    assert np.corrcoef(means, -cells.z)[0, 1] > 0.99
    assert (means[::2] - means[1::2] > 0.2).all()
    true = np.where(cells.labels > 0, -cells.z[cells.labels - 1], np.nan)
    sure = ndimage.grey_erosion(cells.labels, 5) == ndimage.grey_dilation(cells.labels, 5)
    sure &= cells.labels > 0
    assert np.corrcoef(depth[sure], true[sure])[0, 1] > 0.95


def test_too_small_a_shape_is_refused():
    with pytest.raises(InputError, match="too small"):
        made_cells(shape=(4, 64, 64))
