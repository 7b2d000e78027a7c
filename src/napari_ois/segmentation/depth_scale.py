"""One rule: a region's depth is brought to the scale of the whole image's, so that order agrees between regions.

A network that estimates depth knows it up to scale and offset, and each region has its own. What the regions of an
image share is the overview, whose depth is on one scale: so a region's depth is placed by the slope and the offset
with which it meets the overview's depth there best. Both maps say the same at low resolution only, so that is where
they are compared; a few places where they contradict each other do not count for much (Huber's weights).

Where the overview is flat in a region it says nothing about the slope. The slope of the overview itself, from the
network's unit to the scale, is then as good a guess as any, since it is the same network: the fit is drawn to it
the more, the less there is to see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HUBER = 1.5
"""Residuals above this many typical ones (the median of all) count less."""
ROUNDS = 6
CALM = 0.02
"""Spread of a region's depth, as a share of the whole scale, at which the fit and the overview's slope weigh alike."""
MOST_FACTOR = 4.0
"""A region's slope is at most this many times steeper or flatter than the overview's: depth is never turned round."""


@dataclass(frozen=True)
class DepthScale:
    """``slope * depth + offset`` brings a depth map to the overview's scale; slope > 0."""

    slope: float
    offset: float

    def apply(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Place a map; what would lie nearer or farther than anything in the overview lies at its end, 0 or 1."""
        return np.clip(np.float32(self.slope) * depth + np.float32(self.offset), 0.0, 1.0).astype(np.float32)


def own_scale(raw: NDArray[np.float32], normalised: NDArray[np.float32]) -> DepthScale:
    """The overview's own: from the network's unit to its normalised depth."""
    low, high = float(raw.min()), float(raw.max())
    if not high > low:
        return DepthScale(1.0, -low)
    slope = float(normalised.max() - normalised.min()) / (high - low)
    if slope <= 0:  # too flat to be order there
        return DepthScale(1.0, -low)
    return DepthScale(slope, float(normalised.min()) - slope * low)


def fit_scale(region: NDArray[np.float32], overview: NDArray[np.float32], own: DepthScale) -> DepthScale:
    """Find slope and offset with which a region's depth meets the overview's.

    Parameters
    ----------
    region : (h, w) float32
        In the network's unit, at low resolution.
    overview : (h, w) float32
        The overview's normalised depth at the same places.
    own : DepthScale
        The overview's.
    """
    x, y = region.ravel().astype(np.float64), overview.ravel().astype(np.float64)
    weights = np.ones(len(x))
    calm = CALM / own.slope  # in the network's unit, of the whole scale's length
    slope, offset = own.slope, 0.0
    for _ in range(ROUNDS):
        total = weights.sum()
        centre_x, centre_y = (weights * x).sum() / total, (weights * y).sum() / total
        spread = (weights * (x - centre_x) ** 2).sum() / total
        common = (weights * (x - centre_x) * (y - centre_y)).sum() / total
        slope = (common + calm**2 * own.slope) / (spread + calm**2)
        slope = float(np.clip(slope, own.slope / MOST_FACTOR, own.slope * MOST_FACTOR))
        offset = float(centre_y - slope * centre_x)
        residual = np.abs(y - slope * x - offset)
        typical = max(float(np.median(residual)), 1e-6)
        weights = np.minimum(1.0, HUBER * typical / np.maximum(residual, 1e-12))
    return DepthScale(slope, offset)
