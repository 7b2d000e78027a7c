"""One rule: an image's file is opened, not read; of its plane only what is asked for is read.

OME-Zarr and Zarr folders, TIFF (tiled, in strips, with the levels of a pyramid) and ``.npy`` files are read in
windows. Other formats, and an ordinary plane of any, are read whole.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_ois.errors import InputError
from napari_ois.segmentation.colour import check_plane
from napari_ois.segmentation.files import UNREADABLE, read_image
from napari_ois.segmentation.lazy_plane import LazyPlane, is_large, sides_of
from napari_ois.segmentation.ome_zarr import is_zarr, open_levels


class FileArray:
    """One level of an image in a file: read where it is sliced, and what cannot be read is said in words.

    Parameters
    ----------
    path : Path
    array : zarr array, or memory-mapped array
    source : object, optional
        Kept for as long as this is: what the array reads from.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    """

    def __init__(self, path: Path, array: Any, source: object = None) -> None:
        self._path, self._array, self._source = path, array, source
        self.shape = tuple(int(side) for side in array.shape)
        self.dtype = np.dtype(array.dtype)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        try:
            return np.asarray(self._array[key])
        except UNREADABLE as error:
            raise InputError(f"{self._path} cannot be read as an image ({_reason(error)}).") from error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole = self[...]
        return whole if dtype is None else whole.astype(dtype)


@dataclass(frozen=True, eq=False)
class OpenImage:
    """One plane of a file.

    Attributes
    ----------
    levels : list of array
        Finest first, all (H, W) or (H, W, C); an ordinary one is a single numpy array.
    channel_axis : int or None
        Where the last axis holds channels that are no colours, or the user said which axis does.
    """

    levels: list[Any]
    channel_axis: int | None

    @property
    def pixels(self) -> Any:
        """What :meth:`napari_ois.Predictor.set_image` takes."""
        return self.levels[0] if len(self.levels) == 1 else self.levels

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return sides_of(self.levels[0].shape, self.channel_axis)

    @property
    def large(self) -> bool:
        """Whether it is worked on in regions, and was not read yet."""
        return is_large(self.shape)


def open_file(path: str | Path) -> tuple[list[Any], list[str] | None]:
    """Open the levels of an image, all of its planes.

    Returns
    -------
    levels : list of array
        Finest first; one where it is no pyramid.
    axes : list of str or None
        Their names, of an OME-Zarr.

    Raises
    ------
    InputError
        If there is no such file, or it cannot be read as an image.
    """
    path = Path(path)
    if os.path.isdir(path):  # Path.is_dir fails below a folder that may not be entered
        if not is_zarr(path):
            raise InputError(f"{path} is a folder without a zarr array; give an image, or an OME-Zarr.")
        levels, axes = open_levels(path)
        return [FileArray(path, level) for level in levels], axes
    try:
        if path.suffix.lower() == ".npy" and os.path.isfile(path):
            return [FileArray(path, np.load(path, mmap_mode="r", allow_pickle=False))], None
        if path.suffix.lower() in (".tif", ".tiff") and os.path.isfile(path):
            return _open_tiff(path), None
    except UNREADABLE:
        pass  # read_image says in words what is wrong, or can read it after all
    return [read_image(path)], None


def open_image(path: str | Path, plane: Sequence[int] | None = None, channel_axis: int | None = None) -> OpenImage:
    """Open one plane of an image; an ordinary one is read, a large one is not.

    Parameters
    ----------
    path : path
    plane : sequence of int, optional
        Which one: an index for each axis before rows and columns that holds no channels. Needed where there are
        several.
    channel_axis : int, optional
        The axis of the file that holds the channels; of an OME-Zarr its own, if it has one.

    Raises
    ------
    InputError
        If the file cannot be read, there is no such plane, or what is there is no image.
    """
    levels, axes = open_file(path)
    if axes is not None or plane is not None:
        levels, channel_axis = _cut(Path(path), levels, axes, plane, channel_axis)
    first = levels[0]
    check_plane(first.shape, np.dtype(first.dtype), channel_axis)
    if is_large(sides_of(first.shape, channel_axis)):
        return OpenImage(levels, channel_axis)
    return OpenImage([np.asarray(first)], channel_axis)


def _cut(
    path: Path, levels: list[Any], axes: list[str] | None, plane: Sequence[int] | None, channel_axis: int | None
) -> tuple[list[Any], int | None]:
    """Planes of all levels, and the axis of the channels in them."""
    shape = levels[0].shape
    ndim = len(shape)
    channels = channel_axis
    if channels is None and axes is not None and "c" in axes:
        channels = axes.index("c")
    elif channels is not None:
        if not -ndim <= channels < ndim:
            raise InputError(f"channel_axis={channels} is out of range for {path}, which has {ndim} axes.")
        channels %= ndim
    coloured = channels is None and axes is None and ndim > 2 and shape[-1] in (3, 4)
    places = [axis for axis in range(ndim - coloured) if axis != channels]
    if len(places) < 2:
        raise InputError(f"{path} of shape {tuple(shape)} has no rows and columns.")
    *front, rows, columns = places
    index = _index(path, [shape[axis] for axis in front], [axes[axis] for axis in front] if axes else None, plane)
    cut = []
    for level in levels:
        whole = [0] * (ndim - coloured)
        for axis, at in zip(front, index, strict=True):  # a coarser level may have fewer planes
            whole[axis] = min(int((at + 0.5) * level.shape[axis] / shape[axis]), level.shape[axis] - 1)
        cut.append(LazyPlane(level, (rows, columns), whole, channels))
    return cut, None if channels is None else 2


def _index(path: Path, sides: list[int], names: list[str] | None, plane: Sequence[int] | None) -> list[int]:
    """The index of the plane along the axes before rows and columns, checked."""
    if plane is None and math.prod(sides) == 1:
        return [0] * len(sides)
    called = f"along {', '.join(names)}" if names else "before rows and columns"
    has = f"{path} has {' x '.join(map(str, sides))} planes {called}" if sides else f"{path} has one plane only"
    if plane is None:
        raise InputError(f"{has}; say which one, such as {','.join('0' for _ in sides)}.")
    if len(plane) != len(sides) or any(not 0 <= at < side for at, side in zip(plane, sides, strict=True)):
        raise InputError(f"{has}, so there is no plane {','.join(map(str, plane))}; they are counted from 0.")
    return list(plane)


def _open_tiff(path: Path) -> list[Any]:
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        if len(series.levels) == 1 and series.dataoffset is not None and series.keyframe.is_memmappable:
            return [FileArray(path, tifffile.memmap(path, mode="r"))]
    import zarr

    store: Any = tifffile.imread(path, aszarr=True)
    source = _Source(store)
    found: Any = zarr.open(store, mode="r")
    arrays = [found] if isinstance(found, zarr.Array) else [found[str(level)] for level in range(len(found))]
    return [FileArray(path, array, source) for array in arrays]


class _Source:
    """Closes a file when nothing reads from it any more."""

    def __init__(self, store: Any) -> None:
        weakref.finalize(self, store.close)


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
