"""One rule: clicks are checked before the network sees them; the message names the wrong one.

A click is a row and a column in image pixels with pixel centres at integers; the image covers -0.5
to H - 0.5 and
-0.5 to W - 0.5, borders included.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.errors import InputError

MOST_STRENGTH = 16.0
"""Order is multiplied by at most this much: beyond it, attention only sees what lies exactly as deep."""


def check_clicks(
    points: ArrayLike, labels: ArrayLike, image_shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Check clicks and labels against an image.

    Parameters
    ----------
    points : (N, 2) array
        Row, column; N >= 1.
    labels : (N,) array
        1 positive, 0 negative; at least one positive.
    image_shape : (int, int)
        Rows and columns.

    Returns
    -------
    points : (N, 2) float32
    labels : (N,) int64

    Raises
    ------
    InputError
        With one sentence that names the first click that is wrong.
    """
    clicks = _numbers(points, "points")
    kinds = _numbers(labels, "labels")
    if clicks.size == 0:
        raise InputError("There is no click; give at least one positive click.")
    if clicks.ndim != 2 or clicks.shape[1] != 2:
        raise InputError(f"points has shape {clicks.shape}, but it must be (N, 2): row, column.")
    if kinds.shape != (len(clicks),):
        raise InputError(f"labels has shape {kinds.shape}, but {len(clicks)} clicks need shape ({len(clicks)},).")
    for number, (row, column) in enumerate(clicks, start=1):
        rows, columns = image_shape
        if not (-0.5 <= row <= rows - 0.5 and -0.5 <= column <= columns - 0.5):  # NaN is outside too
            raise InputError(
                f"Click {number} at row {row:g}, column {column:g} lies outside the image "
                f"of {rows} rows and {columns} columns; move it inside."
            )
    for number, kind in enumerate(kinds, start=1):
        if kind not in (0, 1):
            raise InputError(f"Click {number} has label {kind:g}; use 1 for positive, 0 for negative.")
    if not (kinds == 1).any():
        raise InputError("There are only negative clicks; add a positive click on the object first.")
    return clicks.astype(np.float32), kinds.astype(np.int64)


def _numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} holds something that is no number: {error}.") from error


def checked_strength(strength: float) -> float:
    """Give the strength of order; InputError where it is out of range."""
    if not 0 <= strength <= MOST_STRENGTH:  # NaN is refused too
        raise InputError(f"order_strength={strength} is out of range; give 0 (order off) to {MOST_STRENGTH:g}.")
    return float(strength)
