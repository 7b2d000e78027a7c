"""One rule: labels of a large plane are tiles, and only tiles with an object on them exist.

They are written as a tiled TIFF of the image's size, tile after tile, and read in windows like an array.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import MemoryStore

from napari_ois.annotation.accepting import check_extent
from napari_ois.annotation.export import write_labels_tiff
from napari_ois.annotation.packed import PackedMask
from napari_ois.annotation.planes import PlaneKey
from napari_ois.annotation.playback import Played, paint_session
from napari_ois.errors import InputError
from napari_ois.segmentation.frame_files import TILE, write_tiles
from napari_ois.segmentation.lazy_plane import is_large

BIGTIFF = 2**31
"""Bytes of labels, before they are compressed, from which the file is a BigTIFF."""


class LargeLabels:
    """Labels of one plane, empty at first.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the plane.

    Attributes
    ----------
    shape : (int, int)
    highest : int
        The largest label painted; 0 where there is none.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.highest = 0
        self._tiles: Any = zarr.create_array(
            MemoryStore(), shape=shape, chunks=(TILE, TILE), dtype="int32", fill_value=0
        )
        self._painted: set[tuple[int, int]] = set()

    def paint(self, mask: PackedMask, label: int, *, over: bool = False) -> int:
        """Give the pixels of a mask a label.

        Parameters
        ----------
        mask : PackedMask
            Of the plane.
        label : int
            1 or more.
        over : bool
            Whether pixels that have a label are taken too.

        Returns
        -------
        int
            How many pixels got it.
        """
        if mask.box is None:
            return 0
        top, left, bottom, right = mask.box
        painted = 0
        for first in range(left // TILE, (right - 1) // TILE + 1):
            start, stop = max(left, first * TILE), min(right, (first + 1) * TILE)
            inside = mask.window((top, start, bottom, stop))  # a mask is packed by columns: each is unpacked once
            for row in range(top // TILE, (bottom - 1) // TILE + 1):
                begin, end = max(top, row * TILE), min(bottom, (row + 1) * TILE)
                where = inside[begin - top : end - top]
                if where.any():
                    painted += self._put((slice(begin, end), slice(start, stop)), where, label, over)
                    self._painted.add((row, first))
        if painted:
            self.highest = max(self.highest, label)
        return painted

    def __getitem__(self, key: Any) -> NDArray[np.int32]:
        """Read a window, as of an array."""
        return np.asarray(self._tiles[key])

    def write(self, path: Path, pixel_size: Sequence[float] | None = None) -> None:
        """Write a tiled, compressed TIFF: uint8 or uint16 where the labels fit, else int32.

        Parameters
        ----------
        path : Path
        pixel_size : (float, float), optional
            Height and width of a pixel, kept as the file's resolution.
        """
        dtype = np.dtype(np.uint8 if self.highest < 2**8 else np.uint16 if self.highest < 2**16 else np.int32)
        big = self.shape[0] * self.shape[1] * dtype.itemsize >= BIGTIFF
        write_tiles(path, self._padded(dtype), self.shape, dtype, side=TILE, big=big, pixel_size=pixel_size)

    def _put(self, window: tuple[slice, slice], where: NDArray[np.bool_], label: int, over: bool) -> int:
        part = self[window]
        if not over:
            where = where & (part == 0)
        part = np.where(where, np.int32(label), part)
        self._tiles[window] = part
        return int(np.count_nonzero(where))

    def _padded(self, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """All tiles, row by row, those at the border filled up with zeros."""
        empty = np.zeros((TILE, TILE), dtype)
        for row in range(-(-self.shape[0] // TILE)):
            for column in range(-(-self.shape[1] // TILE)):
                if (row, column) not in self._painted:
                    yield empty
                    continue
                top, left = row * TILE, column * TILE
                part = self[top : top + TILE, left : left + TILE]
                tile = empty.copy()
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile


def paint_played(played: list[Played], shape: tuple[int, ...]) -> dict[str, NDArray[np.int32]] | dict[str, LargeLabels]:
    """The labels of a session's objects played again, of a large plane as tiles.

    Parameters
    ----------
    played : list of Played
        In any order.
    shape : tuple of int
        Of the image, without colour or channels.

    Returns
    -------
    dict
        By the names of the targets; see :func:`~napari_ois.annotation.playback.paint_session`.

    Raises
    ------
    InputError
        If an object of a large plane is too wide to be written, or lies on it with rows and columns exchanged.
    """
    if len(shape) != 2 or not is_large(shape):
        return paint_session(played, shape)
    plane = (shape[0], shape[1])
    painted: dict[str, LargeLabels] = {}
    for one in sorted(played, key=lambda each: each.accepted.turn):
        check_extent(one.mask)
        if one.obj.plane.axes != PlaneKey().axes:
            raise InputError(f"{one.obj.name} lies on a large image with rows and columns exchanged; turn the image.")
        target = one.accepted.target
        if target not in painted:
            painted[target] = LargeLabels(plane)
        # Rule "keep": where a mask came out larger than it was, it still takes nothing.
        painted[target].paint(one.written, one.accepted.label, over=one.accepted.rule != "keep")
    return painted


def write_labels(
    path: Path, labels: NDArray[np.int32] | LargeLabels, pixel_size: Sequence[float] | None, unit: str
) -> None:
    """Write labels of either kind as a TIFF with the size of a pixel; the unit is kept in ordinary ones only."""
    if isinstance(labels, LargeLabels):
        labels.write(path, pixel_size)
    else:
        write_labels_tiff(path, labels, pixel_size, unit)
