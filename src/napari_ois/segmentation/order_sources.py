"""One rule: wherever order comes from, it is a map in [0, 1], larger = nearer, that says where it is known.

A source of order is a small description of how to get such a map; :meth:`OrderSource.compute` gets it. Which
one is right is the user's choice, so each says in a sentence what it means. Those that take a stack are in
:mod:`napari_ois.segmentation.stack_sources`.

Examples
--------
>>> from napari_ois.segmentation.order_sources import Given            # doctest: +SKIP
>>> found = Given(ranges, nearer="smaller", invalid=0).compute(image)   # doctest: +SKIP
>>> predictor.set_image(image, depth=found.depth)                       # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from napari_ois.checkpoints.hub import DEPTH_SOURCES
from napari_ois.checkpoints.registry import KNOWN
from napari_ois.errors import InputError
from napari_ois.segmentation.depth import prepare_depth
from napari_ois.segmentation.stack_depth import DepthMap
from napari_ois.segmentation.stack_planes import Steps, never

Progress = Callable[[int, int], None] | None
"""Given how many steps are done and how many there are."""


class OrderSource(Protocol):
    """What every source of order has."""

    needs_stack: ClassVar[bool]
    """Whether :meth:`compute` takes a stack and makes the image to segment; otherwise it takes the image."""

    @property
    def name(self) -> str:
        """One word for menus and the command line."""
        ...

    @property
    def statement(self) -> str:
        """One sentence that says what this order means."""
        ...

    @property
    def order_strength(self) -> float:
        """What to give ``Predictor.predict``: 1, or 0 where order is switched off."""
        ...

    def compute(self, image: Any, *, progress: Progress = None, interrupted: Callable[[], bool] = never) -> DepthMap:
        """Get the map for an image or a stack.

        Raises
        ------
        InputError
            If the image or the source cannot be used.
        Interrupted
            If ``interrupted`` said true, which is asked before each plane.
        """
        ...


class _Single:
    """What the sources for one image share."""

    needs_stack: ClassVar[bool] = False
    order_strength: ClassVar[float] = 1.0


@dataclass(frozen=True)
class Estimated(_Single):
    """Order estimated from the image by a network.

    Attributes
    ----------
    model : str, optional
        Name of a model whose depth to use: a ViT preset (``"ois-vits"``), or the repository that its depth comes
        from (``"depth-anything/Depth-Anything-V2-Small-hf"``). It needs no weights for masks. By default the
        model that segments estimates it itself, and :meth:`compute` costs nothing.
    device, precision : str
        As for :class:`napari_ois.Predictor`.
    input_size : int, optional
    channel_axis : int, optional
        Axis of the image that holds the channels.
    """

    name: ClassVar[str] = "estimated"

    model: str | None = None
    device: str = "auto"
    precision: str = "auto"
    input_size: int | None = None
    channel_axis: int | None = None

    @property
    def statement(self) -> str:
        """One sentence that says what this order means."""
        if self.model is None:
            return "Depth guessed by the segmenting model from one image: a hint, not a measurement."
        return f"Depth guessed by {self.model} from one image, as it learned from photographs; else it may mislead."

    def compute(self, image: Any, *, progress: Progress = None, interrupted: Callable[[], bool] = never) -> DepthMap:
        """Estimate the depth with the other model; without one, leave it to the model that segments.

        Raises
        ------
        InputError
            If the image cannot be used, or the model needs transformers, which is not installed.
        WeightsError
            If there is no such model, or its weights are not on this machine; it says how to get them.
        """
        everywhere = np.ones(_plane_shape(image, self.channel_axis), dtype=bool)
        steps = Steps(1, progress, interrupted)
        depth = None
        for _ in steps.over(range(1)):
            if self.model is not None:
                from napari_ois.segmentation.predictor import Predictor

                other = Predictor(depth_preset(self.model), self.device, self.precision, self.input_size)
                other.set_image(image, channel_axis=self.channel_axis)
                depth = prepare_depth(other.depth, everywhere.shape)
        return DepthMap(depth, everywhere)


@dataclass(frozen=True, eq=False)
class Given(_Single):
    """Order that the user has measured or computed.

    Attributes
    ----------
    values : (H, W) array, bool, integer or float
        Height map, range or disparity image, elevation, distance transform. NaN and infinite = unknown.
    nearer : "larger" or "smaller"
        Which values are nearer to the viewer: larger for heights and disparities, smaller for ranges. Ranges are
        turned round by their sign, so that equal steps stay equal.
    invalid : float, optional
        One more value that means unknown; 0 in many range and disparity images.
    channel_axis : int, optional
        Axis of the image (not of the values) that holds the channels.
    """

    name: ClassVar[str] = "given"

    values: ArrayLike
    nearer: Literal["larger", "smaller"] = "larger"
    invalid: float | None = None
    channel_axis: int | None = None

    def __post_init__(self) -> None:
        check_choice("nearer", self.nearer, ("larger", "smaller"))

    @property
    def statement(self) -> str:
        """One sentence that says what this order means."""
        return f"Depth from values of yours, where {self.nearer} is nearer; where they are unknown, in the middle."

    def compute(self, image: Any, *, progress: Progress = None, interrupted: Callable[[], bool] = never) -> DepthMap:
        """Turn the values the right way round and fill what is unknown with the median.

        Raises
        ------
        InputError
            If the values do not fit the image, are no numbers, or are all unknown.
        """
        shape = _plane_shape(image, self.channel_axis)
        values = np.asarray(self.values)
        known = np.ones(values.shape, dtype=bool)
        for _ in Steps(1, progress, interrupted).over(range(1)):
            if values.dtype.kind in "buif":  # prepare_depth refuses the others, in words
                wide = values.astype(np.float64)
                known = np.isfinite(wide)
                if self.invalid is not None:
                    known &= values != self.invalid  # in their own precision, in which it was written
                values = np.where(known, wide if self.nearer == "larger" else -wide, np.nan)
            depth = prepare_depth(values, shape)
        return DepthMap(depth, known)


@dataclass(frozen=True)
class NoOrder(_Single):
    """Order switched off: the same depth everywhere, and no strength.

    Attributes
    ----------
    channel_axis : int, optional
        Axis of the image that holds the channels.
    """

    name: ClassVar[str] = "none"
    order_strength: ClassVar[float] = 0.0
    statement: ClassVar[str] = "No order: every place counts as equally deep, and the mask follows the image alone."

    channel_axis: int | None = None

    def compute(self, image: Any, *, progress: Progress = None, interrupted: Callable[[], bool] = never) -> DepthMap:
        """Give a constant map, nowhere known."""
        shape = _plane_shape(image, self.channel_axis)
        return DepthMap(np.zeros(shape, np.float32), np.zeros(shape, dtype=bool))


def depth_preset(name: str) -> str:
    """The ViT preset whose depth comes from a repository; any other name as it is."""
    if name not in DEPTH_SOURCES:
        return name
    return next(preset for preset, known in KNOWN.items() if known.depth == DEPTH_SOURCES[name])


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is none of the choices; InputError."""
    if value not in choices:
        raise InputError(f"{option} cannot be {value!r}; it is {' or '.join(repr(choice) for choice in choices)}.")


def _plane_shape(image: Any, channel_axis: int | None) -> tuple[int, int]:
    """Rows and columns of an image, without reading it; whether it can be used is asked where it is."""
    shape = list(np.shape(image))
    if channel_axis is not None and -len(shape) <= channel_axis < len(shape):
        del shape[channel_axis]
    if len(shape) < 2:
        raise InputError(f"The image of shape {tuple(np.shape(image))} has no rows and columns; give one plane.")
    return int(shape[0]), int(shape[1])
