"""One rule: a large image is read in windows, at the resolution that is needed there, and once as a whole: coarsely.

The overview is that one coarse copy, in memory. It is the coarsest level of a pyramid that has enough pixels; where
there is no pyramid, every so-manieth pixel. Windows are cut out of the coarsest level that is fine enough.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.segmentation.frame import Frame, View
from napari_ois.segmentation.lazy_plane import LazyPlane

OVERVIEW = 2048
"""Longest side of the overview is at least this where the image has it, and less than twice this."""


class Pyramid:
    """Levels of one plane, finest first.

    Parameters
    ----------
    levels : list of LazyPlane
        The first has the image's own resolution. That of the others follows from their shapes.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns at the image's own resolution.
    overview : (h, w) or (h, w, C) array
    covered : Frame
        Where its pixels lie; it may end beyond the image or before it, by less than one of them.
    """

    def __init__(self, levels: list[LazyPlane]) -> None:
        self.shape = (levels[0].shape[0], levels[0].shape[1])
        source = next((level for level in reversed(levels) if max(level.shape[:2]) >= OVERVIEW), levels[0])
        step = max(1, max(source.shape[:2]) // OVERVIEW)
        # From the middle of the first cell on: so each pixel stands for the cell around it, which a side may not fill.
        top, left = (min(step // 2, (side - 1) // 2) for side in source.shape[:2])
        self.overview = np.ascontiguousarray(source[top::step, left::step])
        rows, columns = self.overview.shape[:2]
        bottom, right = (
            round(n * step * full / read)
            for n, full, read in zip((rows, columns), self.shape, source.shape[:2], strict=True)
        )
        self.covered = Frame(View(0, 0, bottom, right), (rows, columns))
        fine = [level for level in levels if level.shape[0] > self.overview.shape[0]]
        self._levels: list[Any] = [*fine, self.overview]

    def window(self, view: View, pixels: int) -> NDArray[Any]:
        """Read a box of the image.

        Parameters
        ----------
        view : View
            In pixels of the image.
        pixels : int
            How many pixels its longest side must have at least, where the image has so many.

        Returns
        -------
        (h, w) or (h, w, C) array
            Less than twice as many along the longest side, give or take a pixel of the level that was read.
        """
        longest = max(view.shape)
        for level in reversed(self._levels):
            along = [level.shape[axis] / self.shape[axis] for axis in (0, 1)]
            if longest * max(along) >= pixels or level is self._levels[0]:
                break
        step = max(1, int(longest * max(along) // pixels))
        cuts = []
        for axis, (start, stop) in enumerate(((view.top, view.bottom), (view.left, view.right))):
            begin = int(start * along[axis])
            end = min(level.shape[axis], max(begin + 1, int(np.ceil(stop * along[axis]))))
            begin = min(begin, end - 1)
            first = begin + step // 2
            cuts.append(slice(first if first < end else begin, end, step))
        return np.asarray(level[cuts[0], cuts[1]])
