"""A file is opened, not read: its planes and levels are found, and only what is sliced is read."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import tifffile
import zarr
from skimage.io import imsave

from napari_ois.errors import InputError
from napari_ois.segmentation import lazy_plane
from napari_ois.segmentation.image_files import open_file, open_image
from napari_ois.segmentation.lazy_plane import LazyPlane


@pytest.fixture
def stack():
    return np.random.default_rng(0).integers(0, 256, (5, 130, 150), dtype=np.uint8)


@pytest.fixture
def read_parts(monkeypatch):
    """The names of the tiles or chunks that are read, of Zarr folders and TIFF files."""
    from tifffile.zarr import ZarrTiffStore
    from zarr.storage import LocalStore

    names: list[str] = []
    for store in (LocalStore, ZarrTiffStore):

        async def get(self, key, *more, plain=store.get, **options):
            if not key.rsplit("/", 1)[-1].startswith((".", "zarr")):  # no metadata
                names.append(key)
            return await plain(self, key, *more, **options)

        monkeypatch.setattr(store, "get", get)
    return names


def tiled(path, array, **options):
    tifffile.imwrite(path, array, tile=(64, 64), compression="zlib", photometric="minisblack", **options)
    return path


def ome_zarr(path, levels, axes):
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    for name, level in enumerate(levels):
        chunks = (1,) * (level.ndim - 2) + (64, 64)
        group.create_array(str(name), shape=level.shape, chunks=chunks, dtype=level.dtype)[...] = level
    sets = [{"path": str(name)} for name in range(len(levels))]
    group.attrs["multiscales"] = [{"axes": [{"name": name} for name in axes], "datasets": sets}]
    return path


def test_of_a_compressed_stack_one_plane_is_read(tmp_path, stack, read_parts):
    path = tiled(tmp_path / "stack.tif", stack)
    opened = open_image(path, [3])
    np.testing.assert_array_equal(opened.pixels, stack[3])
    assert {name.split(".")[0] for name in read_parts} == {"3"} and len(read_parts) == 9


def test_of_a_large_plane_only_what_is_sliced_is_read(tmp_path, stack, read_parts, monkeypatch):
    monkeypatch.setattr(lazy_plane, "LARGE", 100 * 100)
    opened = open_image(tiled(tmp_path / "plane.tif", stack[0]))
    assert opened.large and opened.shape == (130, 150) and not read_parts
    np.testing.assert_array_equal(opened.pixels[10:60, 70:90], stack[0, 10:60, 70:90])
    assert read_parts == ["0.1"]


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_levels_of_a_pyramid_are_found(tmp_path, stack, kind, monkeypatch):
    monkeypatch.setattr(lazy_plane, "LARGE", 100 * 100)
    levels = [stack, stack[::2, ::2, ::2]]  # three planes in the coarser level
    if kind == "tiff":
        options = {"tile": (64, 64), "compression": "zlib", "photometric": "minisblack"}
        with tifffile.TiffWriter(tmp_path / "pyramid.tif") as writer:
            writer.write(stack[4], subifds=1, **options)
            writer.write(stack[4, ::2, ::2], subfiletype=1, **options)
        opened = open_image(tmp_path / "pyramid.tif")
    else:
        opened = open_image(ome_zarr(tmp_path / "pyramid.zarr", levels, "zyx"), [4])
    assert [level.shape for level in opened.pixels] == [(130, 150), (65, 75)]
    np.testing.assert_array_equal(opened.pixels[0][20:30, 5:9], stack[4, 20:30, 5:9])
    np.testing.assert_array_equal(opened.pixels[1][20:30, 5:9], stack[4, 40:60:2, 10:18:2])


def test_channels_of_an_ome_zarr_come_last(tmp_path, stack, read_parts):
    both = np.stack([stack, 255 - stack])  # c, z, y, x
    path = ome_zarr(tmp_path / "both.zarr", [both], "czyx")
    opened = open_image(path, [2])
    np.testing.assert_array_equal(opened.pixels, np.stack([stack[2], 255 - stack[2]], axis=-1))
    assert opened.channel_axis == 2
    assert {tuple(name.split("/", 1)[1].replace("/", ".").split(".")[:2]) for name in read_parts} == {
        ("0", "2"),
        ("1", "2"),
    }
    only = ome_zarr(tmp_path / "one.zarr", [both[:, :1]], "czyx")
    np.testing.assert_array_equal(open_image(only).pixels[..., 0], stack[0])  # the one plane needs no index


def test_a_channel_axis_in_the_middle_of_a_file(tmp_path, stack):
    np.save(tmp_path / "tczyx.npy", np.stack([np.stack([stack, 255 - stack], axis=1)] * 2))  # t, z, c, y, x
    opened = open_image(tmp_path / "tczyx.npy", [1, 3], channel_axis=2)
    np.testing.assert_array_equal(opened.pixels, np.stack([stack[3], 255 - stack[3]], axis=-1))


def test_a_plane_across_a_colour_keeps_it(tmp_path, stack):
    np.save(tmp_path / "colours.npy", np.moveaxis(stack[:3], 0, -1)[None].repeat(2, axis=0))
    opened = open_image(tmp_path / "colours.npy", [1])
    np.testing.assert_array_equal(opened.pixels, np.moveaxis(stack[:3], 0, -1))
    assert opened.channel_axis is None


@pytest.mark.parametrize("axes", [(2, 3), (3, 2)])
def test_a_plane_with_channels_before_an_index(axes):
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    plane = LazyPlane(array, axes, (0, 2, 0, 0), colour=0)
    want = np.moveaxis(array[:, 2], 0, -1)
    np.testing.assert_array_equal(plane[:, 1:3], (want if axes == (2, 3) else want.swapaxes(0, 1))[:, 1:3])
    assert plane.shape == (*(array.shape[axis] for axis in axes), 2)


def test_other_files_are_read_as_they_are(tmp_path, stack):
    imsave(tmp_path / "a.png", stack[0], check_contrast=False)
    tifffile.imwrite(tmp_path / "a.tif", stack[0])  # not compressed: mapped into memory
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(open_image(tmp_path / name).pixels, stack[0])


def test_a_file_is_closed_when_nothing_reads_from_it(tmp_path, stack, monkeypatch):
    from tifffile.zarr import ZarrTiffStore

    closed = []
    monkeypatch.setattr(ZarrTiffStore, "close", lambda self, plain=ZarrTiffStore.close: (closed.append(1), plain(self)))
    levels, _ = open_file(tiled(tmp_path / "stack.tif", stack))
    plane = LazyPlane(levels[0], (1, 2), (2, 0, 0))
    del levels
    gc.collect()
    assert not closed
    np.testing.assert_array_equal(plane[:, :], stack[2])
    del plane
    gc.collect()
    assert closed


@pytest.mark.parametrize(
    ("plane", "channel_axis", "words"),
    [
        (None, None, "5 planes along z; say which one, such as 0"),
        ([5], None, "there is no plane 5; they are counted from 0"),
        ([-1], None, "there is no plane -1"),
        ([0, 0], None, "there is no plane 0,0"),
        ([0], 7, "channel_axis=7 is out of range"),
        ([], 0, "has one plane only|so there is no plane"),
    ],
)
def test_what_is_no_plane_is_refused_in_words(tmp_path, stack, plane, channel_axis, words):
    path = ome_zarr(tmp_path / "stack.zarr", [stack], "zyx")
    if plane == []:
        plane = [0]
    with pytest.raises(InputError, match=words):
        open_image(path, plane, channel_axis)


def test_a_damaged_file_is_refused_where_it_is_read(tmp_path, stack):
    path = tiled(tmp_path / "stack.tif", stack)
    data = bytearray(path.read_bytes())
    data[-3000:-2000] = bytes(1000)  # in the middle of the last plane's tiles
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot be read as an image"):
        open_image(path, [4])
    np.testing.assert_array_equal(open_image(path, [2]).pixels, stack[2])
    with pytest.raises(InputError, match="There is no file"):
        open_image(tmp_path / "missing.tif")
    with pytest.raises(InputError, match="without a zarr array"):
        open_image(tmp_path)


def test_what_a_codec_finds_damaged_is_said_in_words(tmp_path, stack):
    path = tmp_path / "stack.zarr"
    zarr.create_array(str(path), shape=stack.shape, chunks=(1, 130, 150), dtype="u1")[...] = stack  # zstd
    for chunk in (path / "c" / "3").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:-200])
    with pytest.raises(InputError, match="cannot be read as an image"):
        open_image(path, [3])
    np.testing.assert_array_equal(open_image(path, [2]).pixels, stack[2])
