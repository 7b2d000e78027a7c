"""One rule: what is met along a ray gives its depth - the brightest, the darkest, or the first above a threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from napari_ois.errors import InputError
from napari_ois.segmentation.stack_depth import DepthMap, First, RunningPeak, settle, to_depth_map
from napari_ois.segmentation.stack_planes import StackPlanes, Steps, grey, smooth

Extreme = Literal["max", "min"]

NOISE_TIMES = 5.0
"""The extreme of a ray is a signal where it stands out from the ray's mean by so many times the noise."""

RANGE_SHARE = 0.05
"""It must stand out by this share of the largest rise as well: a stack without noise has faint halos."""

OTSU_PLANES = 32
"""A threshold is found from at most so many planes, evenly spread."""

OTSU_VALUES = 1_000_000
"""And from about so many values of them."""


def project_depth(
    planes: StackPlanes,
    extreme: Extreme,
    *,
    first: First,
    threshold: float | None,
    smoothing: float,
    median: int,
    steps: Steps,
) -> DepthMap:
    """Depth-coded maximum or minimum projection, with the projection; reads each plane once.

    Parameters
    ----------
    planes : StackPlanes
    extreme : "max" or "min"
    first : "near" or "far"
    threshold : float, optional
        A ray is known where its smoothed extreme is at least (for the minimum: at most) this. By default where
        it stands out from the ray's mean by more than the noise.
    smoothing : float
        Width of the Gaussian smoothing of each plane before they are compared, in pixels of the more finely
        sampled of rows and columns.
    median : int
        Side of the median filter over the places, in pixels.
    steps : Steps
        For as many planes as there are.

    Raises
    ------
    InputError
        If no ray is known.
    """
    sign = 1 if extreme == "max" else -1
    # Unlike np.maximum, these pass over NaN.
    further: Callable[..., NDArray[Any]] = np.fmax if extreme == "max" else np.fmin
    sigma = planes.sigma(smoothing)
    peak: RunningPeak | None = None
    image: NDArray[Any] | None = None
    noises = []
    for index in steps.over(range(len(planes))):
        plane = planes.read(index)
        image = plane.copy() if image is None else further(image, plane)
        values = grey(plane)
        score = smooth(values, sigma)
        noises.append(_noise(values - score))
        peak = peak or RunningPeak(planes.shape, score.dtype)
        peak.add(index, sign * score)
    assert peak is not None and image is not None  # a stack has two planes or more
    if threshold is not None:
        known = np.isfinite(peak.best) & (peak.best >= sign * threshold)
    else:
        rise = np.nan_to_num(peak.best - peak.others(), nan=0.0, neginf=0.0)
        # Averaging over a Gaussian leaves this share of a noise that differs from pixel to pixel.
        left = 1 / max(1.0, np.sqrt(4 * np.pi * sigma[0] * sigma[1]))
        known = rise > max(NOISE_TIMES * left * float(np.median(noises)), RANGE_SHARE * float(rise.max()))
    if not known.any():
        side = "at or above" if extreme == "max" else "at or below"
        reason = "stands out in any plane" if threshold is None else f"is {side} the threshold {threshold:g}"
        raise InputError(
            f"Nothing in the stack {reason}, so the projection tells no depth; give another axis or threshold."
        )
    place = settle(peak.place(), known, planes.pixel, median).clip(0, len(planes) - 1)
    return to_depth_map(place, known, step=planes.step, first=first, image=image, behind=True)


def surface_depth(
    planes: StackPlanes,
    *,
    first: First,
    threshold: float | None,
    smoothing: float,
    median: int,
    steps: Steps,
) -> DepthMap:
    """The first surface above a threshold, seen from the near end, with a relief of it to segment.

    Reading stops when every ray has met something. The relief is lit from the viewer: the cosine of the angle
    between the surface and the plane, 0 where nothing was met.

    Parameters
    ----------
    planes, first, smoothing, median
        As for :func:`project_depth`.
    threshold : float, optional
        By default Otsu's, which takes up to 32 planes more to be read.
    steps : Steps
        For as many planes as there are, and :func:`otsu_planes` more without a threshold.

    Raises
    ------
    InputError
        If nothing is above the threshold, or the stack has one value only.
    """
    sigma = planes.sigma(smoothing)
    level = _otsu(planes, sigma, steps) if threshold is None else threshold
    place = np.full(planes.shape, np.nan)
    order = range(len(planes)) if first == "near" else range(len(planes) - 1, -1, -1)
    towards = 1 if first == "near" else -1
    before: NDArray[np.floating] | None = None
    for index in steps.over(order):
        values = smooth(grey(planes.read(index)), sigma)
        met = np.isnan(place) & (values >= level)  # False for NaN
        if before is None:
            place[met] = index
        else:
            share = (level - before[met]) / (values[met] - before[met])  # NaN after a NaN
            place[met] = index - towards * (1 - np.where(np.isfinite(share), share, 1.0))
        before = values
        if not np.isnan(place).any():
            break
    known = np.isfinite(place)
    if not known.any():
        raise InputError(f"Nothing in the stack is at or above the threshold {level:g}; give a lower one.")
    settled = settle(place, known, planes.pixel, median)
    # A ray that meets nothing must not light up its neighbours' slopes, so the filled map is differentiated.
    slopes = np.gradient(settled * planes.step, *planes.pixel) if min(planes.shape) > 1 else [0.0, 0.0]
    relief = np.where(known, 1 / np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2), 0).astype(np.float32)
    return to_depth_map(settled, known, step=planes.step, first=first, image=relief, behind=True)


def otsu_planes(count: int) -> list[int]:
    """Which of ``count`` planes Otsu's threshold is found from."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, OTSU_PLANES))})


def _otsu(planes: StackPlanes, sigma: tuple[float, float], steps: Steps) -> float:
    chosen = otsu_planes(len(planes))
    rows, columns = planes.shape
    stride = max(1, int(np.sqrt(rows * columns * len(chosen) / OTSU_VALUES)))
    parts = [smooth(grey(planes.read(i)), sigma)[::stride, ::stride].ravel() for i in steps.over(chosen)]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    if not values.size or values.min() == values.max():
        raise InputError("The stack has the same value everywhere, so it has no surface; give another stack.")
    return float(threshold_otsu(values))


def _noise(rest: NDArray[np.floating]) -> float:
    """Standard deviation of what smoothing took away, from its median size, which edges change little."""
    rest = np.abs(rest[np.isfinite(rest)])
    return 1.4826 * float(np.median(rest)) if rest.size else 0.0
