"""One rule: a view fills the network's input; a small object gets a closer one.

The network sees a fixed number of pixels. An object that is a dot in the whole image is looked at again in a
close-up around the first answer, which is what RITM calls zoom-in; what lies outside of a close-up is not the
object. Where an answer runs into the border of its close-up, the whole image is looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_ois.segmentation.frame import View

__all__ = ["NOTHING", "CloseUp", "View", "carry", "cut_off", "keep_inside", "object_box"]

NOTHING = -12.0
"""Logit where a view did not look."""


@dataclass(frozen=True)
class CloseUp:
    """When a closer view is taken, and how close.

    Attributes
    ----------
    below : float
        Taken for objects whose box has a longest side below this share of the view's.
    margin : float
        Sides of the closer view over those of the object's box.
    smallest : int
        No view is smaller, in image pixels: enlarged further, there is nothing to see.
    shrink : float
        A closer view must be at least so much smaller than the present one to be worth an embedding.
    """

    below: float = 0.4
    margin: float = 2.0
    smallest: int = 32
    shrink: float = 0.75

    def closer(
        self, mask: NDArray[np.bool_], view: View, positives: NDArray[np.float32], image_shape: tuple[int, int]
    ) -> View | None:
        """The closer view of an answer, or None where the present view is close enough.

        Parameters
        ----------
        mask : (h, w) bool
            The answer in the view, at any resolution.
        view : View
        positives : (N, 2) float32
            Positive clicks, row and column in image pixels; they stay in the view.
        image_shape : (int, int)
        """
        low, high = object_box(mask, view, positives)
        box, present = max(high - low), max(view.shape)
        side = max(self.margin * box, self.smallest)
        if box > self.below * present or side > self.shrink * present:
            return None
        start, stop = [], []
        for axis, length in enumerate(image_shape):
            extent = min(round(side), length)
            begin = round((low[axis] + high[axis]) / 2 - side / 2)
            start.append(int(np.clip(begin, 0, length - extent)))
            stop.append(start[-1] + extent)
        return View(start[0], start[1], stop[0], stop[1])


def object_box(
    mask: NDArray[np.bool_], view: View, positives: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last corner, in image pixels, of an answer (h, w) in a view and its positive clicks."""
    low, high = positives.min(axis=0), positives.max(axis=0) + 1
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows):
        scale = np.array(view.shape) / mask.shape
        corner = np.array([view.top, view.left])
        low = np.minimum(low, corner + scale * (rows[0], columns[0]))
        high = np.maximum(high, corner + scale * (rows[-1] + 1, columns[-1] + 1))
    return low, high


def cut_off(mask: NDArray[np.bool_], view: View, image_shape: tuple[int, int]) -> bool:
    """Whether an answer (h, w) touches a border of its view behind which the image goes on."""
    return bool(
        (view.top > 0 and mask[0].any())
        or (view.left > 0 and mask[:, 0].any())
        or (view.bottom < image_shape[0] and mask[-1].any())
        or (view.right < image_shape[1] and mask[:, -1].any())
    )


def carry(logits: Tensor, source: View, target: View, input_shape: tuple[int, int]) -> Tensor:
    """Bring logits from one view's input to another's: what the network said before, seen from here.

    Parameters
    ----------
    logits : (1, 1, h, w) float32 tensor
        Of the ``source`` view.
    input_shape : (int, int)
        Rows and columns of the target's input.

    Returns
    -------
    (1, 1, *input_shape) float32 tensor, -12 where the source did not look.
    """
    if source == target:
        return logits
    # Shrunk first where the target is coarser: sampled at single points, thin parts would fall through.
    small = [
        min(have, max(1, round(of * pixels / to)))
        for have, of, to, pixels in zip(logits.shape[-2:], source.shape, target.shape, input_shape, strict=True)
    ]
    if tuple(small) != tuple(logits.shape[-2:]):
        logits = functional.interpolate(logits, size=tuple(small), mode="bilinear", antialias=True)
    row, inside_rows = _places(source.top, source.bottom, target.top, target.bottom, input_shape[0], logits)
    column, inside_columns = _places(source.left, source.right, target.left, target.right, input_shape[1], logits)
    grid = torch.stack(torch.broadcast_tensors(column[None], row[:, None]), dim=-1)[None]
    seen = functional.grid_sample(logits, grid, padding_mode="border", align_corners=False)
    return torch.where(inside_rows[:, None] & inside_columns[None], seen, torch.full_like(seen, NOTHING))


def _places(
    source_start: int, source_stop: int, start: int, stop: int, pixels: int, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Centres of a target's input pixels along one axis in the source's [-1, 1], and whether they are in it."""
    centres = torch.arange(pixels, device=like.device, dtype=like.dtype) + 0.5
    place = (start + centres * (stop - start) / pixels - source_start) / (source_stop - source_start) * 2 - 1
    return place, place.abs() <= 1


def keep_inside(logits: Tensor, view: View, bound: View) -> Tensor:
    """Logits of a view without what lies out of a box that the object is known to be in.

    Parameters
    ----------
    logits : (1, 1, h, w) float tensor
        At any resolution.
    view, bound : View

    Returns
    -------
    (1, 1, h, w) float tensor
        :data:`NOTHING` where a pixel's middle is outside of the bound.
    """
    inside = []
    for count, low, high, first, beyond in zip(
        logits.shape[-2:],
        (view.top, view.left),
        (view.bottom, view.right),
        (bound.top, bound.left),
        (bound.bottom, bound.right),
        strict=True,
    ):
        middle = low + (torch.arange(count, device=logits.device) + 0.5) * ((high - low) / count)
        inside.append((middle >= first) & (middle <= beyond))
    return logits.where(inside[0][:, None] & inside[1], NOTHING)
