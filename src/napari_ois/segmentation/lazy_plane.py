"""One rule: of an array that may be larger than memory, only what is asked for is read.

Slicing a dask array reads nothing, slicing a zarr array reads all of the slice. A :class:`LazyPlane` stands for one
plane of either, and reads a window when it is cut out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGE = 4096 * 4096
"""Pixels of a plane above which it is worked on in regions, and never held whole."""


class LazyPlane:
    """Two axes of an array at one index of the others.

    Parameters
    ----------
    array : array of any kind
        With ``shape``, ``dtype`` and slicing: numpy, memory-mapped, dask, zarr...
    axes : (int, int)
        The axes that rows and columns run along.
    index : sequence of int, optional
        One an axis; the two at ``axes`` mean nothing. Axes behind it are colour, and stay last. By default
        all axes but the two are colour.
    colour : int, optional
        The axis that holds the channels, where it is none behind the index; they come last.

    Attributes
    ----------
    shape : tuple of int
        Rows, columns, and the channels if there are any.
    dtype : numpy dtype
    """

    def __init__(
        self,
        array: Any,
        axes: tuple[int, int] = (0, 1),
        index: Sequence[int] | None = None,
        colour: int | None = None,
    ) -> None:
        self.array = array
        self._axes = axes
        self._colour = colour
        self._index = [0] * len(array.shape) if index is None else [int(i) for i in index]
        self._behind = tuple(int(side) for side in array.shape[len(self._index) :])
        if colour is not None:
            self._behind = (int(array.shape[colour]),)
        self.shape = (int(array.shape[axes[0]]), int(array.shape[axes[1]]), *self._behind)
        self.dtype = np.dtype(array.dtype)

    @classmethod
    def of(cls, array: Any, channel_axis: int | None = None) -> LazyPlane:
        """A plane that is the whole array: (H, W), (H, W, C), or channels along any axis of three."""
        if channel_axis is not None:
            channel = channel_axis % 3
            rows, columns = (axis for axis in range(3) if axis != channel)
            return cls(array, (rows, columns), colour=channel)
        return cls(array, index=(0, 0))

    @property
    def ndim(self) -> int:
        """2, or 3 with channels."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many values it has."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a window: ``plane[rows, columns]``, both slices or integers."""
        window = key if isinstance(key, tuple) else (key,)
        rows, columns = (*window, slice(None), slice(None))[:2]
        full: list[Any] = list(self._index)
        full[self._axes[0]], full[self._axes[1]] = rows, columns
        if self._colour is not None:
            full[self._colour] = slice(None)
        cut = np.asarray(self.array[tuple(full)])
        if not (isinstance(rows, slice) and isinstance(columns, slice)):
            return cut
        if self._colour is not None:
            cut = np.moveaxis(cut, sum(axis < self._colour for axis in self._axes), -1)  # the others are gone
        return cut.swapaxes(0, 1) if self._axes[0] > self._axes[1] else cut

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)


def sides_of(shape: Sequence[int], channel_axis: int | None = None) -> tuple[int, int]:
    """Rows and columns of a plane's shape, which may have channels: last, or along an axis of their own."""
    kept = [side for axis, side in enumerate(shape) if channel_axis is None or axis != channel_axis % len(shape)]
    return int(kept[0]), int(kept[1])


def is_large(shape: Sequence[int]) -> bool:
    """Whether a plane of these rows and columns is worked on in regions."""
    return int(shape[0]) * int(shape[1]) > LARGE


def is_pyramid(image: Any) -> bool:
    """Whether this is a list of arrays of one picture, each smaller than the one before."""
    if not isinstance(image, list | tuple) or len(image) < 2:
        return False
    shapes: list[Any] = [getattr(level, "shape", ()) for level in image]
    if any(len(shape) < 2 for shape in shapes):
        return False
    sizes = [np.prod(shape, dtype=np.float64) for shape in shapes]
    return all(smaller < larger for larger, smaller in pairwise(sizes))


def levels_of(image: Any) -> list[Any]:
    """The arrays of a picture, finest first: of one that is no pyramid, the picture itself."""
    return list(image) if is_pyramid(image) else [image]
