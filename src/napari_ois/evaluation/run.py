"""Rule: each image is embedded once; every object then starts from nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from napari_ois.evaluation.protocol import evaluate_object
from napari_ois.evaluation.readers import EvalImage


class ClickPredictor(Protocol):
    """What is evaluated: an image is set once, then clicks are answered."""

    def set_image(self, image: np.ndarray, *, depth: np.ndarray | None = None) -> None:
        """Embed an image."""

    def predict(self, points: np.ndarray, labels: np.ndarray, previous: Any = None) -> Any:
        """Answer all clicks so far with an object that has `mask` (H, W) bool and `state`."""


@dataclass(frozen=True)
class ObjectResult:
    """What the robot user got for one object.

    Attributes
    ----------
    set, domain, image, object : str
        Names, as in the manifest.
    ious : tuple of float
        IoU after click 1, 2, ...
    clicks : int
        Clicks made; fewer than `ious` when nothing was left to click.
    seconds : float
        Time spent in `predict`, over all clicks.
    """

    set: str
    domain: str
    image: str
    object: str
    ious: tuple[float, ...]
    clicks: int
    seconds: float


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
        depth = sample.depth if measured_depth else None
        predictor.set_image(sample.image, depth=depth)
        for entry in sample.objects:
            stopwatch = _Stopwatch(predictor)
            ious = evaluate_object(stopwatch, entry.target, max_clicks)
            results.append(
                ObjectResult(
                    set=entry.set,
                    domain=entry.domain,
                    image=sample.name,
                    object=entry.name,
                    ious=tuple(ious),
                    clicks=stopwatch.clicks,
                    seconds=stopwatch.seconds,
                )
            )
            if progress is not None:
                progress(len(results))
    return results


class _Stopwatch:
    """Calls the predictor for the robot user and counts clicks and seconds."""

    def __init__(self, predictor: ClickPredictor) -> None:
        self._predictor = predictor
        self.clicks = 0
        self.seconds = 0.0

    def __call__(self, points: np.ndarray, labels: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        start = time.perf_counter()
        prediction = self._predictor.predict(points, labels, previous=state)
        self.seconds += time.perf_counter() - start
        self.clicks += 1
        return prediction.mask, prediction.state
