"""What an object may begin from instead of a click: a drawn box, or a mask that is nearly right.

The rule of this file: numpy in, numpy out, one object at a time, every draw from the generator given. Of a box, the
largest ellipse in it is the mask before, as the viewer plays it (:mod:`napari_ois.annotation.prompts`), with one click
in its middle; colours, by which the viewer finds a better place (:mod:`napari_ois.segmentation.box_guess`), are not
looked at here. A mask that is nearly right is what the neighbouring slice of a stack gives, or another program.
"""

from __future__ import annotations

import cv2
import numpy as np

from napari_ois.annotation.prompts import box_ellipse
from napari_ois.training.clicks import Click, Mask, first_click

BOXED = 0.6
"""Share of boxes; the rest are masks."""

JITTER = 0.05
"""Standard deviation of each side of a drawn box, in its longer sides."""

MOVED = 0.12
"""Standard deviation of a mask's shift, in its longer sides."""

_GROWN = 0.15
"""Standard deviation of the logarithm of a mask's size, along each axis."""


def begin(rng: np.random.Generator, truth: Mask) -> tuple[Mask, Click] | None:
    """Draw what an object begins from.

    Parameters
    ----------
    truth : (H, W) bool array

    Returns
    -------
    (H, W) bool array and the first click, which is positive; None for an empty object.
    """
    if not truth.any():
        return None
    left, top, across, down = cv2.boundingRect(truth.view(np.uint8))
    if rng.random() < BOXED:
        return _boxed(rng, (top, left, top + down - 1, left + across - 1), truth.shape)
    click = first_click(rng, truth)
    return None if click is None else (_moved(rng, truth, max(across, down)), click)


def _boxed(
    rng: np.random.Generator, box: tuple[int, int, int, int], shape: tuple[int, ...]
) -> tuple[Mask, Click] | None:
    corners = np.array([box[:2], box[2:]], float)
    corners += rng.normal(0, JITTER * max(1.0, float(np.ptp(corners, axis=0).max())), (2, 2))
    corners = np.sort(corners, axis=0).clip(0, np.subtract(shape, 1))
    row, column = corners.mean(axis=0)
    return box_ellipse(corners, (shape[0], shape[1])), (float(row), float(column), 1)


def _moved(rng: np.random.Generator, truth: Mask, side: int) -> Mask:
    """The mask shifted and stretched about its middle; as it is where it would be gone."""
    middle = np.argwhere(truth).mean(axis=0)[::-1]
    stretch = np.diag(np.exp(rng.normal(0, _GROWN, 2)))
    shift = middle + rng.normal(0, MOVED * side, 2) - stretch @ middle
    moved = cv2.warpAffine(truth.view(np.uint8), np.column_stack([stretch, shift]), truth.shape[::-1]) > 0
    return moved if moved.any() else truth
