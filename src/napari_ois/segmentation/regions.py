"""One rule: of a large image the region around the clicks is looked at; one that an object does not fit in grows.

Regions are squares with places and sizes of their own: sides of 1, 4, 16... times the smallest, at steps of half a
side. So a click has a region in the middle half of which it lies, clicks near to each other share theirs, and what
was embedded for one object is there for its neighbour. The last size is the whole image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ois.segmentation.frame import MOST, Frame
from napari_ois.segmentation.view import View, cut_off, object_box

if TYPE_CHECKING:
    from napari_ois.segmentation.large_scene import LargeScene
    from napari_ois.segmentation.prediction import PredictionState
    from napari_ois.segmentation.runner import Answer, Asked, Runner

GROWTH = 4
"""Side of a region over that of the next smaller one."""
ROOM = 1.5
"""A region is at least this many times as wide as the box of the clicks that it is chosen for."""


def region_around(low: NDArray[np.float64], high: NDArray[np.float64], side: int, shape: tuple[int, int]) -> View:
    """The smallest region that has a box in its middle.

    Parameters
    ----------
    low, high : (2,) arrays
        Corners of the box, row and column.
    side : int
        The region is at least so wide.
    shape : (int, int)
        Of the image.
    """
    extent = float(max(high - low))
    while side < ROOM * extent:
        side *= GROWTH
    while side < max(shape):
        start, stop = [], []
        for axis, length in enumerate(shape):
            width, step = min(side, length), side // 2
            begin = round((low[axis] + high[axis] - side) / 2 / step) * step
            start.append(int(np.clip(begin, 0, length - width)))
            stop.append(start[-1] + width)
        view = View(start[0], start[1], stop[0], stop[1])
        if view.holds(np.array([low, high], np.float32)).all():
            return view
        side *= GROWTH
    return View.whole(shape)


def answer_in_regions(runner: Runner, scene: LargeScene, asked: Asked, state: PredictionState | None) -> Answer:
    """Answer where the object was seen last, or in the region of the clicks; where it is cut off, in larger ones.

    Parameters
    ----------
    runner : Runner
    scene : LargeScene
    asked : Asked
    state : PredictionState, optional
        Of the click before.
    """
    positives = asked.points[asked.labels == 1]
    base, shape = scene.region_side, scene.shape
    before = None if state is None else (state.logits, state.view)
    if state is not None and state.view.holds(positives).all():
        view = state.view
    else:
        view = region_around(*_box(positives), base, shape)
    answer = runner.decode(scene.look(view), asked, before)
    while cut_off(answer.mask(), answer.view, shape):
        low, high = object_box(answer.mask(), answer.view, positives)
        present = max(answer.view.shape)
        larger = region_around(low, high, base, shape)
        if max(larger.shape) <= present:
            larger = region_around(low, high, base if present < base else _next(present, base), shape)
        answer = runner.decode(scene.look(larger), asked, (answer.logits, answer.view))
    return answer


def frame_of(scene: LargeScene, view: View, before: Frame | None) -> Frame:
    """The frame of an answer in a view: the one before where it will do, else the region around it.

    Parameters
    ----------
    view : View
    before : Frame, optional
        Of the answer before.
    """
    base = min(scene.region_side, MOST)  # around a close-up the cells are pixels
    if max(view.shape) >= base:
        return Frame.bounded(view)
    if before is not None and before.native and before.view.contains(view):
        return before
    corners = np.array([(view.top, view.left), (view.bottom, view.right)], np.float64)
    around = region_around(corners[0], corners[1], base, scene.shape)
    if max(around.shape) > base:  # it lies across the borders of all of that size
        start = [
            int(np.clip(round((low + high - base) / 2), 0, max(0, side - base)))
            for low, high, side in zip(corners[0], corners[1], scene.shape, strict=True)
        ]
        stop = [min(begin + base, side) for begin, side in zip(start, scene.shape, strict=True)]
        around = View(start[0], start[1], stop[0], stop[1])
    return Frame.bounded(around)


def _next(side: int, base: int) -> int:
    """The size above."""
    larger = base
    while larger <= side:
        larger *= GROWTH
    return larger


def _box(points: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
