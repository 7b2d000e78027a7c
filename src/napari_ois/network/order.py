"""Order: the relative depth between a click and every other place of the image (Sec. 3.2, Eq. 1 and 2).

The rule of this file: depth is normalised once per image, and every order map is an absolute difference of
that one map. Maps of different clicks can therefore be compared, and the sign of the depth does not matter.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FLAT_RANGE = 1e-6
"""A depth map whose values span less than this carries no order and becomes zero everywhere."""


def normalize_depth(depth: Tensor, *, min_range: float = 0.0, valid: Tensor | None = None) -> Tensor:
    """Stretch each depth map to [0, 1] (min-max per image).

    Parameters
    ----------
    depth : (B, 1, H, W) float tensor
        Depth or inverse depth in any unit.
    min_range : float
        The stretch divides by at least this much, so that the noise of an almost flat *estimated* map is
        not blown up into order. Zero is the paper's plain min-max.
    valid : (B, 1, H, W) bool tensor, optional
        Pixels that show the image: the stretch is theirs, and what lies outside is clipped to it. A training's
        padding would widen it.

    Returns
    -------
    (B, 1, H, W) float32 tensor in [0, 1]; all zeros where the map is flat.
    """
    depth = depth.float()
    if valid is not None:
        lowest = torch.where(valid, depth, torch.inf).amin(dim=(1, 2, 3), keepdim=True)
        highest = torch.where(valid, depth, -torch.inf).amax(dim=(1, 2, 3), keepdim=True)
        depth = depth.maximum(lowest).minimum(highest)
    low = depth.amin(dim=(1, 2, 3), keepdim=True)
    spread = depth.amax(dim=(1, 2, 3), keepdim=True) - low
    stretched = (depth - low) / spread.clamp_min(max(min_range, FLAT_RANGE))
    return torch.where(spread > FLAT_RANGE, stretched, torch.zeros_like(stretched))


def order_map(depth: Tensor, reference: Tensor | float) -> Tensor:
    """Distance in depth between every pixel and a reference: ``|R - r|`` (Eq. 1 and 2).

    Parameters
    ----------
    depth : float tensor
        Normalised depth, any shape.
    reference : float or tensor that broadcasts against ``depth``
        Depth at the click, or its mean over the positive clicks.

    Returns
    -------
    Tensor of the broadcast shape, in [0, 1] for inputs in [0, 1].
    """
    return (depth - reference).abs()


def depth_at_clicks(depth: Tensor, points: Tensor) -> Tensor:
    """Read the depth under each click, nearest pixel.

    Parameters
    ----------
    depth : (B, 1, H, W) float tensor
    points : (B, N, 2) float tensor
        Row, column in pixels of ``depth``; clipped to the map, so padding rows may hold anything finite.

    Returns
    -------
    (B, N) float tensor.
    """
    return depth.flatten(1).gather(1, pixel_under(points, depth.shape[-2], depth.shape[-1]))


def pixel_under(points: Tensor, height: int, width: int) -> Tensor:
    """The nearest pixel's number in row-major order; (B, N) of (B, N, 2) points, clipped to the map."""
    row = points[..., 0].round().long().clamp(0, height - 1)
    column = points[..., 1].round().long().clamp(0, width - 1)
    return row * width + column


def positive_reference(depths: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean depth of the positive clicks (Eq. 1).

    Parameters
    ----------
    depths : (B, N) float tensor
        Depth under each click.
    labels : (B, N) integer tensor
        1 positive, 0 negative, -1 no click.

    Returns
    -------
    reference : (B,) float tensor, zero where there is no positive click.
    exists : (B,) bool tensor, False there; the shared order map is then zero, not a distance to zero.
    """
    positive = labels == 1
    count = positive.sum(dim=1)
    total = torch.where(positive, depths, torch.zeros_like(depths)).sum(dim=1)
    return total / count.clamp_min(1), count > 0


def positive_order_map(depth: Tensor, points: Tensor, labels: Tensor) -> Tensor:
    """The one order map that all positive clicks share (Eq. 1).

    Parameters
    ----------
    depth : (B, 1, H, W) float tensor, normalised
    points, labels : (B, N, 2) and (B, N) tensors, row and column in pixels of ``depth``

    Returns
    -------
    (B, 1, H, W) float tensor in [0, 1]; zero where there is no positive click.
    """
    reference, exists = positive_reference(depth_at_clicks(depth, points), labels)
    shared = order_map(depth, reference[:, None, None, None])
    return shared * exists[:, None, None, None]


def nearest_negative_order_map(depth: Tensor, points: Tensor, labels: Tensor) -> Tensor:
    """Distance in depth to whichever negative click is closest in depth: the minimum of Eq. 2's maps.

    Returns
    -------
    (B, 1, H, W) float tensor; one everywhere (as far as can be) where there is no negative click.
    """
    depths = depth_at_clicks(depth, points)
    nearest = torch.ones_like(depth)
    for click in range(points.shape[1]):
        distance = order_map(depth, depths[:, click, None, None, None])
        negative = (labels[:, click] == 0)[:, None, None, None]
        nearest = torch.where(negative, torch.minimum(nearest, distance), nearest)
    return nearest


def cell_depth(depth: Tensor, patch: int) -> Tensor:
    """Average the depth over each ``patch`` x ``patch`` cell of the prompt grid, once per image.

    Parameters
    ----------
    depth : (B, 1, H, W) float tensor, sides multiples of ``patch``

    Returns
    -------
    (B, 1, H / patch, W / patch) float tensor.
    """
    return F.avg_pool2d(depth, patch)


def order_mask(
    cells: Tensor, slot_depths: Tensor, slot_labels: Tensor, reference: Tensor, exists: Tensor, half: int
) -> Tensor:
    """Lay the order maps out as the paper's mask ``[M_p, M_p, ..., M_1, M_2, ...]`` (before Eq. 3).

    Parameters
    ----------
    cells : (B, 1, h, w) float tensor
        Normalised depth on the prompt grid.
    slot_depths, slot_labels : (B, N) tensors
        Depth under the click of each slot, and 1 positive, 0 negative, -1 padding.
    reference, exists : (B,) tensors
        From :func:`positive_reference`, over *all* positive clicks, those without a slot too.
    half : int
        Slots before it are the positive half.

    Returns
    -------
    (B, N, h * w) float tensor in [0, 1]. Padding of the positive half uses the shared map, padding of the
    negative half zero.
    """
    flat = cells.flatten(2)
    shared = order_map(flat, reference[:, None, None]) * exists[:, None, None]
    own = order_map(flat, slot_depths[:, half:, None]) * (slot_labels[:, half:, None] == 0)
    return torch.cat([shared.expand(-1, half, -1), own], dim=1)
