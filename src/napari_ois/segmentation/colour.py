"""One rule: colours are settled for the whole image, and made for the part that is looked at.

A close-up must not be brighter than the image around it, and a large image must not be copied as
floating-point colours: so a :class:`Picture` keeps the array as it came beside its contrast ranges.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.errors import InputError

#: Percentiles that become 0 and 1 where contrast is rescaled: a few hot pixels do not count.
PERCENTILES = (0.1, 99.9)
#: Percentiles are taken from at most about this many values, drawn on a regular grid.
PERCENTILE_SAMPLES = 2_000_000

Range = tuple[float, float]
"""Values that become 0 and 1; equal where an image is constant, which becomes 0."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image of any dtype and channels, read as RGB between 0 and 1.

    Attributes
    ----------
    array : (H, W) or (H, W, C) array
        The caller's own values, not copied; channels last.
    ranges : tuple of (low, high), or None
        One for all values, or one a channel where the channels are mixed. None = bool, or colours that
        are between 0 and 1 already (uint8: between 0 and 255).
    mixed : bool
        Whether the last axis holds channels to be mixed, rather than red, green and blue.

    Notes
    -----
    ======================================  ===================================================
    image                                   RGB
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
    """

    array: NDArray[Any]
    ranges: tuple[Range, ...] | None
    mixed: bool

    @classmethod
    def of(cls, image: ArrayLike, channel_axis: int | None = None) -> Picture:
        """Check an image and find its contrast.

        Parameters
        ----------
        image : array
            bool, integer or float.
        channel_axis : int, optional
            Which axis of a 3D array holds the channels; needed unless the last axis is RGB or RGBA.

        Raises
        ------
        InputError
            For an array that is no such image.
        """
        array = _checked(image, channel_axis)
        if channel_axis is not None:
            array = np.moveaxis(array, channel_axis, -1)
            if array.shape[-1] > 1:
                ranges = tuple(contrast(array[..., index]) for index in range(array.shape[-1]))
                return cls(array, None if array.dtype == bool else ranges, mixed=True)
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[..., 0]
        if array.ndim == 3:
            array = array[..., :3]
            if array.dtype == np.uint8 or (array.dtype.kind == "f" and _within_unit(array)):
                return cls(array, None, mixed=False)
        return cls(array, None if array.dtype == bool else (contrast(array),), mixed=False)

    @staticmethod
    def check(image: ArrayLike) -> None:
        """InputError for what is no grey, RGB or RGBA plane."""
        _checked(image, None)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.array.shape[0]), int(self.array.shape[1])

    def plane(self, rows: slice = slice(None), columns: slice = slice(None)) -> NDArray[np.float32]:
        """RGB of the rows and columns asked for, (h, w, 3) float32 in [0, 1]; of grey, one plane seen three times."""
        part = self.array[rows, columns]
        if self.mixed:
            ranges = self.ranges or ((0.0, 1.0),) * part.shape[-1]
            return mix([stretched(part[..., index], ends) for index, ends in enumerate(ranges)])
        if part.dtype == np.uint8 and self.ranges is None:
            return part.astype(np.float32) / np.float32(255)
        if self.ranges is None:  # the overview of a large image may not have seen what is no number
            values = np.nan_to_num(part.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0)
        else:
            values = stretched(part, self.ranges[0])
        return values if values.ndim == 3 else np.broadcast_to(values[..., None], (*values.shape, 3))


def to_plane(image: ArrayLike, channel_axis: int | None = None) -> NDArray[np.float32]:
    """Turn a whole image into RGB between 0 and 1 at its own size: :class:`Picture`, all of it.

    Returns
    -------
    (H, W, 3) float32 in [0, 1].
    """
    return np.ascontiguousarray(Picture.of(image, channel_axis).plane())


def check_plane(shape: tuple[int, ...], dtype: np.dtype[Any], channel_axis: int | None) -> None:
    """Say what is wrong with an image as far as its shape and type tell; its pixels are not read.

    Raises
    ------
    InputError
        If it is no plane of numbers.
    """
    if dtype.kind not in "buif":
        raise InputError(f"The image has dtype {dtype}, but it must be bool, integer or float; convert it first.")
    if 0 in shape:
        raise InputError(f"The image of shape {shape} is empty; give one with pixels.")
    if channel_axis is None:
        rgb_like = len(shape) == 3 and shape[2] in (1, 3, 4)
        if len(shape) != 2 and not rgb_like:
            raise InputError(
                f"The image of shape {shape} is no (rows, columns) or "
                "(rows, columns, 3 or 4) plane; give one plane, or say with channel_axis which axis "
                "holds the channels."
            )
    elif len(shape) != 3:
        raise InputError(
            f"channel_axis={channel_axis} needs a 3D image, but this one has shape {shape}; "
            "leave channel_axis out for a grey image, or give one plane."
        )
    elif not -3 <= channel_axis < 3:
        raise InputError(f"channel_axis={channel_axis} is out of range for an image of shape {shape}; use 0, 1 or 2.")


def _checked(image: ArrayLike, channel_axis: int | None) -> NDArray[Any]:
    try:
        array = np.asarray(image)
    except ValueError as error:  # nested lists of unequal lengths
        raise InputError(f"The image is no regular array: {error}") from error
    check_plane(array.shape, array.dtype, channel_axis)
    if array.dtype.kind == "f" and not np.isfinite(array).any():
        raise InputError("The image has no finite value (all NaN or infinite); give one with values.")
    return array


def _within_unit(colours: NDArray[Any]) -> bool:
    return bool((colours >= 0).all() and (colours <= 1).all())  # False where there is a NaN


def mix(channels: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Channels between 0 and 1, each (h, w) -> (h, w, 3); see :class:`Picture`."""
    plane = np.zeros((*channels[0].shape, 3), dtype=np.float32)
    if len(channels) <= 3:
        for index, channel in enumerate(channels):
            plane[..., index] = channel
        return plane
    for index, channel in enumerate(channels):
        colour = np.asarray(colorsys.hsv_to_rgb(index / len(channels), 1.0, 1.0), dtype=np.float32)
        plane += channel[..., None] * colour
    return plane.clip(0.0, 1.0)


def contrast(values: NDArray[Any], percentiles: Range = PERCENTILES) -> Range:
    """The range of a (H, W) or (H, W, C) array that becomes 0 to 1, from percentiles of its finite values."""
    if values.dtype == bool:
        return 0.0, 1.0
    pixels = values.reshape(-1, *values.shape[2:])  # all channels of each that is drawn
    sample = _finite(pixels[:: max(1, values.size // PERCENTILE_SAMPLES)])
    low, high = np.percentile(sample, percentiles) if sample.size else (0.0, 0.0)
    if not high > low:  # nearly constant: a small object on an empty background must not vanish
        finite = _finite(values)
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    return float(low), float(high)


_TABLE = 2**16
"""Of more integers of 8 or 16 bits than this, each value is stretched once and looked up."""


def stretched(values: NDArray[Any], ends: Range) -> NDArray[np.float32]:
    """Values of any shape -> float32 in [0, 1]."""
    low, high = ends
    if values.dtype == bool:
        return values.astype(np.float32)
    if not high > low:
        return np.zeros(values.shape, dtype=np.float32)
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2 and values.size > _TABLE:
        limits = np.iinfo(values.dtype)
        table = stretched(np.arange(limits.min, limits.max + 1).astype(values.dtype), ends)
        # a negative value counts from the end, which is where its entry goes
        return np.roll(table, int(limits.min))[values]
    # 32-bit integers do not fit float32's 24 bits, so subtract them in double precision.
    exact = values.dtype.kind == "f" and values.dtype.itemsize <= 4
    wide: NDArray[Any] = values.astype(np.float32 if exact else np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (wide - low) / (high - low)
    return np.nan_to_num(scaled.clip(0.0, 1.0), nan=0.0).astype(np.float32)


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    flat = values.reshape(-1)
    if flat.dtype.kind == "f":
        flat = flat[np.isfinite(flat)]
    return flat.astype(np.float64)
