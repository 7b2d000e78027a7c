"""One rule: a stack knows where things lie along its axis, so its order is measured and not guessed.

Each source reads plane by plane (numpy, a memory map, dask, zarr) and gives the map of depth together with the
image to segment.

Examples
--------
>>> from napari_ois.segmentation.stack_sources import Focus    # doctest: +SKIP
>>> found = Focus(first="near").compute(stack)                 # doctest: +SKIP
>>> predictor.set_image(found.image, depth=found.depth)        # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from napari_ois.errors import InputError
from napari_ois.segmentation.focus import focus_depth
from napari_ois.segmentation.order_sources import Progress, check_choice
from napari_ois.segmentation.projections import Extreme, otsu_planes, project_depth, surface_depth
from napari_ois.segmentation.stack_depth import DepthMap, First
from napari_ois.segmentation.stack_planes import StackPlanes, Steps, never


@dataclass(frozen=True, kw_only=True)
class FromStack:
    """What the sources that look along an axis of a stack share.

    Attributes
    ----------
    axis : int
        The axis to look along; the other two become rows and columns, in their order.
    first : "near" or "far"
        Whether the first plane is nearest to the viewer or farthest.
    spacing : (float, float, float), optional
        Distance between neighbours along the three axes in space, in their order; all 1 by default.
    channel_axis : int, optional
        Axis of the stack that holds the channels; a last axis of 3 or 4 of a 4D stack is colour anyway.
    median : int
        Side of the median filter over the depth, in pixels; 1 = none.
    """

    needs_stack: ClassVar[bool] = True
    order_strength: ClassVar[float] = 1.0

    axis: int = 0
    first: First = "near"
    spacing: tuple[float, float, float] | None = None
    channel_axis: int | None = None
    median: int = 5

    def __post_init__(self) -> None:
        check_choice("first", self.first, ("near", "far"))
        if self.median < 1:
            raise InputError(f"median={self.median} is no side of a filter; give 1 for none, or more.")

    def planes(self, stack: Any) -> StackPlanes:
        """The stack as this source looks at it, checked and not read; InputError where it does not fit."""
        return StackPlanes.of(stack, self.axis, self.channel_axis, self.spacing)

    @property
    def _end(self) -> str:
        return f"the first plane is {'nearest' if self.first == 'near' else 'farthest'}"


@dataclass(frozen=True, kw_only=True)
class Focus(FromStack):
    """Depth from focus, with the all-in-focus image; reads the stack twice. See also :class:`FromStack`.

    Attributes
    ----------
    detail : float
        Size of the detail that is looked for, in pixels: the width of Gaussian derivatives.
    window : float
        Width of the Gaussian window that sharpness is averaged over, in pixels.
    min_contrast : float
        A pixel is known where its sharpest plane is so many times sharper than the mean of the others.
    """

    name: ClassVar[str] = "focus"

    detail: float = 1.0
    window: float = 3.0
    min_contrast: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("detail", "window", "min_contrast"):
            if not getattr(self, option) > 0:
                raise InputError(f"{option}={getattr(self, option)} must be more than 0.")

    @property
    def statement(self) -> str:
        """One sentence that says what this order means."""
        return f"Each place lies in the plane where it is sharpest; {self._end}; smooth places take their neighbours'."

    def compute(self, image: Any, *, progress: Progress = None, interrupted: Callable[[], bool] = never) -> DepthMap:
        """Find the sharpest plane of each pixel; see :func:`napari_ois.segmentation.focus.focus_depth`."""
        planes = self.planes(image)
        return focus_depth(
            planes,
            first=self.first,
            detail=self.detail,
            window=self.window,
            min_contrast=self.min_contrast,
            median=self.median,
            steps=Steps(2 * len(planes), progress, interrupted),
        )


@dataclass(frozen=True, kw_only=True)
class Projection(FromStack):
    """Depth-coded maximum or minimum projection; reads the stack once. See also :class:`FromStack`.

    Attributes
    ----------
    extreme : "max" or "min"
    threshold : float, optional
        In the stack's values: a pixel is known where its extreme is at least (for ``"min"``: at most) this. By
        default where the extreme stands out from the noise.
    smoothing : float
        Width of the Gaussian that smooths each plane before they are compared, in pixels.
    """

    extreme: Extreme = "max"
    threshold: float | None = None
    smoothing: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("extreme", self.extreme, ("max", "min"))
        _check_smoothing(self.smoothing)

    @property
    def name(self) -> str:
        """One word for menus and the command line: what is projected."""
        return self.extreme

    @property
    def statement(self) -> str:
        """One sentence that says what this order means."""
        what = "brightest" if self.extreme == "max" else "darkest"
        return f"Each place lies in the plane where it is {what}; {self._end}; places without signal lie behind all."

    def compute(self, image: Any, *, progress: Progress = None, interrupted: Callable[[], bool] = never) -> DepthMap:
        """Project; see :func:`napari_ois.segmentation.projections.project_depth`."""
        planes = self.planes(image)
        return project_depth(
            planes,
            self.extreme,
            first=self.first,
            threshold=self.threshold,
            smoothing=self.smoothing,
            median=self.median,
            steps=Steps(len(planes), progress, interrupted),
        )


@dataclass(frozen=True, kw_only=True)
class Surface(FromStack):
    """The first surface above a threshold; reads until all rays have met it. See also :class:`FromStack`.

    Attributes
    ----------
    threshold : float, optional
        In the stack's values; by default Otsu's, for which up to 32 planes are read beforehand.
    smoothing : float
        Width of the Gaussian that smooths each plane before it is compared, in pixels.
    """

    name: ClassVar[str] = "surface"

    threshold: float | None = None
    smoothing: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_smoothing(self.smoothing)

    @property
    def statement(self) -> str:
        """One sentence that says what this order means."""
        level = "Otsu's threshold" if self.threshold is None else f"{self.threshold:g}"
        return f"Each place is the first above {level} seen from the near end; {self._end}; gaps lie behind all."

    def compute(self, image: Any, *, progress: Progress = None, interrupted: Callable[[], bool] = never) -> DepthMap:
        """Find the surface; see :func:`napari_ois.segmentation.projections.surface_depth`."""
        planes = self.planes(image)
        total = len(planes) + (len(otsu_planes(len(planes))) if self.threshold is None else 0)
        return surface_depth(
            planes,
            first=self.first,
            threshold=self.threshold,
            smoothing=self.smoothing,
            median=self.median,
            steps=Steps(total, progress, interrupted),
        )


def _check_smoothing(smoothing: float) -> None:
    if not 0 <= smoothing < float("inf"):
        raise InputError(f"smoothing={smoothing} must be 0 (none) or more.")
