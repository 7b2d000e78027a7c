"""One rule: planes are embedded one after the other so that they are kept; whoever waits for the network goes first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from napari_ois.errors import Interrupted
from napari_ois.segmentation.lazy_plane import LazyPlane, is_large
from napari_ois.segmentation.stack_planes import never


class Embeds(Protocol):
    """The part of a predictor that is needed."""

    def set_image(self, image: Any) -> None:
        """Embed an image."""

    def yielding(self, waiting: Callable[[], bool]) -> Any:
        """See :meth:`napari_ois.Predictor.yielding`."""


def precompute(
    predictor: Embeds, reads: Sequence[Callable[[], Any]], waiting: Callable[[], bool] = never
) -> Iterator[int]:
    """Embed planes.

    Parameters
    ----------
    predictor : Predictor
        With a cache, and for nothing else meanwhile.
    reads : sequence of callable
        Each gives a plane, when it is its turn.
    waiting : callable
        Asked while the network runs; where it says true, the plane is begun again after the next yield.

    Yields
    ------
    int
        How many planes are done: after each, and whenever somebody waits.
    """
    for done, read in enumerate(reads):
        image = read()
        while True:
            try:
                with predictor.yielding(waiting):
                    predictor.set_image(image)
            except Interrupted:
                yield done
                continue
            break
        yield done + 1


def plane_readers(array: Any, channel_axis: int | None = None) -> list[Callable[[], Any]]:
    """What reads each plane of an array of any kind, for :func:`precompute`.

    Parameters
    ----------
    array : (..., H, W) or (..., H, W, 3 or 4) array
        The last two axes but colour are rows and columns.
    channel_axis : int, optional
        Only of a single plane: the axis that holds its channels.
    """
    shape = tuple(array.shape)
    if channel_axis is not None or len(shape) < 3:
        return [lambda: array]
    colour = len(shape) > 2 and shape[-1] in (3, 4)
    front = shape[: len(shape) - 2 - colour]
    axes = (len(front), len(front) + 1)
    planes = [LazyPlane(array, axes, (*index, 0, 0)) for index in itertools.product(*map(range, front))]
    return [partial(_read, plane) for plane in planes]


def _read(plane: LazyPlane) -> Any:
    return plane if is_large(plane.shape) else plane[:, :]
