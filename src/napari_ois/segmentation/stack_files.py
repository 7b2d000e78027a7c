"""One rule: a file of a stack is opened, not read; its planes are read when they are asked for."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_ois.errors import InputError
from napari_ois.segmentation.files import UNREADABLE, read_image
from napari_ois.segmentation.image_files import open_file
from napari_ois.segmentation.ome_zarr import is_zarr


class TiffPages:
    """A TIFF whose pages are the planes of a stack, compressed or not; reads the pages that are asked for.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any) -> None:
        self._path = path
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """The planes that a first index or slice takes, cut by the others as numpy does."""
        first, *others = key
        if isinstance(first, slice):
            planes = [self._page(index) for index in range(*first.indices(self.shape[0]))]
            read = np.stack(planes) if planes else np.zeros((0, *self.shape[1:]), self.dtype)
            return read[(slice(None), *others)]
        return self._page(operator.index(first))[tuple(others)]

    def _page(self, index: int) -> NDArray[Any]:
        try:
            read = tifffile.imread(self._path, key=index)
        except UNREADABLE as error:
            raise InputError(f"{self._path} cannot be read as a stack ({error}).") from error
        if read.shape != self.shape[1:]:
            raise InputError(f"{self._path} cannot be read as a stack (its pages have changed).")
        return read


def open_stack(path: str | Path, axis: int = 0) -> Any:
    """Open a stack for reading plane by plane along an axis.

    Zarr and OME-Zarr are read in pieces, uncompressed TIFF and ``.npy`` files are mapped into memory; of other TIFF
    files one page after the other is read, as long as the pages follow the axis. Everything else is read whole.

    Parameters
    ----------
    path : path
    axis : int
        The axis that will be walked.

    Returns
    -------
    An array, or what can be indexed like one.

    Raises
    ------
    InputError
        If there is no such file or it cannot be read as an image.
    """
    path = Path(path)
    if is_zarr(path):
        return open_file(path)[0][0]
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy" and os.path.isfile(path):
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if suffix in (".tif", ".tiff") and os.path.isfile(path):
            with tifffile.TiffFile(path) as tiff:
                series = tiff.series[0]
                if series.dataoffset is not None and series.keyframe.is_memmappable:
                    return tifffile.memmap(path, mode="r")
                pages = len(series.pages) == len(tiff.pages) == series.shape[0]
                if axis == 0 and pages and series.shape[1:] == series.keyframe.shape:
                    return TiffPages(path, series.shape, series.dtype)
    except UNREADABLE:
        pass  # read_image says in words what is wrong, or can read it after all
    return read_image(path)
