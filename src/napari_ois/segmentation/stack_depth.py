"""One rule: each pixel keeps the best plane seen so far, and the best is placed between planes.

Depth from focus, projections and surfaces all end here: a position along the axis for each pixel, some of them
unknown, becomes a map in [0, 1] with nothing unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_ois.segmentation.depth import prepare_depth

First = Literal["near", "far"]
"""Which end the stack's first plane is: nearest to the viewer or farthest."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """What a source of order found.

    Attributes
    ----------
    depth : (H, W) float32 in [0, 1], or None
        Larger = nearer; what was unknown is filled in. Give it to ``Predictor.set_image``. None = the model
        estimates it itself, and ``Predictor.depth`` has it afterwards.
    known : (H, W) bool
        Where the depth was found and not filled in.
    image : (H, W) or (H, W, C) array, or None
        The image to segment, where the source makes one from a stack.
    position : (H, W) float32, or None
        Of a stack: the place along the axis in the spacing's unit, 0 at the first plane, NaN where unknown.
    """

    depth: NDArray[np.float32] | None
    known: NDArray[np.bool_]
    image: NDArray[Any] | None = None
    position: NDArray[np.float32] | None = None


class RunningPeak:
    """The highest score of each pixel over the planes so far, and its neighbours on both sides.

    Holds six planes whatever the length of the stack.

    Parameters
    ----------
    shape : (int, int)
    dtype : float dtype
        Of the scores.
    """

    def __init__(self, shape: tuple[int, int], dtype: Any = np.float32) -> None:
        self.best = np.full(shape, -np.inf, dtype)
        self.total = np.zeros(shape, np.float64)
        self.count = np.zeros(shape, np.int32)
        self._index = np.zeros(shape, np.int32)
        self._before = np.full(shape, np.nan, dtype)
        self._after = np.full(shape, np.nan, dtype)
        self._last = np.full(shape, np.nan, dtype)

    def add(self, index: int, score: NDArray[np.floating]) -> None:
        """Take in the next plane's scores, (H, W); NaN is never the best. Of equal ones the first stays."""
        finite = np.isfinite(score)
        self.total += np.where(finite, score, 0)
        self.count += finite
        higher = score > self.best  # False for NaN
        follows = (self._index == index - 1) & ~higher
        self._after[follows] = score[follows]
        self.best[higher] = score[higher]
        self._before[higher] = self._last[higher]
        self._after[higher] = np.nan
        self._index[higher] = index
        self._last = score

    def others(self) -> NDArray[np.float64]:
        """Mean score of the planes other than the best, (H, W); NaN where there is none."""
        rest = np.where(self.count > 1, self.count - 1, np.nan)
        return (self.total - np.where(self.count > 0, self.best, 0)) / rest

    def place(self, *, logarithm: bool = False) -> NDArray[np.float64]:
        """Index of the best plane, (H, W), moved by up to half a plane to the top of a parabola.

        Parameters
        ----------
        logarithm : bool
            Lay the parabola through the logarithms of positive scores, which is exact for a peak of Gaussian
            shape.
        """
        before, best, after = (values.astype(np.float64) for values in (self._before, self.best, self._after))
        if logarithm:
            tiny = np.finfo(self.best.dtype).tiny
            before, best, after = (np.log(np.maximum(values, tiny)) for values in (before, best, after))
        with np.errstate(invalid="ignore", divide="ignore"):
            bend = before - 2 * best + after
            shift = 0.5 * (before - after) / bend
        shift = np.where(np.isfinite(shift) & (bend < 0), shift, 0.0)  # at both ends there is no parabola
        return self._index + shift.clip(-0.5, 0.5)


def settle(
    place: NDArray[np.float64], known: NDArray[np.bool_], pixel: tuple[float, float], median: int
) -> NDArray[np.float64]:
    """Fill unknown places from the nearest known pixel and take out single outliers.

    Parameters
    ----------
    place : (H, W) float64
    known : (H, W) bool, True somewhere
    pixel : (float, float)
        Distance between rows and between columns.
    median : int
        Side of the median filter in pixels; 1 or less = none.

    Returns
    -------
    (H, W) float64.
    """
    if not known.all():
        nearest = ndimage.distance_transform_edt(~known, sampling=pixel, return_distances=False, return_indices=True)
        place = place[tuple(nearest)]
    return ndimage.median_filter(place, size=median, mode="nearest") if median > 1 else place


def to_depth_map(
    place: NDArray[np.float64],
    known: NDArray[np.bool_],
    *,
    step: float,
    first: First,
    image: NDArray[Any],
    behind: bool,
) -> DepthMap:
    """Turn settled places into what a source gives.

    Parameters
    ----------
    place : (H, W) float64
        In planes.
    known : (H, W) bool
    step : float
        Distance from plane to plane.
    first : "near" or "far"
    image : array
    behind : bool
        Put what is unknown behind all else: nothing was met there. Otherwise it keeps its place.
    """
    near = -place if first == "near" else place
    if behind and known.any():
        near = np.where(known, near, near[known].min())
    position = np.where(known, place * step, np.nan).astype(np.float32)
    return DepthMap(prepare_depth(near, near.shape), known, image, position)
