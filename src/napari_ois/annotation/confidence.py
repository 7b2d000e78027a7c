"""One rule: what is unsure is said from the probabilities alone; the click suggested is in the middle of most of it.

A pixel is unsure where its probability is near the threshold that decides about it. A click says most where a whole
region is unsure: not at the rim, which always is. So it is suggested where the largest circle fits into what is
unsure, as the robot user of the evaluation clicks where the largest circle fits into what is wrong. numpy and scipy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ois.annotation.clicks import Clicks
from napari_ois.errors import InputError

THRESHOLD = 0.49
"""Of a predictor that is told no other (RITM's and SegNext's value)."""
LOWEST, HIGHEST = 0.05, 0.95
"""Thresholds that a user can choose."""
BAND = 0.2
"""Half the width of the band of unsure probabilities around a threshold of one half; see :func:`unsure`."""
NEAR = 3
"""Pixels around a click, along either axis, where no other is suggested."""


@dataclass(frozen=True)
class Suggestion:
    """Where a click would say most.

    Attributes
    ----------
    row, column : int
        The pixel.
    probability : float
        That it belongs to the object.
    radius : float
        Of the largest circle in what is unsure, in pixels; 0 where only single pixels are.
    """

    row: int
    column: int
    probability: float
    radius: float


def unsure(probability: NDArray[np.floating], threshold: float | None = None, band: float = BAND) -> NDArray[np.bool_]:
    """The pixels whose probability is within a band around the threshold.

    The band reaches the same share of the way to 0 and to 1, twice ``band``: around 0.5 it is as wide to both sides,
    and around 0.8 what is nearly 1 is still sure.

    Parameters
    ----------
    probability : (H, W) float array in [0, 1]
    threshold : float, optional
        By default the predictor's own.
    band : float
        Over 0 and below 0.5.

    Returns
    -------
    (H, W) bool

    Raises
    ------
    InputError
        If the band holds nothing or everything.
    """
    if not 0 < band < 0.5:
        raise InputError(f"A band of {band} around the threshold holds nothing or everything; give 0.01 to 0.49.")
    middle = THRESHOLD if threshold is None else threshold
    low, high = middle * (1 - 2 * band), middle + (1 - middle) * 2 * band
    return np.asarray((probability >= np.float32(low)) & (probability <= np.float32(high)))


def mask_score(probability: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """Mean probability over a mask's pixels, as :attr:`napari_ois.Prediction.score` has it; 0 for an empty one."""
    return float(probability[mask].mean()) if mask.any() else 0.0


def suggest_click(
    probability: NDArray[np.floating],
    clicks: Clicks,
    threshold: float | None = None,
    band: float = BAND,
) -> Suggestion | None:
    """Find where a click would say most; which kind it is to be only the user knows.

    Parameters
    ----------
    probability : (H, W) float array in [0, 1]
        Of the answer to ``clicks``.
    clicks : Clicks
        The next one is not suggested on top of them.
    threshold, band : float
        See :func:`unsure`.

    Returns
    -------
    Suggestion or None
        None where every pixel away from the clicks is sure.
    """
    where = unsure(probability, threshold, band)
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    part = where[top : rows[-1] + 1, left : columns[-1] + 1]
    from scipy.ndimage import distance_transform_edt

    # The ring of pixels around the box is sure, or the image's border, so the distances in it are exact.
    depth = distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    for click in clicks:
        row, column = round(click.row) - top, round(click.column) - left
        depth[max(0, row - NEAR) : max(0, row + NEAR + 1), max(0, column - NEAR) : max(0, column + NEAR + 1)] = 0
    deepest = float(depth.max())
    if deepest == 0:
        return None
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    return Suggestion(top + row, left + column, float(probability[top + row, left + column]), deepest - 1)
