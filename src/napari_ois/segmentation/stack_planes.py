"""One rule: a stack is read one plane at a time, so that it may be larger than memory.

Any array that can be indexed will do (numpy, a memory map, dask, zarr); only the plane asked for is turned
into numpy. Where the chunks of an array run along the axis that is walked, each plane costs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_ois.errors import InputError
from napari_ois.errors import Interrupted as Interrupted


def never() -> bool:
    """Say no: what runs to its end."""
    return False


class Steps:
    """Counts planes, tells the caller, and asks whether to go on.

    Parameters
    ----------
    total : int
        Planes to be read.
    progress : callable, optional
        Given how many planes are done and the total, after each.
    interrupted : callable
        Asked before each plane; true raises :class:`Interrupted`.
    """

    def __init__(
        self,
        total: int,
        progress: Callable[[int, int], None] | None = None,
        interrupted: Callable[[], bool] = never,
    ) -> None:
        self._total = total
        self._done = 0
        self._progress = progress
        self._interrupted = interrupted

    def over(self, indices: Iterable[int]) -> Iterator[int]:
        """Pass plane indices on, one step each."""
        for index in indices:
            if self._interrupted():
                raise Interrupted
            yield index
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)


@dataclass(frozen=True, eq=False)
class StackPlanes:
    """A stack seen along one of its axes; make it with :meth:`of`.

    Attributes
    ----------
    stack : array-like
        Three axes in space, and maybe one of channels.
    axis : int
        The axis that the planes follow each other on; never negative.
    channel_axis : int or None
        The axis of the channels; never negative.
    spacing : (float, float, float)
        Distance between neighbours along the three axes in space, in their order, in any unit.
    """

    stack: Any
    axis: int
    channel_axis: int | None
    spacing: tuple[float, float, float]

    @classmethod
    def of(
        cls,
        stack: Any,
        axis: int = 0,
        channel_axis: int | None = None,
        spacing: Sequence[float] | None = None,
    ) -> StackPlanes:
        """Check a stack without reading it.

        Parameters
        ----------
        stack : array-like
            (Z, Y, X) in any order of axes; with ``channel_axis`` one axis more. A last axis of 3 or 4 elements
            of a 4D stack is taken for colour.
        axis : int
            The axis to look along; may be negative.
        channel_axis : int, optional
        spacing : sequence of 3 floats, optional
            All 1 by default.

        Raises
        ------
        InputError
            If it is no such stack, or an axis or the spacing does not fit it.
        """
        if not hasattr(stack, "shape") or not hasattr(stack, "dtype"):
            stack = np.asarray(stack)
        shape = tuple(stack.shape)
        if channel_axis is None and len(shape) == 4 and shape[-1] in (3, 4):
            channel_axis = 3
        if len(shape) != (3 if channel_axis is None else 4):
            axes = "three axes" if channel_axis is None else "three axes and one of channels"
            remedy = "give a stack" if len(shape) < 3 else "give one time point, or say which axis holds channels"
            raise InputError(f"The stack has shape {shape}, but depth from a stack needs {axes}; {remedy}.")
        for name, value in (("axis", axis), ("channel_axis", channel_axis)):
            if value is not None and not -len(shape) <= value < len(shape):
                raise InputError(f"{name}={value} is out of range for a stack of shape {shape}.")
        axis = axis % len(shape)
        channel_axis = None if channel_axis is None else channel_axis % len(shape)
        if axis == channel_axis:
            raise InputError(f"Axis {axis} holds the channels; look along another axis.")
        if np.dtype(stack.dtype).kind not in "buif":
            raise InputError(f"The stack has dtype {stack.dtype}, but it must be bool, integer or float.")
        if 0 in shape or shape[axis] < 2:
            raise InputError(f"The stack of shape {shape} has no two planes along axis {axis}; choose another axis.")
        return cls(stack, axis, channel_axis, _checked_spacing(spacing))

    def __len__(self) -> int:
        """How many planes there are."""
        return int(self.stack.shape[self.axis])

    @property
    def _space(self) -> list[int]:
        return [axis for axis in range(len(self.stack.shape)) if axis != self.channel_axis]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a plane: the other two axes in space, in their order."""
        rows, columns = (int(self.stack.shape[axis]) for axis in self._space if axis != self.axis)
        return rows, columns

    @property
    def step(self) -> float:
        """Distance from one plane to the next."""
        return self.spacing[self._space.index(self.axis)]

    @property
    def pixel(self) -> tuple[float, float]:
        """Distance between rows and between columns of a plane."""
        rows, columns = (s for a, s in zip(self._space, self.spacing, strict=True) if a != self.axis)
        return rows, columns

    def read(self, index: int) -> NDArray[Any]:
        """One plane, (H, W) or (H, W, C), in the stack's own dtype."""
        plane = np.asarray(self.stack[(slice(None),) * self.axis + (index,)])
        if self.channel_axis is None:
            return plane
        return np.moveaxis(plane, self.channel_axis - (self.channel_axis > self.axis), -1)

    def sigma(self, smoothing: float) -> tuple[float, float]:
        """Widths of a Gaussian that is round in space, along rows and columns in pixels.

        Parameters
        ----------
        smoothing : float
            Its width in pixels of the more finely sampled of the two.
        """
        fine = min(self.pixel)
        return smoothing * fine / self.pixel[0], smoothing * fine / self.pixel[1]


def grey(plane: NDArray[Any]) -> NDArray[np.floating]:
    """The mean over the channels, (H, W) float; wide integers in double precision, which they need."""
    values = plane.astype(np.result_type(plane.dtype, np.float32))
    return values if values.ndim == 2 else values.mean(axis=-1)


def smooth(values: NDArray[np.floating], sigma: tuple[float, float]) -> NDArray[np.floating]:
    """Gaussian smoothing of (H, W); what is not finite spreads nowhere and becomes NaN."""
    finite = np.isfinite(values)
    if finite.all():
        return ndimage.gaussian_filter(values, sigma)
    weight = ndimage.gaussian_filter(finite.astype(values.dtype), sigma)
    total = ndimage.gaussian_filter(np.where(finite, values, 0), sigma)
    return np.where(finite, total / np.where(finite, weight, 1), np.nan)


def _checked_spacing(spacing: Sequence[float] | None) -> tuple[float, float, float]:
    if spacing is None:
        return 1.0, 1.0, 1.0
    values = tuple(float(value) for value in spacing)
    if len(values) != 3 or not all(0 < value < float("inf") for value in values):
        raise InputError(f"The spacing {values} must be three positive numbers, one for each axis of the stack.")
    return values[0], values[1], values[2]
