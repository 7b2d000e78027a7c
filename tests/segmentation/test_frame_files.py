"""An answer on a region of a large image is written in its place, and order is read there only."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_ois.errors import InputError
from napari_ois.segmentation.frame import Frame, View
from napari_ois.segmentation.frame_files import on_cells, write_region, write_whole_mask
from napari_ois.segmentation.lazy_order import order_of_large
from napari_ois.segmentation.order_sources import Estimated, Given, NoOrder

SHAPE = (1_100, 1_300)
NATIVE = Frame(View(500, 100, 620, 240), (120, 140))
COARSE = Frame(View(300, 401, 1_100, 1_201), (200, 200))


@pytest.mark.parametrize("frame", [NATIVE, COARSE])
def test_the_whole_mask_is_the_cells_in_their_place(tmp_path, frame):
    mask = np.random.default_rng(0).random(frame.shape) > 0.5
    write_whole_mask(tmp_path / "mask.tif", SimpleNamespace(mask=mask, frame=frame), SHAPE)
    want = np.zeros(SHAPE, np.uint8)
    side = int(frame.cell[0])
    want[frame.view.rows, frame.view.columns] = 255 * mask.repeat(side, axis=0).repeat(side, axis=1)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mask.tif"), want)


def test_the_region_is_told(tmp_path):
    write_region(tmp_path / "region.json", SimpleNamespace(frame=COARSE))
    told = json.loads((tmp_path / "region.json").read_text())
    assert told == {"top": 300, "left": 401, "bottom": 1100, "right": 1201, "rows": 200, "columns": 200}


@pytest.mark.parametrize("frame", [NATIVE, COARSE, Frame(View(0, 0, 1_000, 1_300), (300, 390))])
def test_a_map_is_read_at_the_cells(frame):
    rows, columns = np.indices(SHAPE)
    for axis, places in enumerate((rows, columns)):
        found = on_cells(places, frame)
        start = (frame.view.top, frame.view.left)[axis]
        want = start + (np.arange(frame.shape[axis]) + 0.5) * frame.cell[axis] - 0.5
        assert found.shape == frame.shape
        along = found[:, 0] if axis == 0 else found[0]
        assert np.abs(along - want).max() <= max(1, frame.cell[axis])


def test_given_depth_is_turned_and_its_holes_are_known_where_it_is_read():
    ranges = np.arange(20, dtype=np.uint16).reshape(4, 5)
    order = order_of_large(Given(ranges, "smaller", 0), (4, 5))
    np.testing.assert_array_equal(order.depth[0:1, 0:3], [[np.nan, -1, -2]])
    np.testing.assert_array_equal(order.known[0:2, 0:2], [[False, True], [True, True]])
    with pytest.raises(InputError, match="one value per pixel"):
        order_of_large(Given(ranges), (5, 5))
    with pytest.raises(InputError, match="integer or float"):
        order_of_large(Given(ranges.astype(complex)), (4, 5))


def test_other_orders_cost_nothing():
    huge = (10**6, 10**6)
    none = order_of_large(NoOrder(), huge)
    assert none.depth.shape == huge and not none.depth[5:7, 3:4].any() and not none.known[5:7, 3:4].any()
    own = order_of_large(Estimated(), huge)
    assert own.depth is None and own.known[5:7, 3:4].all()
    with pytest.raises(InputError, match="another model's depth is not taken"):
        order_of_large(Estimated("ois-vits"), huge)
