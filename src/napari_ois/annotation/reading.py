"""One rule: which pixels of the network's answer are the object is decided here; the network is not asked again.

A pixel belongs to the object where its probability is above a threshold and, where the user wants it so, only if it
hangs together with a positive click: what looks like the object elsewhere in the image is then another one's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from napari_ois.annotation.clicks import Clicks
    from napari_ois.annotation.objects import Answer, Settings


def read_answer(answer: Answer, settings: Settings, positives: NDArray[np.floating]) -> NDArray[np.bool_]:
    """The object's mask, (H, W) bool, before any brush stroke.

    Parameters
    ----------
    answer : Prediction
    settings : Settings
        Its threshold, and whether parts without a click are left out.
    positives : (N, 2) float array
        Positive clicks, row and column in pixels of the answer.
    """
    mask = np.asarray(answer.mask if settings.threshold is None else answer.probability > settings.threshold)
    return connected_to(mask, positives) if settings.connected else mask


def played_positives(answer: Answer, clicks: Clicks) -> NDArray[np.floating]:
    """Positive clicks that an answer is to, (N, 2) row and column in pixels of the plane.

    Parameters
    ----------
    answer : Prediction
        Of what was played: a box's guess counts as the user's own clicks do. Not every predictor tells.
    clicks : Clicks
        The user's own.
    """
    points, labels = getattr(answer, "points", None), getattr(answer, "labels", None)
    return clicks.positives if points is None or labels is None else np.asarray(points)[np.asarray(labels) == 1]


def connected_to(mask: NDArray[np.bool_], points: ArrayLike) -> NDArray[np.bool_]:
    """The parts of a mask that hold a point; pixels that touch at a corner hang together.

    Parameters
    ----------
    mask : (H, W) bool
    points : (N, 2) array
        Row and column in pixels; those outside of the mask say nothing.

    Returns
    -------
    (H, W) bool
        The mask as it is where no point lies on it: there is nothing to go by.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    places = np.floor(np.asarray(points, dtype=np.float64).reshape(-1, 2) + 0.5).astype(int)
    inside = ((places >= 0) & (places < mask.shape)).all(axis=1)
    places = places[inside]
    places = places[mask[places[:, 0], places[:, 1]]]
    if not len(places):
        return mask
    from scipy.ndimage import label  # takes a while to import

    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    parts, _ = label(mask[box], structure=np.ones((3, 3)))
    wanted = np.unique(parts[places[:, 0] - rows[0], places[:, 1] - columns[0]])
    kept = np.zeros_like(mask)
    kept[box] = np.isin(parts, wanted)
    return kept
