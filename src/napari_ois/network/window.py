"""Boxes of feature maps: which pixels a step needs to give a box of its output, and a resize inside of one.

The rule of this file: a box is ``(top, left, bottom, right)`` in pixels of one map, and what is computed inside
of it are the numbers that the whole map would have there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Window = tuple[int, int, int, int]
"""Top, left, and the first row and column beyond the box."""

Size = tuple[int, int]


def grown(box: Window, by: int, size: Size) -> Window:
    """The box with ``by`` pixels more on every side, inside of a map of (H, W) pixels."""
    top, left, bottom, right = box
    return max(0, top - by), max(0, left - by), min(size[0], bottom + by), min(size[1], right + by)


def cut(x: Tensor, box: Window, inside: Window | None = None) -> Tensor:
    """The part of (B, C, H, W) in a box; ``inside`` is the box that ``x`` itself shows, by default all."""
    top, left = (0, 0) if inside is None else inside[:2]
    return x[..., box[0] - top : box[2] - top, box[1] - left : box[3] - left]


def sources(box: Window, source: Size, target: Size) -> Window:
    """Pixels of a (H, W) source that a bilinear resize (corners aligned) to ``target`` needs for a box of it."""
    (top, bottom), (left, right) = (_span(box[axis], box[axis + 2], source[axis], target[axis]) for axis in range(2))
    return top, left, bottom, right


def resize_within(x: Tensor, shows: Window, box: Window, source: Size, target: Size) -> Tensor:
    """A box of the bilinear resize (corners aligned) of a map of which a part is known.

    Parameters
    ----------
    x : (B, C, h, w) tensor
        The pixels ``shows`` of the map of ``source`` size; at least :func:`sources` of the box.
    box : Window
        Of the map of ``target`` size.

    Returns
    -------
    (B, C, bottom - top, right - left) tensor: equal to cutting the whole resize, but for rounding.
    """
    # With channels last, rows and columns are picked in whole vectors of channels.
    last = x.permute(0, 2, 3, 1)
    for axis in range(2):
        last = _interpolate(last, axis, shows[axis], (box[axis], box[axis + 2]), source[axis], target[axis])
    return last.permute(0, 3, 1, 2)


def _scale(source: int, target: int) -> float:
    return (source - 1) / (target - 1) if target > 1 else 0.0


def _span(start: int, stop: int, source: int, target: int) -> tuple[int, int]:
    scale = _scale(source, target)
    # One pixel more on each side than exact numbers need: rounding may fall on either side of a whole one.
    return max(0, math.floor(start * scale) - 1), min(source, math.floor((stop - 1) * scale) + 3)


def _interpolate(x: Tensor, axis: int, offset: int, box: tuple[int, int], source: int, target: int) -> Tensor:
    """One axis of the resize of a (B, h, w, C) tensor: 0 rows, 1 columns."""
    if source == target:
        return x.narrow(1 + axis, box[0] - offset, box[1] - box[0])
    place = torch.arange(box[0], box[1], device=x.device, dtype=torch.float32) * _scale(source, target)
    low = place.floor().long().clamp(0, source - 1)
    high = (low + 1).clamp_max(source - 1)
    share = (place - low).to(x.dtype)
    share = share[:, None, None] if axis == 0 else share[:, None]
    below, above = (x.index_select(1 + axis, index - offset) for index in (low, high))
    return torch.lerp(below, above, share)
