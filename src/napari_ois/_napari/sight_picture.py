"""One rule: a picture of what the network sees is made of the very pixels that it is given, and says where it lies.

In any thread. It is shown in the panel and as a layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois._napari.plane import sampled
from napari_ois.segmentation.appearance import PLAIN, Appearance
from napari_ois.segmentation.frame import Frame, View
from napari_ois.segmentation.pyramid import Pyramid

CELLS = 2048 * 2048
"""Pixels of a picture of a plane at most, unless the user has chosen a level. No preset takes in more at once, and a
picture of so many (13 MB) is drawn and sent to the screen without a stutter."""


@dataclass(frozen=True, eq=False)
class Picture:
    """What the network sees of a plane, for people.

    Attributes
    ----------
    seen : (h, w, 3) uint8
    frame : Frame
        Which pixels of the plane it covers; the last row and column may reach beyond them.
    """

    seen: NDArray[np.uint8]
    frame: Frame


def read_cuts(cuts: list[Any]) -> list[NDArray[Any]]:
    """Read planes, and bring coarser ones among them to the size of the finest."""
    parts = [np.asarray(cut) for cut in cuts]
    shape = max((part.shape[:2] for part in parts), key=lambda sides: sides[0] * sides[1])
    return [sampled(part, shape) for part in parts]


def draw(appearance: Appearance, cuts: list[Any], shape: tuple[int, int], cells: int | None) -> Picture:
    """Draw a plane from what was cut out of it.

    Parameters
    ----------
    appearance : Appearance
    cuts : list of arrays
        Not read yet.
    shape : (int, int)
        Of the plane at full resolution.
    cells : int or None
        The picture has at most so many pixels; None for as many as were read.
    """
    seen = appearance.seen(read_cuts(cuts))
    rows, columns = seen.shape[:2]
    frame = Frame(View.whole(shape), (rows, columns))
    step = 1 if cells is None else max(1, math.ceil(math.sqrt(rows * columns / cells)))
    if step > 1:
        seen = seen[np.minimum(np.arange(0, rows, step) + step // 2, rows - 1)]
        seen = seen[:, np.minimum(np.arange(0, columns, step) + step // 2, columns - 1)]
        bottom, right = (round(n * step * cell) for n, cell in zip(seen.shape[:2], frame.cell, strict=True))
        frame = Frame(View(0, 0, bottom, right), (seen.shape[0], seen.shape[1]))
    return Picture(_as_bytes(seen), frame)


def draw_overview(levels: list[Any]) -> Picture:
    """Draw what the network sees of a plane that is read in windows, as a whole."""
    pyramid = Pyramid(levels)
    return Picture(_as_bytes(PLAIN.seen([pyramid.overview])), pyramid.covered)


def _as_bytes(seen: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (seen * 255 + 0.5).astype(np.uint8)
