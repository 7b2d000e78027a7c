"""One rule: a given depth becomes a map in [0, 1], larger = nearer, known at every pixel.

Order needs the sign and the ratios of distances only, so any monotone measure of nearness will do:
disparity, inverse depth, height. A map of distances must be turned round by the caller
(``-distance``, or ``1 / distance``).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.errors import InputError

#: A map whose values differ by less than this share of the largest one counts as constant.
FLAT_SHARE = 1e-6


def prepare_depth(depth: ArrayLike, image_shape: tuple[int, int]) -> NDArray[np.float32]:
    """Check a depth map, fill what is unknown and normalise it.

    Parameters
    ----------
    depth : (H, W) array, bool, integer or float
        Larger = nearer. NaN and infinite values mean unknown; they take the median of the known
        ones, so they are neither nearest nor farthest. A constant map is allowed: order then says
        nothing.
    image_shape : (int, int)
        Rows and columns of the image that it belongs to.

    Returns
    -------
    (H, W) float32 in [0, 1]: (depth - min) / (max - min), all 0 where the map is constant.

    Raises
    ------
    InputError
        If the shape is not the image's, the dtype is no number, or nothing is known.
    """
    array = np.asarray(depth)
    if array.dtype.kind not in "buif":
        raise InputError(f"The depth has dtype {array.dtype}, but it must be integer or float.")
    if array.shape != tuple(image_shape):
        raise InputError(
            f"The depth has shape {array.shape}, but the image has {image_shape[0]} rows and "
            f"{image_shape[1]} columns; give one value per pixel."
        )
    values = array.astype(np.float64)
    known = np.isfinite(values)
    if not known.any():
        raise InputError("The depth has no finite value; leave it out to use the estimated depth.")
    values = np.where(known, values, np.median(values[known]))
    low, span = values.min(), np.ptp(values)
    if not span > FLAT_SHARE * np.abs(values).max():  # rounding noise is no order
        return np.zeros(values.shape, dtype=np.float32)
    return ((values - low) / span).astype(np.float32)


def depth_key(depth: NDArray[np.float32]) -> str:
    """What a prepared map is known by, whatever it was made from: 16 hexadecimal digits of its hash."""
    values = np.ascontiguousarray(depth, dtype="<f4")
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()[:16]
