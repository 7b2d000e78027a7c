"""Clicks for training: where the first ones fall, and where a user would correct a wrong mask.

The rule of this file: numpy in, numpy out, one object at a time, every draw from the generator given. The
laws are RITM's (as SegNext, which the paper follows, uses them); the compact recipe draws its first click
nearer to the middle of the object, where users and the robot of the evaluation click.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_CLICKS = 24
"""Most positive, and most negative, clicks drawn at first."""

THRESHOLD = 0.49

Click = tuple[float, float, int]
"""Row, column, label (1 positive, 0 negative)."""

Mask = NDArray[np.bool_]


def distance_inside(mask: Mask) -> NDArray[np.float32]:
    """Distance of each pixel of ``mask`` to its border; the image's border counts as one."""
    padded = np.pad(mask.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def _draw(rng: np.random.Generator, where: Mask) -> tuple[int, int] | None:
    places = np.flatnonzero(where)
    if places.size == 0:
        return None
    row, column = divmod(int(places[rng.integers(places.size)]), where.shape[1])
    return row, column


def first_click(rng: np.random.Generator, truth: Mask) -> Click | None:
    """One positive click: at the middle, in the inner half, or anywhere but the rim (55, 30, 15 %).

    Parameters
    ----------
    truth : (H, W) bool array

    Returns
    -------
    Click, or None for an empty object.
    """
    distance = distance_inside(truth)
    depth = rng.choice([0.999, 0.5, 0.15], p=[0.55, 0.30, 0.15])
    place = _draw(rng, truth & (distance >= depth * distance.max()))
    return None if place is None else (*place, 1)


def initial_clicks(
    rng: np.random.Generator, truth: Mask, others: Mask | None = None, valid: Mask | None = None
) -> list[Click]:
    """Draw RITM's random first clicks: one or more positive ones, any number of negative ones.

    Parameters
    ----------
    truth : (H, W) bool array
        The object; may be empty, then there is no positive click.
    others : (H, W) bool array, optional
        Other objects, where 40 % of the negative clicks fall; without any, these fall anywhere.
    valid : (H, W) bool array, optional
        Pixels that may be clicked: neither padding nor an annotation's unclear ones.

    Returns
    -------
    list of Click, positive ones first. The number of positive clicks is 1 + k and of negative ones k, with
    P(k) proportional to 0.8^k and at most 24 of each.
    """
    powers = 0.8 ** np.arange(MAX_CLICKS + 1)
    clicks: list[Click] = []
    if truth.any():
        law = powers[:MAX_CLICKS] / powers[:MAX_CLICKS].sum()
        inner = truth
        if rng.random() < 0.9:
            eroded = cv2.erode(truth.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=3) > 0
            inner = eroded if eroded.sum() > 10 else truth
        for _ in range(1 + int(rng.choice(MAX_CLICKS, p=law))):
            place = _draw(rng, inner)
            if place is not None:
                clicks.append((*place, 1))
    reach = 2 * int(np.ceil(0.1 * np.sqrt(truth.sum()))) + 1
    grown = cv2.dilate(truth.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    outside = ~truth if valid is None else valid & ~truth
    beside = outside if others is None else others & outside
    regions = (outside, beside if beside.any() else outside, grown & outside)
    for _ in range(int(rng.choice(MAX_CLICKS + 1, p=powers / powers.sum()))):
        place = _draw(rng, regions[rng.choice(3, p=[0.1, 0.4, 0.5])])
        if place is not None:
            clicks.append((*place, 0))
    return clicks


def next_click(
    rng: np.random.Generator,
    probability: NDArray[np.floating],
    truth: Mask,
    valid: Mask | None = None,
    *,
    at_maximum: float = 0.0,
) -> Click | None:
    """Draw the corrective click that follows a prediction.

    Parameters
    ----------
    probability : (H, W) float array
    truth, valid : (H, W) bool arrays
        Pixels that are not ``valid`` are never wrong.
    at_maximum : float
        Probability of clicking the very middle of the error, as the robot of the evaluation does, instead
        of uniformly where the distance to its border exceeds half the largest.

    Returns
    -------
    Click, or None when nothing is wrong. Positive if the largest inscribed circle of the false negatives is
    larger than that of the false positives; a tie is negative.
    """
    valid = np.ones_like(truth) if valid is None else valid
    missed = distance_inside(truth & (probability < THRESHOLD) & valid)
    spilled = distance_inside(~truth & (probability > THRESHOLD) & valid)
    positive = bool(missed.max() > spilled.max())
    distance = missed if positive else spilled
    if distance.max() == 0:
        return None
    share = 0.999 if rng.random() < at_maximum else 0.5
    place = _draw(rng, distance > share * distance.max())
    return None if place is None else (*place, int(positive))


def stack_clicks(clicks: list[list[Click]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Pad the objects' click lists to one length.

    Returns
    -------
    points : (B, N, 2) float32, row and column
    labels : (B, N) int64, -1 = no click; N is at least one.
    """
    length = max(1, max(len(c) for c in clicks))
    points = np.zeros((len(clicks), length, 2), np.float32)
    labels = np.full((len(clicks), length), -1, np.int64)
    for row, own in enumerate(clicks):
        for column, (y, x, label) in enumerate(own):
            points[row, column] = y, x
            labels[row, column] = label
    return points, labels
