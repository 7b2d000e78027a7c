"""One rule: with a mask to refine, only its surroundings are computed finely; what is outside stays as it was.

The network's finest stages, which are four fifths of a click, run in a box around the mask before and the clicks.
Inside, the answer is the plain one. A part of the object that appears far from both is not found so, which is why
this belongs to the smaller input sizes and not to the full one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from napari_ois.network import OIS, ImageEmbedding

MARGIN = 0.25
"""Kept around the mask and the clicks, as a share of their box's longest side."""

LEAST_MARGIN = 32
"""And at least so many pixels of the input."""

WORTH = 0.6
"""A box of more than this share of the input saves too little."""

Box = tuple[int, int, int, int]


def box_to_refine(before: torch.Tensor, points: torch.Tensor, threshold: float) -> Box | None:
    """The box to compute: (top, left, bottom, right) in input pixels, or None for all of the input.

    Parameters
    ----------
    before : (1, 1, h, w) float tensor
        Logits of the click before.
    points : (1, N, 2) float tensor
        All clicks, row and column in input pixels.
    threshold : float
        Logit above which a pixel belongs to the mask.
    """
    inside = before[0, 0] > threshold
    size = inside.shape
    low, high = points[0].amin(dim=0).tolist(), points[0].amax(dim=0).tolist()
    lines = (inside.any(dim=1).nonzero().flatten().tolist(), inside.any(dim=0).nonzero().flatten().tolist())
    for axis, line in enumerate(lines):
        if line:
            low[axis], high[axis] = min(low[axis], line[0]), max(high[axis], line[-1])
    margin = max(LEAST_MARGIN, MARGIN * max(high[0] - low[0], high[1] - low[1]))
    top, left = (max(0, int(low[axis] - margin)) for axis in range(2))
    bottom, right = (min(size[axis], int(high[axis] + margin) + 2) for axis in range(2))
    if (bottom - top) * (right - left) > WORTH * size[0] * size[1]:
        return None
    return top, left, bottom, right


def refine_in_box(
    network: OIS,
    embedding: ImageEmbedding,
    points: torch.Tensor,
    labels: torch.Tensor,
    before: torch.Tensor,
    *,
    threshold: float,
    **extras: Any,
) -> torch.Tensor:
    """Answer clicks in the box around the mask before, and in all of the input if the answer leaves the box.

    Parameters
    ----------
    network : OIS
    embedding : ImageEmbedding of one image
    points, labels : (1, N, 2) and (1, N) tensors
    before : (1, 1, h, w) float32 tensor
        Logits of the click before; not changed.
    threshold : float
        Logit above which a pixel belongs to the mask.
    **extras
        What else :meth:`OIS.decode_clicks` is asked; its ``trace`` is the same with a box and without.

    Returns
    -------
    (1, 1, h, w) float32 tensor of logits.
    """
    box = box_to_refine(before, points, threshold)
    if box is None:
        return network.decode_clicks(embedding, points, labels, before, **extras).float()
    part = network.decode_clicks(embedding, points, labels, before, window=box, **extras).float()
    if _leaves(part[0, 0] > threshold, box, (before.shape[-2], before.shape[-1])):
        if "trace" in extras:
            extras["trace"].clear()  # of the answer in the box
        return network.decode_clicks(embedding, points, labels, before, **extras).float()
    logits = before.clone()
    logits[..., box[0] : box[2], box[1] : box[3]] = part
    return logits


def _leaves(mask: torch.Tensor, box: Box, size: tuple[int, int]) -> bool:
    """Whether a box's mask touches a border behind which the input goes on."""
    sides = (
        (box[0] > 0, mask[0]),
        (box[1] > 0, mask[:, 0]),
        (box[2] < size[0], mask[-1]),
        (box[3] < size[1], mask[:, -1]),
    )
    return any(inner and bool(line.any()) for inner, line in sides)
