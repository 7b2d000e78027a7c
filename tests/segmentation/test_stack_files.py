"""A stack's file is not read whole where that can be avoided."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_ois.errors import InputError
from napari_ois.segmentation import stack_files
from napari_ois.segmentation.stack_files import TiffPages, open_stack
from napari_ois.segmentation.stack_planes import StackPlanes

STACK = np.random.default_rng(0).integers(0, 4000, (5, 8, 9)).astype(np.uint16)


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("a.npy", None, np.memmap),
        ("a.tif", {}, np.memmap),
        ("a.tif", {"compression": "zlib"}, TiffPages),
        ("a.ome.tif", {"compression": "zlib"}, TiffPages),
    ],
)
def test_planes_come_from_the_file(tmp_path, monkeypatch, name, options, kind):
    path = tmp_path / name
    if options is None:
        np.save(path, STACK)
    else:
        tifffile.imwrite(path, STACK, **options)
    monkeypatch.setattr(stack_files, "read_image", lambda path: pytest.fail("read whole"))
    stack = open_stack(path)
    assert isinstance(stack, kind) and (stack.shape, stack.dtype) == (STACK.shape, STACK.dtype)
    planes = StackPlanes.of(stack)
    np.testing.assert_array_equal(np.stack([planes.read(i) for i in range(5)]), STACK)


def test_of_compressed_pages_only_those_are_read_that_are_asked_for(tmp_path, monkeypatch):
    stack = np.random.default_rng(0).integers(0, 255, (6, 9, 11), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, compression="zlib", metadata={"axes": "ZYX"})
    opened = open_stack(tmp_path / "a.tif")
    assert isinstance(opened, TiffPages)
    read = []
    plain = tifffile.imread
    monkeypatch.setattr(tifffile, "imread", lambda path, key: read.append(key) or plain(path, key=key))
    for key in ((slice(2, 4), slice(1, 5), slice(None)), (np.int64(3), slice(0, 4)), (slice(5, 9),), (slice(3, 3),)):
        np.testing.assert_array_equal(opened[key], stack[key])
    assert read == [2, 3, 3, 5]


def test_other_axes_of_compressed_pages_are_read_whole(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib")
    planes = StackPlanes.of(open_stack(tmp_path / "a.tif", axis=1), 1)
    np.testing.assert_array_equal(planes.read(3), STACK[:, 3])
    pages = open_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(pages[:, 3], STACK[:, 3])


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"II*\0 no more"])
def test_a_damaged_page_is_refused(tmp_path, damage):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, compression="zlib")
    stack = open_stack(path)
    path.write_bytes(damage(path.read_bytes()))
    for key in ((3,), (slice(None), 3)):
        with pytest.raises(InputError, match="cannot be read as a stack"):
            stack[key]


@pytest.mark.parametrize("name", ["missing.tif", "missing.npy", "damaged.tif", "damaged.npy"])
def test_what_is_no_file_is_refused(tmp_path, name):
    if name.startswith("damaged"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"There is no file|cannot be read"):
        open_stack(tmp_path / name)
