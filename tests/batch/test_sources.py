"""Images of a folder and planes of an OME-Zarr are found in order, named once, and read."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from skimage.io import imsave

from napari_ois.batch.sources import Plane, list_planes, open_plane
from napari_ois.errors import InputError


def test_images_come_in_order_and_two_of_one_stem_keep_their_suffix(tmp_path):
    for name in ("b.png", "a.tif", "b.tif", ".hidden.png", "notes.txt"):
        if name.endswith("png"):
            imsave(tmp_path / name, np.zeros((4, 5), np.uint8), check_contrast=False)
        else:
            tifffile.imwrite(tmp_path / name, np.zeros((4, 5), np.uint8))
    planes = list_planes(tmp_path)
    assert [plane.name for plane in planes] == ["a", "b.png", "b.tif"]
    pixels, channel_axis = open_plane(planes[0])
    assert pixels.shape == (4, 5) and channel_axis is None


def test_no_two_images_have_results_of_one_name(tmp_path):
    for name in ("a.png", "a.png.tif", "B.jpg", "b.tif", "c.npy"):
        (tmp_path / name).touch()
    names = [plane.name for plane in list_planes(tmp_path)]
    assert names == ["B.jpg", "a", "a.png.tif", "b.tif", "c"]
    assert len({name.casefold() for name in names}) == 5


@pytest.mark.parametrize("nested", [False, True])
def test_planes_of_an_ome_zarr_run_along_its_leading_axes(tmp_path, make_zarr, nested):
    array = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    planes = list_planes(make_zarr(tmp_path / "stack.zarr", array, "tzyx", nested=nested))
    assert [plane.name for plane in planes[:4]] == ["t0000_z0000", "t0000_z0001", "t0000_z0002", "t0001_z0000"]
    pixels, channel_axis = open_plane(planes[4])
    assert np.array_equal(pixels, array[1, 1]) and channel_axis is None


def test_channels_stay_together(tmp_path, make_zarr):
    array = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    planes = list_planes(make_zarr(tmp_path / "stack.zarr", array, "zcyx"))
    assert [plane.name for plane in planes] == ["z0000", "z0001"]
    pixels, channel_axis = open_plane(planes[1])
    assert channel_axis == 2 and np.array_equal(np.moveaxis(pixels, -1, 0), array[1])


def test_one_plane_of_rows_and_columns_is_a_batch_too(tmp_path, make_zarr):
    planes = list_planes(make_zarr(tmp_path / "flat.zarr", np.ones((4, 5)), "yx"))
    assert [plane.name for plane in planes] == ["plane"]
    assert open_plane(planes[0])[0].shape == (4, 5)


def test_what_is_no_source_is_said(tmp_path, make_zarr):
    with pytest.raises(InputError, match="There is no folder"):
        list_planes(tmp_path / "missing")
    with pytest.raises(InputError, match="no image in"):
        list_planes(tmp_path)
    zarr.open_group(str(tmp_path / "group.zarr"), mode="w")
    with pytest.raises(InputError, match="no OME-Zarr image"):
        list_planes(tmp_path / "group.zarr")
    stack = make_zarr(tmp_path / "stack.zarr", np.ones((2, 4, 5)), "zyx")
    with pytest.raises(InputError, match="there is no plane 7"):
        open_plane(Plane("z0007", str(stack), (7,)))
    with pytest.raises(InputError, match="not channels"):
        list_planes(make_zarr(tmp_path / "odd.zarr", np.ones((4, 5, 3)), "yxc"))
