"""The loop of a fine-tuning: a few images, a few minutes, most of the network left as it is.

The rule of this file: only what masks are made with is trained; depth, and the statistics of every batch norm,
stay what they were.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from napari_ois.errors import OISError
from napari_ois.network import OIS, PRESETS
from napari_ois.segmentation.placement import Placement
from napari_ois.training.batches import Batch, Phase
from napari_ois.training.datasets import TrainImage
from napari_ois.training.recipe import AS_USED, Recipe, make_optimizer, stream_of
from napari_ois.training.sources import Files
from napari_ois.training.state import move_average
from napari_ois.training.step import set_learning, teach

LOG = logging.getLogger(__name__)

LONGEST = 1024
"""Longest side that images are shrunk to while windows are cut from them, in pixels."""

KEPT = 256
"""Most images that stay in memory."""

RATE = 2e-4
"""Learning rate at first."""

_CLICKS: dict[str, Any] = {
    "rounds": (0.3, 0.2, 0.15, 0.1, 0.08, 0.07, 0.05, 0.05),
    "first_weight": 0.5,
    "at_maximum": 0.9,
    "seeded": 0.05,
}
"""More corrective clicks, where the robot user makes them, and beside them the first click's own loss: what is lacking
on images of a kind that is known shows after the first click."""

_ENCODER_SLOWER = 0.1
"""The encoder's rate, as a share of the rest's: it knows more than a few images can tell."""

_MOST_STEPS = 100_000


def recipe_of(preset: str, side: int, *, seed: int = 0, rate: float = RATE) -> Recipe:
    """The recipe: windows near the size that is used, one size after the other, and the compact preset's clicks.

    Windows of a picture's shape are for networks that take any; first answers are looked at again where small objects
    are closed up on.
    """
    multiple = PRESETS[preset].multiple
    apart = max(1, side // 7 // multiple) * multiple
    middle = max(multiple, side // multiple * multiple)
    sides = (middle, max(multiple, middle - apart), middle + apart)
    windows = [(s, 4 if s <= 512 else 1) for s in sides]
    phase = Phase(1.0, *windows[0], tight=0.5, bce_weight=0.5, turns=tuple(windows[1:]))
    as_used = {**AS_USED, **_CLICKS}
    if not PRESETS[preset].close_up:
        as_used.update(again=0.0, aspects=())
    return Recipe(
        **as_used,
        preset=preset,
        steps=_MOST_STEPS,
        phases=(phase,),
        rate=rate,
        warmup=20,
        ema=0.99,
        depth_weight=0.5,
        true_depth=0.0,
        objects=4,
        real_share=1.0,
        seed=seed,
    )


def tune(
    model: OIS,
    recipe: Recipe,
    items: Sequence[TrainImage],
    placement: Placement,
    encoder: bool,
    seconds: float | None,
    steps: int | None,
    progress: Callable[[float], Any] | None,
) -> tuple[dict[str, Tensor], int, float]:
    """Train a network in place; Ctrl-C ends it early, with what was learnt.

    Parameters
    ----------
    model : OIS
        On its device.
    recipe : Recipe
        See :func:`recipe_of`.
    items : sequence of TrainImage
        Each with an object.
    placement : Placement
    encoder : bool
        Train the encoder too, slower; the depth of the first model is held on to.
    seconds, steps : float or int, one of them None
        Length; the rate falls along it.
    progress : callable, optional
        Called with thousandths of the training done.

    Returns
    -------
    average : dict of str to Tensor
        Running mean of the weights.
    steps : int
        Steps done.
    seconds : float

    Raises
    ------
    OISError
        When no step had a finite gradient.
    """
    for part in (model.depth_decoder, *(() if encoder else (model.encoder,))):
        part.requires_grad_(False)
    teacher = copy.deepcopy(model).eval() if encoder else None
    groups = _groups(model, recipe)
    optimizer = make_optimizer(model, recipe)
    optimizer.param_groups.clear()
    for group in groups:
        optimizer.add_param_group(group)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    stream = _stream(recipe, items)
    start = time.monotonic()
    told, step, finite = 0.0, 0, 0
    try:
        for step, batch in enumerate(stream):
            share = step / steps if steps is not None else (time.monotonic() - start) / (seconds or 1.0)
            if progress is not None:
                progress(1000 * (min(share, 1.0) - told))
                told = min(share, 1.0)
            # at least one step, however short the time
            if share >= 1 and step:
                break
            finite += _step(model, optimizer, recipe, batch, step, share, placement, teacher)
            move_average(average, model, min(recipe.ema, 1 - 4 / (step + 5)))
    except KeyboardInterrupt:  # what was learnt until then is kept, and measured
        if not finite:
            raise
        LOG.warning("Stopped after %d steps; clicks are counted with what was learnt.", step)
    if not finite:
        raise OISError("The training failed: no step had a finite gradient; try another seed or a smaller rate.")
    return average, step, time.monotonic() - start


def between(first: Mapping[str, Tensor], last: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights on the straight way from the first to the last ones, so far from the first; counters are the last's.

    Half way, a tuned network keeps more of what the first one knew, and less of what the draw of a few images put in
    (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
    """
    return {
        name: torch.lerp(first[name], value, share) if value.is_floating_point() else value
        for name, value in last.items()
    }


def _step(
    model: OIS,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    batch: Batch,
    step: int,
    share: float,
    placement: Placement,
    teacher: OIS | None,
) -> bool:
    """Take one step; whether its gradient was finite."""
    fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate * group["slower"] * fall * min(1.0, (step + 1) / recipe.warmup)
    if teacher is not None:
        with torch.no_grad(), placement.autocast():
            known = teacher.embed_image(batch.rgb.to(teacher.device).float() / 255).raw_depth.float()
        batch = replace(batch, depth=known.cpu().masked_fill(~batch.valid, torch.nan))
    set_learning(model, keep_statistics=True)
    bce_weight = recipe.phases[0].bce_weight
    lesson = teach(model, batch, recipe, step, bce_weight=bce_weight, autocast=placement.autocast)
    loss = lesson.mask if teacher is None else lesson.mask + recipe.depth_weight * lesson.depth
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    finite = math.isfinite(float(clip_grad_norm_(model.parameters(), recipe.clip)))
    if finite:
        optimizer.step()
    return finite


def _groups(model: OIS, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Groups of parameters by rate and by decay, as :func:`make_optimizer` makes them."""
    slow = {id(p) for p in model.encoder.parameters()}
    learned = [p for p in model.parameters() if p.requires_grad]
    for slower, members in (
        (1.0, [p for p in learned if id(p) not in slow]),
        (_ENCODER_SLOWER, [p for p in learned if id(p) in slow]),
    ):
        for decay, own in (
            (recipe.weight_decay, [p for p in members if p.ndim >= 2]),
            (0.0, [p for p in members if p.ndim < 2]),
        ):
            if own:
                yield {"params": own, "weight_decay": decay, "slower": slower}


def _stream(recipe: Recipe, items: Sequence[TrainImage]) -> Iterator[Batch]:
    """Make batches without end."""
    stream = stream_of(recipe, Files(items, longest=LONGEST, kept=KEPT), None)
    step = 0
    while True:
        yield stream[step]
        step += 1
