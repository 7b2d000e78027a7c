"""One rule: any image becomes the plane that the network sees, and coordinates go both ways.

Colour is settled at the image's own resolution, then the plane is resized to the network's input in
one step. Coordinates are row, column with pixel centres at integers, so pixel (0, 0) covers -0.5 to
0.5.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional

from napari_ois.errors import InputError

#: Percentiles that become 0 and 1 where contrast is rescaled: a few hot pixels do not count.
PERCENTILES = (0.1, 99.9)
#: Percentiles are taken from at most about this many values, drawn on a regular grid.
PERCENTILE_SAMPLES = 2_000_000


@dataclass(frozen=True)
class Geometry:
    """How one image lies in the network's input.

    Parameters
    ----------
    image_shape : (int, int)
        Rows and columns of the image.
    input_shape : (int, int)
        Rows and columns of the network's input.
    """

    image_shape: tuple[int, int]
    input_shape: tuple[int, int]

    @classmethod
    def fit(cls, image_shape: tuple[int, int], *, input_size: int, multiple: int) -> Geometry:
        """Keep the ratio: longest side ``input_size``, the other rounded to ``multiple``.

        Small images are enlarged as well: the network was trained on windows resampled to its
        input, so an object's size in input pixels must not depend on the camera. No side is less
        than one ``multiple``; an ``input_size`` that is no multiple is rounded to one.
        """
        longest = _round_to(input_size, multiple)
        scale = longest / max(image_shape)
        rows, columns = (_round_to(side * scale, multiple) for side in image_shape)
        return cls((int(image_shape[0]), int(image_shape[1])), (rows, columns))

    def to_input(self, points: ArrayLike) -> NDArray[np.float32]:
        """(N, 2) row, column in image pixels -> in input pixels, clipped to the input."""
        return _rescale(points, self.image_shape, self.input_shape)

    def to_image(self, points: ArrayLike) -> NDArray[np.float32]:
        """(N, 2) row, column in input pixels -> in image pixels, clipped to the image."""
        return _rescale(points, self.input_shape, self.image_shape)


def _round_to(length: float, multiple: int) -> int:
    return max(1, math.floor(length / multiple + 0.5)) * multiple


def _rescale(points: ArrayLike, source: tuple[int, int], target: tuple[int, int]) -> NDArray[np.float32]:
    values = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    factor = np.asarray(target, dtype=np.float64) / np.asarray(source, dtype=np.float64)
    moved = (values + 0.5) * factor - 0.5  # align_corners=False, as the resize does
    return np.clip(moved, 0.0, np.asarray(target) - 1.0).astype(np.float32)


def resize(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize (H, W) or (H, W, C) to ``shape``: bilinear, antialiased when it shrinks.

    Returns
    -------
    (h, w) or (h, w, C) float32, contiguous.
    """
    plane = np.ascontiguousarray(array, dtype=np.float32)
    if plane.shape[:2] == tuple(shape):
        return plane
    channels = plane.shape[2] if plane.ndim == 3 else 1
    tensor = torch.from_numpy(plane).reshape(1, *plane.shape[:2], channels).permute(0, 3, 1, 2)
    small = functional.interpolate(
        tensor.contiguous(), size=tuple(shape), mode="bilinear", antialias=True, align_corners=False
    )
    out = small[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(out if plane.ndim == 3 else out[..., 0])


def to_plane(image: ArrayLike, channel_axis: int | None = None) -> NDArray[np.float32]:
    """Turn an image of any dtype, channels and contrast into RGB between 0 and 1 at its own size.

    ======================================  ===================================================
    image                                   plane
    ======================================  ===================================================
    (H, W, 3 or 4) uint8                    divided by 255; alpha dropped
    (H, W, 3 or 4) float, within [0, 1]     as it is; alpha dropped
    (H, W, 3 or 4) of another kind          one contrast range for the three colours
    (H, W) or (H, W, 1)                     contrast rescaled, the same in all three colours
    ``channel_axis``, 1 channel             as grey
    ``channel_axis``, 2 channels            each rescaled; red and green
    ``channel_axis``, 3 channels            each rescaled; red, green, blue
    ``channel_axis``, n > 3 channels        each rescaled; channel k in hue k / n, summed, cut
    bool, in any of these                   False 0, True 1
    ======================================  ===================================================

    A contrast range runs from the 0.1st to the 99.9th percentile of the finite values (of all of
    them where these two agree); a constant image becomes 0. NaN and -inf become 0, +inf becomes 1.

    Parameters
    ----------
    image : array
        bool, integer or float.
    channel_axis : int, optional
        Which axis of a 3D array holds the channels; needed unless the last axis is RGB or RGBA.

    Returns
    -------
    (H, W, 3) float32 in [0, 1].

    Raises
    ------
    InputError
        For an array that is no such image.
    """
    array = _checked(image, channel_axis)
    if channel_axis is not None:
        return _mix(np.moveaxis(array, channel_axis, 0))
    if array.ndim == 2:
        return _repeat(_rescale_contrast(array))
    if array.shape[2] == 1:
        return _repeat(_rescale_contrast(array[..., 0]))
    colours = array[..., :3]
    if colours.dtype == np.uint8:
        return colours.astype(np.float32) / np.float32(255)
    if colours.dtype.kind == "f" and _within_unit(colours):
        return colours.astype(np.float32)
    return _rescale_contrast(colours)


def to_network_image(
    image: ArrayLike, *, input_size: int, multiple: int, channel_axis: int | None = None
) -> tuple[NDArray[np.float32], Geometry]:
    """Make the network's input of an image: :func:`to_plane`, then one antialiased resize.

    Returns
    -------
    plane : (h, w, 3) float32 in [0, 1]
    geometry : Geometry
    """
    plane = to_plane(image, channel_axis)
    geometry = Geometry.fit(plane.shape[:2], input_size=input_size, multiple=multiple)
    return resize(plane, geometry.input_shape).clip(0.0, 1.0), geometry


def _checked(image: ArrayLike, channel_axis: int | None) -> NDArray[Any]:
    try:
        array = np.asarray(image)
    except ValueError as error:  # nested lists of unequal lengths
        raise InputError(f"The image is no regular array: {error}") from error
    if array.dtype.kind not in "buif":
        raise InputError(f"The image has dtype {array.dtype}, but it must be bool, integer or float; convert it first.")
    if array.size == 0:
        raise InputError(f"The image of shape {array.shape} is empty; give one with pixels.")
    if channel_axis is None:
        rgb_like = array.ndim == 3 and array.shape[2] in (1, 3, 4)
        if array.ndim != 2 and not rgb_like:
            raise InputError(
                f"The image of shape {array.shape} is no (rows, columns) or "
                "(rows, columns, 3 or 4) plane; give one plane, or say with channel_axis which axis "
                "holds the channels."
            )
    elif array.ndim != 3:
        raise InputError(
            f"channel_axis={channel_axis} needs a 3D image, but this one has shape {array.shape}; "
            "leave channel_axis out for a grey image, or give one plane."
        )
    elif not -3 <= channel_axis < 3:
        raise InputError(
            f"channel_axis={channel_axis} is out of range for an image of shape {array.shape}; use 0, 1 or 2."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).any():
        raise InputError("The image has no finite value (all NaN or infinite); give one with values.")
    return array


def _within_unit(colours: NDArray[Any]) -> bool:
    return bool((colours >= 0).all() and (colours <= 1).all())  # False where there is a NaN


def _repeat(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.repeat(grey[..., None], 3, axis=2)


def _mix(channels: NDArray[Any]) -> NDArray[np.float32]:
    """(K, H, W) -> (H, W, 3), every channel with its own contrast range."""
    count = len(channels)
    if count == 1:
        return _repeat(_rescale_contrast(channels[0]))
    if count <= 3:
        plane = np.zeros((*channels.shape[1:], 3), dtype=np.float32)
        for index, channel in enumerate(channels):
            plane[..., index] = _rescale_contrast(channel)
        return plane
    plane = np.zeros((*channels.shape[1:], 3), dtype=np.float32)
    for index, channel in enumerate(channels):
        colour = np.asarray(colorsys.hsv_to_rgb(index / count, 1.0, 1.0), dtype=np.float32)
        plane += _rescale_contrast(channel)[..., None] * colour
    return plane.clip(0.0, 1.0)


def _rescale_contrast(values: NDArray[Any]) -> NDArray[np.float32]:
    """Any shape -> float32 in [0, 1] by percentiles of the finite values."""
    if values.dtype == bool:
        return values.astype(np.float32)
    sample = values.reshape(-1)[:: max(1, values.size // PERCENTILE_SAMPLES)]
    sample = _finite(sample)
    low, high = np.percentile(sample, PERCENTILES) if sample.size else (0.0, 0.0)
    if not high > low:  # nearly constant: a small object on an empty background must not vanish
        finite = _finite(values)
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if not high > low:
        return np.zeros(values.shape, dtype=np.float32)
    # 32-bit integers do not fit float32's 24 bits, so subtract them in double precision.
    exact = values.dtype.kind == "f" and values.dtype.itemsize <= 4
    wide: NDArray[Any] = values.astype(np.float32 if exact else np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (wide - float(low)) / (float(high) - float(low))
    return np.nan_to_num(scaled.clip(0.0, 1.0), nan=0.0).astype(np.float32)


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    flat = values.reshape(-1)
    if flat.dtype.kind == "f":
        flat = flat[np.isfinite(flat)]
    return flat.astype(np.float64)
