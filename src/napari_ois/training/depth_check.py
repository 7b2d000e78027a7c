"""Is estimated depth worth trusting? Its order of two pixels against that of measured depth.

The rule of this file: only order is asked for, never distance, since order is all that the network uses; and
only of pairs whose measured depths clearly differ. Beside it stands what one gets without a look at the picture, by
taking what is lower for nearer: in rooms and on tables that is far more than half.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ois.errors import InputError
from napari_ois.training.datasets import TrainImage, read_image
from napari_ois.training.folders import read_collection

MARGIN = 0.1
"""Pairs nearer to each other than this share of the measured range are left out."""

CHANCE = 0.5


class DepthEstimator(Protocol):
    """What is measured: a Predictor, or anything with its two names."""

    def set_image(self, image: NDArray[Any]) -> None:
        """Look at an image."""

    @property
    def depth(self) -> NDArray[np.float32]:
        """Estimated depth of it, (H, W), larger = nearer."""


@dataclass(frozen=True)
class DepthAccuracy:
    """Share of pairs of pixels that are in the right order.

    Attributes
    ----------
    sets : dict of str to float
        Mean over the images of each set.
    images : dict of str to int
        How many images of each set had pairs to ask for.
    mean : float
        Mean over the sets.
    lower_is_nearer : float
        The same mean where the row is taken for the depth.
    """

    sets: dict[str, float]
    images: dict[str, int]
    mean: float
    lower_is_nearer: float


def ordinal_accuracy(
    estimated: NDArray[np.floating],
    measured: NDArray[np.floating],
    *,
    pairs: int = 2000,
    margin: float = MARGIN,
    seed: int = 0,
) -> float:
    """Share of random pairs of pixels whose estimated order is the measured one.

    Parameters
    ----------
    estimated : (H, W) float
        Any unit, larger = nearer.
    measured : (H, W) float
        Any unit, larger = nearer, NaN = unknown.
    pairs : int
        So many pairs are asked for; fewer where few pixels differ clearly.
    margin : float
        Least difference of a pair, as a share of the measured range.
    seed : int

    Returns
    -------
    float
        0 to 1, 0.5 is chance; pairs of equal estimates count half. NaN where no pair differs clearly.

    Raises
    ------
    InputError
        When the shapes differ.
    """
    if estimated.shape != measured.shape:
        raise InputError(f"The estimated depth is {estimated.shape}, but the measured one {measured.shape}.")
    known = np.isfinite(measured)
    truth, guess = measured[known].astype(np.float64), estimated[known].astype(np.float64)
    if truth.size < 2 or np.ptp(truth) == 0:
        return float("nan")
    truth = (truth - truth.min()) / np.ptp(truth)
    # Ten draws for each pair wanted: enough where a tenth of all pairs differs clearly.
    first, second = np.random.default_rng(seed).integers(truth.size, size=(2, 10 * pairs))
    clear = np.flatnonzero(np.abs(truth[first] - truth[second]) > margin)[:pairs]
    if not len(clear):
        return float("nan")
    first, second = first[clear], second[clear]
    agreement = np.sign(truth[first] - truth[second]) * np.sign(guess[first] - guess[second])
    return float((agreement > 0).mean() + 0.5 * (agreement == 0).mean())


def images_with_depth(data: str | Path) -> list[TrainImage]:
    """List the images of a collection that come with measured depth; InputError if none does."""
    items = [item for item in read_collection(data) if item.depth is not None]
    if not items:
        raise InputError(f"{data} names no depth images; give a collection whose MANIFEST.csv has a depth column.")
    return items


def depth_accuracy(
    estimator: DepthEstimator,
    items: Sequence[TrainImage],
    *,
    pairs: int = 2000,
    margin: float = MARGIN,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> DepthAccuracy:
    """Measure an estimator of depth on images with measured depth.

    Parameters
    ----------
    estimator : DepthEstimator
    items : sequence of TrainImage
        See :func:`images_with_depth`.
    pairs, margin, seed
        See :func:`ordinal_accuracy`.
    progress : callable, optional
        Called with 1 after each image.

    Returns
    -------
    DepthAccuracy

    Raises
    ------
    InputError
        When no image has two pixels of clearly different depth.
    """
    found: dict[str, list[float]] = defaultdict(list)
    by_row: dict[str, list[float]] = defaultdict(list)
    for item in items:
        rgb, _, depth = read_image(item)
        if depth is not None:
            estimator.set_image(rgb)
            measured = np.where(depth > 0, depth, np.nan)
            rows = np.broadcast_to(np.arange(len(measured), dtype=np.float32)[:, None], measured.shape)
            share, baseline = (
                ordinal_accuracy(guess, measured, pairs=pairs, margin=margin, seed=seed)
                for guess in (estimator.depth, rows)
            )
            if np.isfinite(share):
                found[item.set].append(share)
                by_row[item.set].append(baseline)
        if progress is not None:
            progress(1)
    if not found:
        raise InputError("No image has two pixels of clearly different depth; there is nothing to measure.")
    sets = {name: float(np.mean(shares)) for name, shares in sorted(found.items())}
    images = {name: len(found[name]) for name in sets}
    baseline = float(np.mean([np.mean(shares) for shares in by_row.values()]))
    return DepthAccuracy(sets, images, float(np.mean(list(sets.values()))), baseline)


def format_accuracy(accuracy: DepthAccuracy) -> str:
    """A line a set, the mean over sets last."""
    width = max(len(name) for name in (*accuracy.sets, "lower is nearer"))
    lines = [f"{name:<{width}}  {share:.3f}  {accuracy.images[name]} images" for name, share in accuracy.sets.items()]
    lines.append(f"{'mean over sets':<{width}}  {accuracy.mean:.3f}  (chance: {CHANCE})")
    lines.append(f"{'lower is nearer':<{width}}  {accuracy.lower_is_nearer:.3f}  (without a look at the picture)")
    return "\n".join(lines)
