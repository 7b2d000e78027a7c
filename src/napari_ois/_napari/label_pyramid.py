"""One rule: labels of a large image are a pyramid in memory whose empty parts cost nothing.

A full array of 40,000 x 40,000 labels would take 6.4 GB, and napari would draw it by reading all of it. So there are
levels, each half as fine as the one before, in compressed chunks of which only those with labels exist. napari
shows a pyramid but does not let it be painted on: what is written here comes from accepted objects.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from zarr.storage import MemoryStore

from napari_ois._napari.label_levels import CHUNK, LabelLevels, longest_axes

COARSEST = 2048
"""The last level is at most this wide."""


class LabelPyramid(LabelLevels):
    """An empty label array of any number of axes, the two longest of which are halved from level to level.

    Its levels are int32; zarr, of a plane the last one numpy. A pixel of a coarser level is the one with even places
    of the level before.

    Parameters
    ----------
    shape : tuple of int
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        long = longest_axes(shape)
        levels: list[Any] = []
        shown = []
        sides, step = list(shape), 1
        while True:
            chunks = tuple(min(CHUNK, side) if axis in long else 1 for axis, side in enumerate(sides))
            levels.append(
                zarr.create_array(MemoryStore(), shape=tuple(sides), chunks=chunks, dtype="int32", fill_value=0)
            )
            shown.append([np.arange(side) * (step if axis in long else 1) for axis, side in enumerate(sides)])
            if max(sides[axis] for axis in long) <= COARSEST:
                break
            step *= 2
            for axis in long:
                sides[axis] = -(-sides[axis] // 2)
        if len(shape) == 2:
            # napari reads the coarsest level once and keeps it: what is written there must be seen all the same.
            levels[-1] = np.zeros(tuple(sides), np.int32)
        super().__init__(levels, shown)
