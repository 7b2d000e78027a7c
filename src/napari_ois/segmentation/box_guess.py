"""One rule: a drawn box is clicked, before anyone clicks, where colours say that its object is.

The middle of a box is not the object's where that is a ring, bent, or branched. The colours in the box's ellipse,
against those beyond its border, say where it is more likely; the middle is where it stays while they say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_ois.network.appearance import colour_bins, likelihood
from napari_ois.network.surface import surface_of
from napari_ois.segmentation.frame import View
from napari_ois.segmentation.image import resize

if TYPE_CHECKING:
    from napari_ois.segmentation.scene import Scene

_CELLS = 96
"""Cells along either side of the box with one side of it more all around: about 32 across the box."""

_AROUND = 11
"""Cells that a place's colours are the mean of, a third of the box; what is thinner than that is clicked as well."""

_BEYOND = 1.1
"""What lies this far from the middle, in half sides of the box, is background: boxes are drawn by hand."""

_INNER = 0.8
"""The guess lies this far out at most, in radii of the ellipse."""


def place_in_box(scene: Scene, box: tuple[int, int, int, int]) -> tuple[float, float]:
    """Where the object in a box is clicked first.

    Likelihood ratio of two colour histograms (:mod:`napari_ois.network.appearance`), averaged over a third of the box,
    less the squared distance from the middle in radii of the ellipse.

    Parameters
    ----------
    scene : Scene
        Of a large one, only the part around the box is read.
    box : (top, left, bottom, right)
        In pixels, the last row and column not in it; some of it lies on the image.

    Returns
    -------
    (float, float)
        Row and column of a pixel of the box; its middle where colours say nothing.
    """
    middle = np.array([(box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2])
    sides = np.array([box[2] - box[0], box[3] - box[1]], np.float64)
    low = np.floor(middle - sides).clip(0).astype(int)
    high = np.minimum(np.ceil(middle + sides + 1).astype(int), scene.shape)
    colours = resize(scene.colours(View(*low.tolist(), *high.tolist())), (2 * _CELLS, 2 * _CELLS))
    bins = colour_bins(surface_of(torch.from_numpy(colours).permute(2, 0, 1)[None]))

    rows, columns = (low - 0.5 + (np.arange(_CELLS)[:, None] + 0.5) * (high - low) / _CELLS).T
    down = (rows[:, None] - middle[0]) / sides[0] * 2
    across = (columns - middle[1]) / sides[1] * 2
    out = np.sqrt(down**2 + across**2)
    ratio = likelihood(bins, _weights(out <= 1), _weights(np.maximum(abs(down), abs(across)) > _BEYOND))
    ratio = functional.avg_pool2d(ratio, _AROUND, stride=1, padding=_AROUND // 2, count_include_pad=False)
    if not ratio.any():
        return _pixel(middle)
    worth = np.where(out < _INNER, ratio[0, 0].numpy() - out**2, -np.inf)
    row, column = np.unravel_index(int(worth.argmax()), worth.shape)
    return _pixel(np.array([rows[row], columns[column]]))


def _pixel(place: np.ndarray) -> tuple[float, float]:
    row, column = np.floor(place + 0.5).tolist()
    return row, column


def _weights(where: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(where.astype(np.float32))[None, None]
