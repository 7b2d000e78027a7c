"""One rule: of a large image, order is not computed for all of it: it is read where the image is looked at.

The maps here have the image's shape and are sliced as arrays are, but hold nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.errors import InputError
from napari_ois.segmentation.order_sources import Estimated, Given, NoOrder, OrderSource
from napari_ois.segmentation.stack_depth import DepthMap


class Nearness:
    """A depth image that the user gave, turned so that larger is nearer; NaN where it is unknown.

    Parameters
    ----------
    given : Given
        Its values may be any array that can be sliced.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
        float64.
    """

    dtype = np.dtype(np.float64)

    def __init__(self, given: Given) -> None:
        self._given = given
        values: Any = given.values
        self._values = values if hasattr(values, "dtype") else np.asarray(values)
        if self._values.dtype.kind not in "buif":
            raise InputError(f"The depth has dtype {self._values.dtype}, but it must be integer or float.")
        self.shape = tuple(int(side) for side in self._values.shape)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[np.float64]:
        raw = np.asarray(self._values[key])
        values = raw.astype(np.float64)
        known = np.isfinite(values)
        if self._given.invalid is not None:
            known &= raw != self._given.invalid  # in their own precision, in which it was written
        return np.where(known, values if self._given.nearer == "larger" else -values, np.nan)


class Known:
    """Where a :class:`Nearness` is known; bool."""

    dtype = np.dtype(bool)

    def __init__(self, nearness: Nearness) -> None:
        self._nearness = nearness
        self.shape = nearness.shape

    def __getitem__(self, key: Any) -> NDArray[np.bool_]:
        return np.isfinite(self._nearness[key])


def order_of_large(source: OrderSource, shape: tuple[int, int]) -> DepthMap:
    """What :meth:`OrderSource.compute` gives, for an image that is not held whole.

    Parameters
    ----------
    source : OrderSource
        One that takes no stack.
    shape : (int, int)
        Rows and columns of the image.

    Returns
    -------
    DepthMap
        Its maps can be sliced, and cost nothing until they are.

    Raises
    ------
    InputError
        If the values do not fit the image, or another model should estimate the depth.
    """
    if isinstance(source, Given):
        nearness: Any = Nearness(source)
        if nearness.shape != shape:
            raise InputError(
                f"The depth has shape {nearness.shape}, but the image has {shape[0]} rows and {shape[1]} columns; "
                "give one value per pixel."
            )
        known: Any = Known(nearness)
        return DepthMap(nearness, known)
    if isinstance(source, NoOrder):
        return DepthMap(np.broadcast_to(np.float32(0), shape), np.broadcast_to(np.False_, shape))
    if isinstance(source, Estimated) and source.model is None:
        return DepthMap(None, np.broadcast_to(np.True_, shape))
    raise InputError(
        "Of an image of more than 4096 x 4096 pixels another model's depth is not taken; leave it out, or give a part."
    )
