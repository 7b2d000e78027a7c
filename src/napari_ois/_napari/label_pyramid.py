"""One rule: labels of a large image are a pyramid in memory whose empty parts cost nothing.

A full array of 40,000 x 40,000 labels would take 6.4 GB, and napari would draw it by reading all of it. So there are
levels, each half as fine as the one before, in compressed chunks of which only those with labels exist. napari
shows a pyramid but does not let it be painted on: what is written here comes from accepted objects.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import MemoryStore

COARSEST = 2048
"""The last level is at most this wide."""
CHUNK = 1024


class LabelPyramid:
    """An empty label array of any number of axes, the two longest of which are halved from level to level.

    Parameters
    ----------
    shape : tuple of int

    Attributes
    ----------
    levels : list of array
        int32, finest first; zarr, of a plane the last one numpy.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._long = sorted(sorted(range(len(shape)), key=lambda axis: -shape[axis])[:2])
        self.levels: list[Any] = []
        sides = list(shape)
        while True:
            chunks = tuple(min(CHUNK, side) if axis in self._long else 1 for axis, side in enumerate(sides))
            self.levels.append(
                zarr.create_array(MemoryStore(), shape=tuple(sides), chunks=chunks, dtype="int32", fill_value=0)
            )
            if max(sides[axis] for axis in self._long) <= COARSEST:
                break
            for axis in self._long:
                sides[axis] = -(-sides[axis] // 2)
        if len(shape) == 2:
            # napari reads the coarsest level once and keeps it: what is written there must be seen all the same.
            self.levels[-1] = np.zeros(tuple(sides), np.int32)

    def write_pixels(self, indices: tuple[NDArray[np.intp], ...], values: NDArray[Any]) -> None:
        """Do ``labels[indices] = values`` in all levels, chunk by chunk: pixels may lie far apart."""
        places = np.stack(indices, axis=1)
        sides = np.array([CHUNK if axis in self._long else 1 for axis in range(places.shape[1])])
        chunks, of = np.unique(places // sides, axis=0, return_inverse=True)
        order = np.argsort(of.ravel(), kind="stable")
        bounds = np.searchsorted(of.ravel()[order], np.arange(len(chunks) + 1))
        for begin, end in pairwise(bounds):
            mine, new = places[order[begin:end]], values[order[begin:end]]
            low = mine.min(axis=0)
            extent = tuple(mine.max(axis=0) - low + 1)
            where, part = np.zeros(extent, bool), np.zeros(extent, np.int32)
            at = tuple((mine - low).T)
            where[at], part[at] = True, new
            self.write(tuple(int(place) for place in low), where, part)

    def write(self, corner: tuple[int, ...], where: NDArray[np.bool_], values: NDArray[Any]) -> None:
        """Write a part of the finest level, and what is seen of it in the others.

        Parameters
        ----------
        corner : tuple of int
            Where the part begins.
        where : bool array of all axes
            What of it is written.
        values : integer array of the same shape
        """
        begin = list(corner)
        for number, level in enumerate(self.levels):
            if number:
                # A pixel of a coarser level is the one with even places above it.
                first = [b % 2 if axis in self._long else 0 for axis, b in enumerate(begin)]
                cut = tuple(slice(f, None, 2 if axis in self._long else 1) for axis, f in enumerate(first))
                where, values = where[cut], values[cut]
                begin = [-(-b // 2) if axis in self._long else b for axis, b in enumerate(begin)]
            if not where.size:
                return
            box = tuple(slice(b, b + side) for b, side in zip(begin, where.shape, strict=True))
            part = np.asarray(level[box])
            part[where] = values[where]
            level[box] = part
