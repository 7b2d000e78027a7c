"""One rule: what is written into labels at full resolution is seen in every coarser level of them.

Each pixel of a coarser level shows one pixel of the finest: which one, is said once for every axis. So a pyramid is
kept in step whoever made it, whatever its levels' shapes. What was not written is left as its maker made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 1024
"""Pixels along the two longest axes that are written at once."""


class LabelLevels:
    """Labels at several resolutions, which are written as one.

    Parameters
    ----------
    levels : sequence of integer arrays
        numpy or zarr, finest first, all of the same axes.
    shown : sequence of sequences of (n,) int arrays
        For each level and axis: the places of the finest level that its pixels show, rising.

    Attributes
    ----------
    levels : list of array
        Those that are written.
    """

    def __init__(self, levels: Sequence[Any], shown: Sequence[Sequence[NDArray[np.intp]]]) -> None:
        self.levels = list(levels)
        self._shown = shown
        self._long = longest_axes(tuple(levels[0].shape))

    @classmethod
    def adopt(cls, levels: Sequence[Any]) -> LabelLevels:
        """Take over a pyramid of any origin: a coarser pixel shows the one that its middle lies in.

        A level that is a view of a finer one (``labels[::2, ::2]``) is in step by itself, and not written.
        """
        full = levels[0].shape
        own: list[Any] = []
        for level in levels:
            if not any(_share(level, finer) for finer in own):
                own.append(level)
        shown = [
            [((np.arange(n) + 0.5) * side / n).astype(np.intp) for n, side in zip(level.shape, full, strict=True)]
            for level in own
        ]
        return cls(own, shown)

    @property
    def limit(self) -> int:
        """The largest label that every level can hold."""
        return min(int(np.iinfo(level.dtype).max) for level in self.levels)

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
            where, part = np.zeros(extent, bool), np.zeros(extent, np.int64)
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
        for level, shown in zip(self.levels, self._shown, strict=True):
            box, cuts = [], []
            for places, begin, side in zip(shown, corner, where.shape, strict=True):
                first, last = (int(place) for place in np.searchsorted(places, (begin, begin + side)))
                box.append(slice(first, last))
                cuts.append(places[first:last] - begin)
            cut = np.ix_(*cuts)
            here = where[cut]
            if here.any():
                part = np.asarray(level[tuple(box)])
                part[here] = values[cut][here]
                level[tuple(box)] = part


def _share(level: Any, finer: Any) -> bool:
    """Whether two arrays lie in the same memory; one that is on the disk is not read for that."""
    both = isinstance(level, np.ndarray) and isinstance(finer, np.ndarray)
    return both and np.may_share_memory(level, finer)


def longest_axes(shape: tuple[int, ...]) -> list[int]:
    """The two longest axes, in order."""
    return sorted(sorted(range(len(shape)), key=lambda axis: -shape[axis])[:2])


def why_not_written(levels: Sequence[Any]) -> str:
    """Why labels of these levels cannot be written, for a sentence; empty where they can."""
    for number, level in enumerate(levels):
        which = f"level {number} of it" if len(levels) > 1 else "its array"
        kind = type(level).__module__.partition(".")[0]
        if kind == "dask":
            return f"{which} is computed by dask"
        writeable = level.flags.writeable if isinstance(level, np.ndarray) else not getattr(level, "read_only", False)
        if not writeable:
            return f"{which} is read-only"
        if len(levels) > 1 and not isinstance(level, np.ndarray) and kind != "zarr":
            return f"{which} is neither numpy nor zarr"
    return ""
