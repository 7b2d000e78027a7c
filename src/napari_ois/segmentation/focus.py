"""One rule: a pixel lies where its neighbourhood is sharpest, and is shown as it looks there.

Depth from focus: the sharpness is the modified Laplacian (Nayar and Nakagawa, 1994), squared and averaged over a
window; a Gaussian through the sharpest plane and its neighbours places the pixel between planes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_ois.errors import InputError
from napari_ois.segmentation.stack_depth import DepthMap, First, RunningPeak, settle, to_depth_map
from napari_ois.segmentation.stack_planes import StackPlanes, Steps, grey


def sharpness(
    plane: NDArray[np.floating], detail: tuple[float, float], window: tuple[float, float]
) -> NDArray[np.floating]:
    """How much fine detail there is round each pixel.

    Parameters
    ----------
    plane : (H, W) float
        NaN and infinite values count as the plane's mean.
    detail : (float, float)
        Width of the Gaussian derivatives along rows and columns, in pixels.
    window : (float, float)
        Width of the Gaussian average, in pixels.

    Returns
    -------
    (H, W) float, 0 where there is no detail.
    """
    finite = np.isfinite(plane)
    if not finite.all():
        plane = np.where(finite, plane, plane[finite].mean() if finite.any() else 0)
    # The factor makes the two derivatives comparable where rows and columns are differently far apart.
    down = ndimage.gaussian_filter(plane, detail, order=(2, 0)) * detail[0] ** 2
    across = ndimage.gaussian_filter(plane, detail, order=(0, 2)) * detail[1] ** 2
    return ndimage.gaussian_filter((np.abs(down) + np.abs(across)) ** 2, window)


def focus_depth(
    planes: StackPlanes,
    *,
    first: First,
    detail: float,
    window: float,
    min_contrast: float,
    median: int,
    steps: Steps,
) -> DepthMap:
    """Depth from focus and the all-in-focus image; reads each plane twice.

    Parameters
    ----------
    planes : StackPlanes
    first : "near" or "far"
    detail, window : float
        See :func:`sharpness`; in pixels of the more finely sampled of rows and columns.
    min_contrast : float
        A pixel is known where its sharpest plane is so many times sharper than the mean of the others.
    median : int
        Side of the median filter over the places, in pixels.
    steps : Steps
        For twice as many planes as there are.

    Raises
    ------
    InputError
        If no pixel is known.
    """
    widths = planes.sigma(detail), planes.sigma(window)
    peak: RunningPeak | None = None
    for index in steps.over(range(len(planes))):
        score = sharpness(grey(planes.read(index)), *widths)
        peak = peak or RunningPeak(planes.shape, score.dtype)
        peak.add(index, score)
    assert peak is not None  # a stack has two planes or more
    floor = _rounding(peak.best)
    known = (peak.best > floor) & (peak.best > min_contrast * peak.others())
    if not known.any():
        raise InputError(
            "No part of the stack is clearly sharper in one plane than in the others, so focus tells no depth; "
            "lower min_contrast, or use a projection."
        )
    place = settle(peak.place(logarithm=True), known, planes.pixel, median).clip(0, len(planes) - 1)
    image = _in_focus(planes, place, steps)
    return to_depth_map(place, known, step=planes.step, first=first, image=image, behind=False)


def _in_focus(planes: StackPlanes, place: NDArray[np.float64], steps: Steps) -> NDArray[Any]:
    """Each pixel from the planes on both sides of its place, mixed by nearness; in the stack's dtype."""
    image: NDArray[Any] | None = None
    dtype = np.dtype(planes.stack.dtype)
    for index in steps.over(range(len(planes))):
        weight = (1 - np.abs(place - index)).clip(0, 1)
        plane = planes.read(index)
        if image is None:
            image = np.zeros(plane.shape, np.result_type(dtype, np.float32))
        here = weight > 0  # elsewhere a NaN of this plane must not count
        share = weight[here] if plane.ndim == 2 else weight[here][:, None]
        image[here] += (plane[here] * share).astype(image.dtype)
    assert image is not None
    if dtype.kind == "f":
        return image.astype(dtype)
    return image > 0.5 if dtype.kind == "b" else np.rint(image).astype(dtype)


def _rounding(best: NDArray[np.floating]) -> float:
    """Sharpness that rounding alone may give, as in a plane of one value."""
    return float(best.max()) * 1e-6
