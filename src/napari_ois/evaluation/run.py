"""Rule: each image is embedded once; every object then starts from nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from napari_ois.annotation.answers import frame_box
from napari_ois.annotation.packed import PackedMask
from napari_ois.evaluation.metrics import boundary_iou
from napari_ois.evaluation.protocol import evaluate_object
from napari_ois.evaluation.samples import EvalImage

BOUNDARY_CLICKS = (1, 3, 5)
"""Boundary IoU is measured after these clicks only: it costs more than the plain one."""


class ClickPredictor(Protocol):
    """What is evaluated: an image is set once, then clicks are answered."""

    def set_image(self, image: np.ndarray, *, depth: np.ndarray | None = None) -> None:
        """Embed an image."""

    def predict(self, points: np.ndarray, labels: np.ndarray, previous: Any = None) -> Any:
        """Answer all clicks so far with an object that has `mask` and `state`; see :func:`whole_mask`."""


def whole_mask(prediction: Any, shape: tuple[int, int]) -> np.ndarray:
    """The mask at the image's size: of a large image an answer covers a region, in cells of one or more pixels.

    Parameters
    ----------
    prediction : what a :class:`ClickPredictor` answers
    shape : (int, int)
        Rows and columns of the image.

    Returns
    -------
    (H, W) bool
        False outside of the region.
    """
    frame = getattr(prediction.state, "frame", None)
    if frame is None:
        return prediction.mask
    return PackedMask.from_cells(prediction.mask, frame_box(frame), shape).unpack()


@dataclass(frozen=True)
class ObjectResult:
    """What the robot user got for one object.

    Attributes
    ----------
    set, domain, image, object : str
        Names, as in the collection.
    ious : tuple of float
        IoU after click 1, 2, ...
    clicks : int
        Clicks made; fewer than `ious` when nothing was left to click.
    seconds : float
        Time spent in `predict`, over all clicks.
    boundary : tuple of float
        Boundary IoU after clicks 1, 3 and 5, as far as the budget goes.
    points : tuple of (row, column, label)
        The clicks, oldest first; label 1 positive, 0 negative.
    embed_seconds : float
        Time that the whole image took in `set_image`; its objects share it.
    """

    set: str
    domain: str
    image: str
    object: str
    ious: tuple[float, ...]
    clicks: int
    seconds: float
    boundary: tuple[float, ...] = ()
    points: tuple[tuple[int, int, int], ...] = ()
    embed_seconds: float = 0.0


def evaluate(
    predictor: ClickPredictor,
    images: Iterable[EvalImage],
    *,
    max_clicks: int = 20,
    measured_depth: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[ObjectResult]:
    """Run the robot user on every object of every image.

    Parameters
    ----------
    predictor : ClickPredictor
        For instance :class:`napari_ois.Predictor`.
    images : iterable of EvalImage
        For instance an :class:`~napari_ois.evaluation.readers.EvalCollection`.
    max_clicks : int
        Clicks for each object.
    measured_depth : bool
        Hand the measured depth to the predictor where an image has one. By default the predictor
        works from the picture alone, as it does for a user.
    progress : callable, optional
        Called with the number of objects done so far.

    Returns
    -------
    list of ObjectResult
        In the order of the images.
    """
    results: list[ObjectResult] = []
    for sample in images:
        for result in evaluate_image(predictor, sample, max_clicks=max_clicks, measured_depth=measured_depth):
            results.append(result)
            if progress is not None:
                progress(len(results))
    return results


def evaluate_image(
    predictor: ClickPredictor, sample: EvalImage, *, max_clicks: int = 20, measured_depth: bool = False
) -> Iterator[ObjectResult]:
    """Run the robot user on one image, object by object; parameters as in :func:`evaluate`."""
    start = time.perf_counter()
    predictor.set_image(sample.image, depth=sample.depth if measured_depth else None)
    embed_seconds = time.perf_counter() - start
    for entry in sample.objects:
        witness = _Witness(predictor, entry.target)
        ious = evaluate_object(witness, entry.target, max_clicks)
        yield ObjectResult(
            set=entry.set,
            domain=entry.domain,
            image=sample.name,
            object=entry.name,
            ious=tuple(ious),
            clicks=witness.clicks,
            seconds=witness.seconds,
            boundary=witness.boundary_at([k for k in BOUNDARY_CLICKS if k <= max_clicks]),
            points=witness.points,
            embed_seconds=embed_seconds,
        )


class _Witness:
    """Calls the predictor for the robot user and notes clicks, seconds and boundary IoU."""

    def __init__(self, predictor: ClickPredictor, target: np.ndarray) -> None:
        self._predictor = predictor
        self._target = target
        self._boundary: dict[int, float] = {}
        self._last: np.ndarray | None = None
        self.points: tuple[tuple[int, int, int], ...] = ()
        self.seconds = 0.0

    @property
    def clicks(self) -> int:
        return len(self.points)

    def boundary_at(self, clicks: Iterable[int]) -> tuple[float, ...]:
        """Boundary IoU after these clicks; where fewer were made, of the last mask."""
        missing = {k for k in clicks if k not in self._boundary}
        if missing and self._last is not None:
            last = boundary_iou(self._last, self._target)
            self._boundary |= dict.fromkeys(missing, last)
        return tuple(self._boundary[k] for k in clicks)

    def __call__(self, points: np.ndarray, labels: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        start = time.perf_counter()
        prediction = self._predictor.predict(points, labels, previous=state)
        self.seconds += time.perf_counter() - start
        self.points = tuple((int(r), int(c), int(k)) for (r, c), k in zip(points, labels, strict=True))
        mask = whole_mask(prediction, (self._target.shape[0], self._target.shape[1]))
        if self.clicks in BOUNDARY_CLICKS:
            self._boundary[self.clicks] = boundary_iou(mask, self._target)
        self._last = mask
        return mask, prediction.state
