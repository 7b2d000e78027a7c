"""One rule: places of an image are boxes of its pixels; an answer lies on a frame, a box in cells.

Of an ordinary image the frame is all of it in its pixels. Of a large image it is the region that was worked on. One
that is wider than :data:`MOST` pixels has cells of several pixels, so that no answer needs more memory than another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 2048
"""Cells along the longest side of a frame of a large image."""


@dataclass(frozen=True)
class View:
    """A box of the image in pixels; ``bottom`` and ``right`` are the first pixel beyond it."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def whole(cls, image_shape: tuple[int, int]) -> View:
        """All of an image."""
        return cls(0, 0, *image_shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def rows(self) -> slice:
        """Its rows of the image."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Its columns of the image."""
        return slice(self.left, self.right)

    def holds(self, points: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether each of (N, 2) points, row and column in image pixels, lies on the view or its rim."""
        corners = np.array([(self.top, self.left), (self.bottom, self.right)], np.float32) - 0.5
        return ((points >= corners[0]) & (points <= corners[1])).all(axis=1)

    def contains(self, other: View) -> bool:
        """Whether another view lies within it."""
        return (
            self.top <= other.top
            and self.left <= other.left
            and other.bottom <= self.bottom
            and other.right <= self.right
        )

    def local(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 2) points in image pixels -> in pixels of the view."""
        return points - np.array([self.top, self.left], np.float32)


@dataclass(frozen=True)
class Frame:
    """Where an answer lies.

    Attributes
    ----------
    view : View
        The box, in pixels of the image.
    shape : (int, int)
        Rows and columns of cells.
    """

    view: View
    shape: tuple[int, int]

    @classmethod
    def whole(cls, image_shape: tuple[int, int]) -> Frame:
        """All of an image, in its pixels."""
        return cls(View.whole(image_shape), image_shape)

    @classmethod
    def bounded(cls, view: View) -> Frame:
        """A box in its pixels, or in fewer cells where it is wide."""
        scale = min(1.0, MOST / max(view.shape))
        return cls(view, (max(1, round(view.shape[0] * scale)), max(1, round(view.shape[1] * scale))))

    @classmethod
    def around(cls, low: tuple[int, int], high: tuple[int, int], image_shape: tuple[int, int]) -> Frame:
        """A square around a box that ends before ``high``, with some room; at least half of the most cells wide."""
        side = max(MOST // 2, round(1.5 * max(high[0] - low[0], high[1] - low[1])))
        start, stop = [], []
        for begin, end, length in zip(low, high, image_shape, strict=True):
            start.append(max(0, min((begin + end - side) // 2, length - side)))
            stop.append(min(length, start[-1] + side))
        return cls.bounded(View(start[0], start[1], stop[0], stop[1]))

    @property
    def cell(self) -> tuple[float, float]:
        """Rows and columns of pixels in a cell."""
        return self.view.shape[0] / self.shape[0], self.view.shape[1] / self.shape[1]

    @property
    def native(self) -> bool:
        """Whether cells are pixels."""
        return self.shape == self.view.shape

    def to_cells(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 2) row, column in pixels of the image -> in cells, centres at integers."""
        local = self.view.local(points)
        return local if self.native else ((local + 0.5) / np.asarray(self.cell, np.float32) - 0.5).astype(np.float32)
