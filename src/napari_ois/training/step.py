"""What one batch teaches: simulated clicks, then one prediction and its losses.

The rule of this file: what is drawn for a window or an object depends on the seed, the step and their numbers
alone, so that a batch divided over devices, or over passes, teaches what it would have taught undivided.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_ois.network import OIS, ImageEmbedding
from napari_ois.network.order import normalize_depth
from napari_ois.segmentation.results import SURE
from napari_ois.training.batches import Batch
from napari_ois.training.clicks import Click, first_click, initial_clicks, next_click, stack_clicks
from napari_ois.training.losses import IGNORE, bce_dice_loss, depth_loss, mask_iou, normalized_focal_loss
from napari_ois.training.recipe import Recipe
from napari_ois.training.seeds import begin

Autocast = Callable[[], AbstractContextManager[object]]

# What a generator is for, beside the seed and the step's number; windows have 4.
_ROUNDS, _CLICKS, _ORDER = 1, 2, 3


@dataclass(frozen=True)
class Lesson:
    """What one batch gave.

    Attributes
    ----------
    mask : scalar tensor
        Mean loss of the masks over the objects, with its gradient; zero where there is no object.
    depth : scalar tensor
        Mean loss of the depth over the windows.
    iou_first, iou_last : float
        Mean IoU after the first click, and of the prediction that was learned from; NaN without objects.
    """

    mask: Tensor
    depth: Tensor
    iou_first: float
    iou_last: float


def set_learning(model: nn.Module, *, keep_statistics: bool = False) -> None:
    """Put a network in training mode, but not its parts without a learning parameter.

    Parameters
    ----------
    model : nn.Module
    keep_statistics : bool
        Leave the running statistics of every batch norm alone too: a few small batches would spoil them.
    """
    model.train()
    for part in model.children():
        if not any(parameter.requires_grad for parameter in part.parameters()):
            part.eval()
    if keep_statistics:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def teach(
    model: OIS,
    batch: Batch,
    recipe: Recipe,
    step: int,
    *,
    bce_weight: float = 2.0,
    autocast: Autocast = nullcontext,
) -> Lesson:
    """Simulate users on a batch and predict once with gradients (Sec. 4, after RITM's iterative training).

    Parameters
    ----------
    model : OIS
        In the mode that :func:`set_learning` gives.
    batch : Batch
        On the CPU.
    recipe : Recipe
        Its laws of clicks, order and loss.
    step : int
        Number of the step, which the draws depend on.
    bce_weight : float
        See :func:`bce_dice_loss`.
    autocast : callable
        Makes the context in which the network runs.

    Returns
    -------
    Lesson
    """
    device = model.device
    image = (batch.rgb.to(device).float() / 255).contiguous(memory_format=torch.channels_last)
    truth_depth, valid = batch.depth.to(device), batch.valid.to(device)
    targets = batch.targets.to(device)
    with autocast():
        embedding = model.embed_image(image, valid=valid)
    on_depth = depth_loss(embedding.raw_depth, truth_depth)
    order = _order_source(batch, recipe, step, embedding.depth.detach().clone(), truth_depth)
    embedding = replace(embedding, depth=order)
    if not len(targets):
        return Lesson(embedding.features.sum() * 0, on_depth, math.nan, math.nan)
    objects = embedding.select(batch.image_index.to(device))
    clicks, previous, first = _click_rounds(model, objects, batch, recipe, step, autocast)
    points, labels = _tensors(clicks, device)
    # A context of its own: autocast would hand on the weights that it cast, without gradients, for the rounds.
    with autocast():
        logits = model.decode_clicks(objects, points, labels, previous)
    weights = crowd_weights(batch.image_index).to(device)
    on_mask = _mask_loss(logits, targets, recipe.loss, bce_weight, weights)
    iou_first = iou = float(mask_iou(logits.detach(), targets).mean())
    if first is not None:
        iou_first = float(mask_iou(first.detach(), targets).mean())
        if recipe.first_weight:
            on_first = _mask_loss(first, targets, recipe.loss, bce_weight, weights)
            on_mask = (on_mask + recipe.first_weight * on_first) / (1 + recipe.first_weight)
    return Lesson(on_mask, on_depth, iou_first, iou)


def crowd_weights(image_index: Tensor) -> Tensor:
    """How much each object counts, (M,) float: less in company, the root of 2 over the objects of its window.

    A photograph of one object gives one, a field of cells three; counted alike, photographs would be a tenth of
    what is learnt.
    """
    return (2 / torch.bincount(image_index)[image_index]).sqrt()


def _mask_loss(logits: Tensor, targets: Tensor, loss: str, bce_weight: float, weights: Tensor) -> Tensor:
    if loss == "nfl":
        return normalized_focal_loss(logits, targets)
    return bce_dice_loss(logits, targets, bce_weight=bce_weight, weights=weights)


def _order_source(batch: Batch, recipe: Recipe, step: int, depth: Tensor, truth: Tensor) -> Tensor:
    """Choose each image's depth for order: true (with a random gamma), constant, or as estimated, which is given."""
    for index, number in enumerate(batch.numbers.tolist()):
        rng = np.random.default_rng([recipe.seed, step, _ORDER, number])
        draw, gamma = rng.random(), math.exp(rng.uniform(-0.5, 0.5))
        known = torch.isfinite(truth[index])
        if draw < recipe.no_depth:
            depth[index] = 0
        elif draw < recipe.no_depth + recipe.true_depth and known.float().mean() > 0.5:
            filled = torch.where(known, truth[index], truth[index][known].median())
            depth[index] = normalize_depth(filled[None].pow(gamma))[0]
    return depth


def _click_rounds(
    model: OIS, objects: ImageEmbedding, batch: Batch, recipe: Recipe, step: int, autocast: Autocast
) -> tuple[list[list[Click]], Tensor | None, Tensor | None]:
    """Simulate a user up to the click that is learned from; clicks, last logits, and those of the first click.

    Without gradients, but for the first click's where the recipe gives it a loss of its own.
    """
    truth = (batch.targets == 1).numpy()
    valid = (batch.targets != IGNORE).numpy()
    device = model.device
    shared = np.random.default_rng([recipe.seed, step, _ROUNDS])
    # one number of rounds for the whole batch, as SegNext draws it
    rounds = int(shared.choice(len(recipe.rounds), p=recipe.rounds))
    random_start = shared.random() < recipe.random_start
    again = recipe.again > 0 and shared.random() < recipe.again
    coarser = int(shared.choice([1, 1, 2, 4, 8])) if again else 1
    seeded = recipe.seeded > 0 and shared.random() < recipe.seeded
    generators = _object_generators(batch, recipe.seed, step)
    previous: Tensor | None = None
    if seeded:
        again = False  # the first answer is not the network's own
        clicks, previous = _seeds(generators, truth, device)
    else:
        clicks = _starts(generators, batch, truth, valid, random_start)
    first: Tensor | None = None
    for number in range(rounds + again):
        points, labels = _tensors(clicks, device)
        with torch.set_grad_enabled(first is None and recipe.first_weight > 0), autocast():
            logits = model.decode_clicks(objects, points, labels, previous)
        if first is None:
            first = logits
        previous = logits.detach()
        if again and number == 0:
            previous = _coarsened(previous, coarser)
            continue
        probability = previous.sigmoid()[:, 0].cpu().numpy()
        for own, rng, p, t, v in zip(clicks, generators, probability, truth, valid, strict=True):
            click = next_click(rng, p, t, v, at_maximum=recipe.at_maximum)
            if click is not None:
                own.append(click)
    return clicks, previous, first


def _coarsened(logits: Tensor, factor: int) -> Tensor:
    """Logits as a view so many times wider would have given them."""
    if factor == 1:
        return logits
    size = [side // factor for side in logits.shape[-2:]]
    small = F.interpolate(logits, size=size, mode="bilinear", antialias=True)
    return F.interpolate(small, size=logits.shape[-2:], mode="bilinear")


def _object_generators(batch: Batch, seed: int, step: int) -> list[np.random.Generator]:
    """One generator an object, by its window's number and its place in the window."""
    generators = []
    seen: dict[int, int] = {}
    for window in batch.image_index.tolist():
        place = seen[window] = seen.get(window, -1) + 1
        generators.append(np.random.default_rng([seed, step, _CLICKS, int(batch.numbers[window]), place]))
    return generators


def _starts(
    generators: list[np.random.Generator], batch: Batch, truth: np.ndarray, valid: np.ndarray, at_random: bool
) -> list[list[Click]]:
    """The clicks that each object begins from: one, or RITM's random ones, some on the window's other objects."""
    if not at_random:
        clicks = [first_click(rng, own) for rng, own in zip(generators, truth, strict=True)]
        return [[] if click is None else [click] for click in clicks]
    windows = batch.image_index.numpy()
    starts = []
    for number, (rng, own, shown) in enumerate(zip(generators, truth, valid, strict=True)):
        beside = (windows == windows[number]) & (np.arange(len(truth)) != number)
        others = truth[beside].any(axis=0) if beside.any() else None
        starts.append(initial_clicks(rng, own, others, shown))
    return starts


def _seeds(
    generators: list[np.random.Generator], truth: np.ndarray, device: torch.device
) -> tuple[list[list[Click]], Tensor]:
    """Clicks and masks that the objects begin from, the masks as logits (M, 1, H, W)."""
    clicks, masks = [], np.zeros(truth.shape, np.float32)
    for rng, own, mask in zip(generators, truth, masks, strict=True):
        begun = begin(rng, own)
        clicks.append([] if begun is None else [begun[1]])
        if begun is not None:
            mask[:] = begun[0]
    return clicks, torch.from_numpy(SURE * (2 * masks[:, None] - 1)).to(device)


def _tensors(clicks: list[list[Click]], device: torch.device) -> tuple[Tensor, Tensor]:
    points, labels = stack_clicks(clicks)
    return torch.from_numpy(points).to(device), torch.from_numpy(labels).to(device)
