"""Rule: the robot user clicks where the largest circle fits into what is wrong, and nowhere twice.

It is the evaluation clicker of RITM, SimpleClick and SegNext, which the OIS paper reuses: false
negatives and false positives each get an exact Euclidean distance transform in which the image's
border counts as the object's border; the deeper one is clicked at its maximum, the first in
row-major order if several pixels tie; a tie between the two kinds is a negative click.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt

from napari_ois.errors import InputError
from napari_ois.evaluation.metrics import IGNORE, iou

Predict = Callable[[np.ndarray, np.ndarray, Any], tuple[np.ndarray, Any]]
"""(points (N, 2) row, column; labels (N,); previous state or None) -> (mask (H, W) bool, state)."""


def next_click(
    prediction: np.ndarray,
    target: np.ndarray,
    ignore: np.ndarray | None = None,
    clicked: Iterable[tuple[int, int]] = (),
) -> tuple[int, int, int] | None:
    """Where the robot user clicks next.

    Parameters
    ----------
    prediction : (H, W) bool
        The present mask; all False before the first click.
    target : (H, W) bool or uint8
        The true object; 255 in a uint8 target is ignored too.
    ignore : (H, W) bool, optional
        Pixels that are never wrong.
    clicked : iterable of (row, column)
        Pixels clicked before; they are not clicked again.

    Returns
    -------
    (row, column, label) or None
        Label 1 positive, 0 negative; None when nothing is left to click.
    """
    if prediction.shape != target.shape:
        raise InputError(f"The mask is {prediction.shape}, but the target is {target.shape}.")
    predicted = prediction.astype(bool)
    true = target == 1
    counted = target != IGNORE
    if ignore is not None:
        counted &= ~ignore.astype(bool)
    before = tuple(clicked)
    missed, row_m, column_m = _deepest(true & ~predicted & counted, before)
    excess, row_e, column_e = _deepest(~true & predicted & counted, before)
    if missed <= 0 and excess <= 0:
        return None
    # strictly deeper: a tie is a negative click
    return (row_m, column_m, 1) if missed > excess else (row_e, column_e, 0)


def _deepest(wrong: np.ndarray, clicked: tuple[tuple[int, int], ...]) -> tuple[float, int, int]:
    """Largest distance to a pixel that is right, with row and column; (0, -1, -1) if none."""
    rows = np.flatnonzero(wrong.any(axis=1))
    if not len(rows):
        return 0.0, -1, -1
    top, bottom = int(rows[0]), int(rows[-1])
    columns = np.flatnonzero(wrong[top : bottom + 1].any(axis=0))
    left, right = int(columns[0]), int(columns[-1])
    # The ring of zeros is the image border where the box touches it, and pixels that are right
    # elsewhere; no zero beyond the ring can be nearer, so the transform of the box is exact.
    box = np.pad(wrong[top : bottom + 1, left : right + 1], 1)
    depth = distance_transform_edt(box)[1:-1, 1:-1]
    for row, column in clicked:
        if top <= row <= bottom and left <= column <= right:
            depth[row - top, column - left] = 0.0
    # argmax takes the first maximum in row-major order
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    return float(depth[row, column]), top + row, left + column


def evaluate_object(predict: Predict, target: np.ndarray, max_clicks: int = 20) -> list[float]:
    """Let the robot user segment one object.

    Parameters
    ----------
    predict : callable
        (points, labels, previous state or None) -> (mask (H, W) bool, state), with all clicks.
    target : (H, W) uint8
        1 object, 0 not, 255 ignore.
    max_clicks : int
        Clicks to make.

    Returns
    -------
    list of float
        IoU after click 1, 2, ..., `max_clicks`. When nothing is left to click, the last IoU is
        repeated, as the user would keep the mask.

    Raises
    ------
    InputError
        When the target holds no object or no click is allowed.
    """
    if max_clicks < 1:
        raise InputError("The number of clicks must be at least 1.")
    if not (target == 1).any():
        raise InputError("The target holds no object pixel; there is nothing to click.")
    mask = np.zeros(target.shape, bool)
    points: list[tuple[int, int]] = []
    labels: list[int] = []
    ious: list[float] = []
    state = None
    while len(ious) < max_clicks:
        click = next_click(mask, target, clicked=points)
        if click is None:
            ious += [ious[-1]] * (max_clicks - len(ious))
            break
        points.append(click[:2])
        labels.append(click[2])
        mask, state = predict(np.array(points, np.float32), np.array(labels, np.int64), state)
        ious.append(iou(mask, target))
    return ious
