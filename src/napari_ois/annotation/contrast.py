"""One rule: an object that is still there differs from its surroundings as it did where it was settled.

A network that goes on from a mask tends to keep it where there is nothing any more. What it looks at says so: the
difference between the inside of the mask and a ring around it is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RING = 0.25
"""Width of the ring around a mask, in square roots of its area; at least three pixels."""
FAINT = 0.3
"""Differences below so many standard deviations of the inside say nothing."""


class Contrast(NamedTuple):
    """How a mask differs from what is around it.

    Attributes
    ----------
    difference : (C,) float64
        Mean of the inside less mean of the ring, for each channel.
    spread : float
        Standard deviation of the inside, over all channels.
    """

    difference: NDArray[np.float64]
    spread: float


See = Callable[[int, NDArray[np.bool_]], "Contrast | None"]
"""From a slice's number and a mask on it, its contrast there."""


def contrast(pixels: ArrayLike, mask: NDArray[np.bool_]) -> Contrast | None:
    """Measure a mask on a plane.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C) array
    mask : (H, W) bool

    Returns
    -------
    Contrast or None
        None where the mask is empty, or leaves no ring.
    """
    from scipy.ndimage import distance_transform_edt

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    width = max(3.0, RING * float(np.sqrt(np.count_nonzero(mask))))
    pad = int(np.ceil(width)) + 1
    window = (
        slice(max(0, rows[0] - pad), rows[-1] + pad + 1),
        slice(max(0, columns[0] - pad), columns[-1] + pad + 1),
    )
    inside = mask[window]
    away = distance_transform_edt(~inside)
    ring = (away > 1.5) & (away <= width)  # the rim itself is blurred
    if not ring.any():
        return None
    part = np.asarray(pixels)[window].astype(np.float64)
    part = part[..., None] if part.ndim == 2 else part
    within = part[inside]
    return Contrast(within.mean(axis=0) - part[ring].mean(axis=0), float(np.sqrt(within.var(axis=0).mean())))


def kept(now: Contrast | None, then: Contrast | None) -> float | None:
    """Share of a contrast that is left: 1 all of it, 0 or less nothing.

    None where the contrast was too faint to say, or is not known.
    """
    if now is None or then is None:
        return None
    size = float(np.linalg.norm(then.difference))
    if size < FAINT * then.spread or size == 0:
        return None
    return float(now.difference @ then.difference) / size**2
