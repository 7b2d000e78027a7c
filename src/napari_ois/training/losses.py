"""Losses on mask logits and on depth.

The rule of this file: every loss takes float32 logits, ignores pixels whose target is 255, and is a mean
over objects, so that a large object counts as much as a small one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255

FEWEST_KNOWN = 64
"""Pixels of known depth without which a window teaches none."""


def normalized_focal_loss(logits: Tensor, target: Tensor, *, alpha: float = 0.5, gamma: float = 2.0) -> Tensor:
    """Normalised focal loss, the paper's (RITM's form; `alpha` counts for both classes alike at 0.5).

    Parameters
    ----------
    logits : (B, 1, H, W) float tensor
    target : (B, H, W) integer tensor
        0, 1 or 255 = ignore.

    Returns
    -------
    Scalar. Each object's weights are divided by their mean, which carries no gradient, so that an object
    whose pixels are nearly all right keeps pulling at its wrong ones. Written with log-sigmoids: stable, and
    without the epsilons of the literal formula.
    """
    valid, truth = _valid_and_truth(target)
    signed = torch.where(truth, logits.float()[:, 0], -logits.float()[:, 0])
    focus = torch.sigmoid(-signed).pow(gamma) * valid
    pixels = valid.flatten(1).sum(dim=1)
    multiplier = (pixels / (focus.flatten(1).sum(dim=1) + 1e-12)).detach()
    weight = torch.where(truth, alpha, 1 - alpha)
    loss = -(weight * focus * F.logsigmoid(signed)).flatten(1).sum(dim=1) * multiplier
    return (loss / pixels.clamp_min(1)).mean()


def bce_dice_loss(logits: Tensor, target: Tensor, *, bce_weight: float = 2.0, weights: Tensor | None = None) -> Tensor:
    """Cross entropy plus soft dice, for the compact recipe: it learns the first click faster than focal loss.

    Parameters and result are those of :func:`normalized_focal_loss`; ``weights`` (B,) say how much each object
    counts, 1 by default.
    """
    valid, truth = _valid_and_truth(target)
    flat = logits.float()[:, 0]
    truth_number = truth.float()
    entropy = F.binary_cross_entropy_with_logits(flat, truth_number, reduction="none") * valid
    entropy = entropy.flatten(1).sum(dim=1) / valid.flatten(1).sum(dim=1).clamp_min(1)
    probability = flat.sigmoid() * valid
    overlap = (probability * truth_number).flatten(1).sum(dim=1)
    total = probability.flatten(1).sum(dim=1) + truth_number.flatten(1).sum(dim=1)
    dice = 1 - (2 * overlap + 1) / (total + 1)
    each = bce_weight * entropy + dice
    return (each if weights is None else weights * each).mean()


def depth_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """L1 + 0.3 (1 - correlation) + 0.3 L1 of differences at 1 and 4 pixels, where depth is known.

    Parameters
    ----------
    predicted, target : (B, 1, H, W) float tensors
        Both in [0, 1]; NaN in ``target`` = unknown.

    Returns
    -------
    Scalar, a mean over the windows with at least 64 known pixels; zero where there is none. Plain L1 alone stays
    at the best constant for a long time: the
    correlation term is what starts the learning.
    """
    known = torch.isfinite(target)
    target = torch.where(known, target, torch.zeros_like(target))
    weight = known.float()
    count = weight.flatten(1).sum(dim=1)
    use = count >= FEWEST_KNOWN
    if not bool(use.any()):
        return predicted.sum() * 0
    predicted, target, weight, count = predicted[use], target[use], weight[use], count[use]
    absolute = ((predicted - target).abs() * weight).flatten(1).sum(dim=1) / count
    structure = torch.zeros_like(absolute)
    for step in (1, 4):
        for dim in (2, 3):
            length = predicted.shape[dim] - step
            both = weight.narrow(dim, step, length) * weight.narrow(dim, 0, length)
            difference = predicted.narrow(dim, step, length) - predicted.narrow(dim, 0, length)
            wanted = target.narrow(dim, step, length) - target.narrow(dim, 0, length)
            error = ((difference - wanted).abs() * both).flatten(1).sum(dim=1)
            structure = structure + error / both.flatten(1).sum(dim=1).clamp_min(1)
    correlation = depth_correlation(predicted, target, weight)
    return (absolute + 0.3 * (1 - correlation) + 0.3 * structure).mean()


def windows_with_depth(target: Tensor) -> int:
    """How many windows of a batch :func:`depth_loss` is a mean over; ``target`` as there."""
    return int((torch.isfinite(target).flatten(1).sum(dim=1) >= FEWEST_KNOWN).sum())


def depth_correlation(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Pearson correlation over each map's known pixels, (B,). A constant map gives zero, with a gradient."""
    p, t, w = predicted.flatten(1), target.flatten(1), weight.flatten(1)
    total = w.sum(dim=1, keepdim=True).clamp_min(1)
    p = (p - (p * w).sum(dim=1, keepdim=True) / total) * w
    t = (t - (t * w).sum(dim=1, keepdim=True) / total) * w
    # The epsilon stays inside the root: the root of zero has no finite gradient.
    return (p * t).sum(dim=1) / ((p * p).sum(dim=1) * (t * t).sum(dim=1) + 1e-6).sqrt()


def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of each object at probability one half, (B,)."""
    valid, truth = _valid_and_truth(target)
    mask = (logits[:, 0] > 0) & valid
    union = (mask | truth).flatten(1).sum(dim=1)
    return (mask & truth).flatten(1).sum(dim=1) / union.clamp_min(1)


def _valid_and_truth(target: Tensor) -> tuple[Tensor, Tensor]:
    return target != IGNORE, target == 1
