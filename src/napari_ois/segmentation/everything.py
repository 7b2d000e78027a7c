"""One rule: everything is asked for by a grid of prompts against one embedding, and most answers are thrown away.

Each prompt is one positive click, answered in batches; see :mod:`napari_ois.segmentation.sieve` for what stays, and
:mod:`napari_ois.segmentation.candidates` for duplicates. Small objects may be looked for again in closer windows,
which have embeddings of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_ois.errors import InputError
from napari_ois.segmentation.candidates import Candidate, without_duplicates
from napari_ois.segmentation.lazy_plane import LARGE, is_large
from napari_ois.segmentation.sieve import Sieve, sift
from napari_ois.segmentation.stack_planes import Interrupted, never
from napari_ois.segmentation.view import View

GRID = 16
"""Prompts along a side, as the paper's SAT task has them."""
BATCH = 16
"""Prompts answered at once."""
MOST_PIXELS = 4 * LARGE
"""Of an image, 8192 x 8192: masks are held at its resolution, so beyond it memory has no bound worth the name."""
MOST_PROMPTS = 128
"""Along a side: beyond it, neighbours ask the same."""
SHARED = 0.2
"""Share of its side that a window has in common with its neighbour, so that what one cuts the other shows."""


class Asks(Protocol):
    """The part of a predictor that this needs: an image is set."""

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def answer_each(self, points: NDArray[np.float32], view: View) -> torch.Tensor:
        """See :meth:`napari_ois.Predictor.answer_each`."""
        ...


@dataclass(frozen=True, eq=False)
class Progress:
    """Where it is; the last one has the candidates.

    Attributes
    ----------
    done, total : int
        Prompts.
    candidates : list of Candidate or None
        The best first; None before the end.
    """

    done: int
    total: int
    candidates: list[Candidate] | None = None


def check_size(shape: tuple[int, int]) -> None:
    """InputError for an image of more than :data:`MOST_PIXELS`; better before it is embedded than after."""
    if shape[0] * shape[1] > MOST_PIXELS:
        raise InputError(
            f"An image of {shape[0]} x {shape[1]} pixels is too large to look for everything in it (at most "
            f"{MOST_PIXELS / 1e6:.0f} million pixels); crop it or make it smaller, or click on objects."
        )


def grid_points(view: View, grid: int = GRID) -> NDArray[np.float32]:
    """Cell centres of a grid over a view, (grid * grid, 2) row, column in image pixels, row-major."""
    rows = view.top + (np.arange(grid) + 0.5) * view.shape[0] / grid - 0.5
    columns = view.left + (np.arange(grid) + 0.5) * view.shape[1] / grid - 0.5
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)


def windows(shape: tuple[int, int], closer: int) -> list[View]:
    """The whole image, and with ``closer`` 1, 2... also 2 x 2, 4 x 4... windows that share their borders."""
    views = [View.whole(shape)]
    for level in range(1, closer + 1):
        spans = [_spans(side, 2**level) for side in shape]
        views += [View(top, left, bottom, right) for top, bottom in spans[0] for left, right in spans[1]]
    return views


def propose(
    predictor: Asks, *, grid: int = GRID, closer: int = 0, batch: int = BATCH, sieve: Sieve | None = None
) -> Iterator[Progress]:
    """Look for everything, batch by batch; whoever does not ask for the next one has cancelled.

    Parameters
    ----------
    predictor : Predictor
        With its image set.
    grid : int
        Prompts along each side of what is looked at.
    closer : int
        0 looks at the whole image; 1 also at 2 x 2 windows of it, 2 also at 4 x 4, with the same grid in each.
    batch : int
        Prompts answered at once; more need more memory.
    sieve : Sieve, optional

    Yields
    ------
    Progress
        After each batch; at the end once more, with the candidates.

    Raises
    ------
    InputError
        If no image is set, a number is out of range, or the image is too large.
    WeightsError
        If the model has no weights for masks.
    """
    if not 1 <= grid <= MOST_PROMPTS:
        raise InputError(f"grid={grid} is out of range; give 1 to {MOST_PROMPTS} prompts along a side.")
    if not 0 <= closer <= 4 or batch < 1:
        raise InputError("closer must be 0 to 4, and a batch has at least one prompt.")
    sieve = sieve or Sieve()
    shape = predictor.image_shape
    check_size(shape)
    views = windows(shape, closer)
    done, total = 0, len(views) * grid * grid
    found: list[Candidate] = []
    for view in views:
        here: list[Candidate] = []
        points = grid_points(view, grid)
        for part in (points[start : start + batch] for start in range(0, len(points), batch)):
            here += sift(predictor.answer_each(part, view), part, view, shape, sieve)
            if is_large(shape):  # many prompts on one wide mask would be as many wide arrays until the end
                here = without_duplicates(here, sieve.overlap)
            done += len(part)
            yield Progress(done, total)
        found = without_duplicates([*found, *without_duplicates(here, sieve.overlap)], sieve.overlap)
    yield Progress(done, total, found)


def segment_everything(
    predictor: Asks,
    *,
    grid: int = GRID,
    closer: int = 0,
    batch: int = BATCH,
    sieve: Sieve | None = None,
    progress: Callable[[int, int], None] | None = None,
    interrupted: Callable[[], bool] = never,
) -> list[Candidate]:
    """Look for everything to the end; see :func:`propose`.

    Parameters
    ----------
    progress : callable, optional
        Given the prompts done and their total, after each batch.
    interrupted : callable
        Asked after each batch; true raises :class:`napari_ois.segmentation.stack_planes.Interrupted`.

    Returns
    -------
    list of Candidate
        The best first.

    Examples
    --------
    >>> predictor.set_image(image)                                      # doctest: +SKIP
    >>> candidates = segment_everything(predictor)                      # doctest: +SKIP
    >>> labels = paint_candidates(candidates, predictor.image_shape)    # doctest: +SKIP
    """
    for step in propose(predictor, grid=grid, closer=closer, batch=batch, sieve=sieve):
        if step.candidates is not None:
            return step.candidates
        if progress is not None:
            progress(step.done, step.total)
        if interrupted():
            raise Interrupted
    raise AssertionError("propose ends with candidates")


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    """Begin and end of ``count`` parts of a length that overlap by :data:`SHARED` of a part."""
    side = length / (count - SHARED * (count - 1))
    starts = [int(number * side * (1 - SHARED)) for number in range(count)]
    return [(start, min(length, start + math.ceil(side) + 1)) for start in starts]
