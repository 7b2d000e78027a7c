"""The training loop: batches in, checkpoints out; stopped and resumed without a difference.

The rule of this file: everything that a step draws comes from the seed and the step's number, and everything
else that a step changes is in the checkpoint.
"""

from __future__ import annotations

import csv
import logging
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from napari_ois.checkpoints.depth import load_depth_anything, local_depth_weights
from napari_ois.checkpoints.loading import load_model
from napari_ois.errors import InputError
from napari_ois.network import OIS, PRESETS, ImageEmbedding, build
from napari_ois.network.order import normalize_depth
from napari_ois.training.batches import Batch, BatchStream, as_is
from napari_ois.training.clicks import (
    Click,
    first_click,
    initial_clicks,
    next_click,
    stack_clicks,
)
from napari_ois.training.losses import (
    IGNORE,
    bce_dice_loss,
    depth_loss,
    mask_iou,
    normalized_focal_loss,
)
from napari_ois.training.recipe import Recipe, as_plain, learning_rate, make_optimizer

logger = logging.getLogger(__name__)

FIELDS = ("step", "seconds", "size", "rate", "loss", "iou_first", "iou_last", "depth", "masks_per_s")


class Trainer:
    """Trains one network.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        Folder for ``last.pt`` (everything, to resume from) and ``log.csv``.
    pack, scenes : Path or None
        See :class:`BatchStream`.
    device : str
    depth_weights : Path, optional
        ViT presets: Depth Anything V2 weights to start from, if not those found on this machine.
    start : str or Path, optional
        Model or checkpoint of the same network to start from, instead of random or depth weights.

    Raises
    ------
    InputError
        If there are no data, or ``out`` holds a training with another recipe.
    WeightsError
        If a ViT preset finds no depth weights to start from.
    """

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        *,
        pack: Path | None,
        scenes: Path | None,
        device: str = "cpu",
        depth_weights: Path | None = None,
        start: str | Path | None = None,
    ) -> None:
        self.recipe = recipe
        self.out = Path(out)
        self.device = torch.device(device)
        self.stream = BatchStream(
            pack,
            scenes,
            phases=list(recipe.phases),
            steps=recipe.steps,
            seed=recipe.seed,
            real_share=recipe.real_share,
            objects=recipe.objects,
        )
        torch.manual_seed(recipe.seed)
        self.model = build(recipe.preset, **recipe.switches)
        if not self.checkpoint.exists():
            self._begin(depth_weights, start)
        self.model.to(self.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.optimizer = make_optimizer(self.model, recipe)
        self.step = 0
        if self.checkpoint.exists():
            self._resume()

    @property
    def checkpoint(self) -> Path:
        """The file that a stopped training goes on from."""
        return self.out / "last.pt"

    def run(self, *, save_every: float = 300.0, workers: int = 1, seconds: float | None = None) -> OIS:
        """Train to the end of the recipe, or for so many seconds.

        Parameters
        ----------
        save_every : float
            Seconds between checkpoints.
        workers : int
            Processes that make batches; 0 = this one.
        seconds : float, optional
            Stop early, with a checkpoint.

        Returns
        -------
        OIS
            The network with its averaged weights, in eval mode.
        """
        if self.step >= self.recipe.steps:
            return self.averaged()
        self.out.mkdir(parents=True, exist_ok=True)
        loader = DataLoader(
            self.stream,
            batch_size=None,
            sampler=range(self.step, self.recipe.steps),
            num_workers=workers,
            collate_fn=as_is,
            prefetch_factor=4 if workers else None,
            multiprocessing_context="spawn" if workers else None,
        )
        start = saved = shown = time.monotonic()
        masks = 0
        notes: list[dict[str, float]] = []
        with tqdm(total=self.recipe.steps, initial=self.step, desc="Training", mininterval=5) as bar:
            for batch in loader:
                notes.append(self._train_step(batch))
                masks += len(batch.targets)
                self.step += 1
                bar.update()
                now = time.monotonic()
                if self.step % 50 == 0:
                    self._log(notes, now - start, masks / (now - shown))
                    notes, masks, shown = [], 0, now
                if now - saved > save_every:
                    self.save()
                    saved = now
                if seconds is not None and now - start > seconds:
                    break
        self.save()
        return self.averaged()

    def averaged(self) -> OIS:
        """A copy of the network with its averaged weights, in eval mode."""
        model = build(self.recipe.preset, **self.recipe.switches)
        model.load_state_dict(self.average)
        return model.to(self.device).eval()

    def save(self) -> None:
        """Write the checkpoint; a crash in the middle leaves the old one."""
        state = {
            "step": self.step,
            "recipe": as_plain(self.recipe),
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)

    def _begin(self, depth_weights: Path | None, start: str | Path | None) -> None:
        """Give a new training the weights that it starts from, where they are not random."""
        preset = self.recipe.preset
        if start is not None:
            network, info = load_model(start)
            if info.preset != preset:
                raise InputError(f"{start} is for {info.preset}; give a checkpoint for {preset}.")
            self.model.load_state_dict(network.state_dict())
        elif PRESETS[preset].encoder == "vit":
            weights = local_depth_weights(preset, given=depth_weights, revision=None)
            load_depth_anything(self.model, weights)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if state["recipe"] != as_plain(self.recipe):
            raise InputError(
                f"{self.out} holds a training with another recipe; choose another folder or the same recipe."
            )
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        logger.info("Resumed at step %d", self.step)

    def _train_step(self, batch: Batch) -> dict[str, float]:
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, self.step, 1])
        rate = learning_rate(recipe, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        image = (batch.rgb.to(self.device).float() / 255).contiguous(memory_format=torch.channels_last)
        truth_depth = batch.depth.to(self.device)
        targets = batch.targets.to(self.device)
        embedding = self.model.embed_image(image)
        on_depth = depth_loss(embedding.raw_depth, truth_depth)
        embedding = replace(embedding, depth=self._order_source(rng, embedding, truth_depth))
        objects = embedding.select(batch.image_index.to(self.device))
        points, labels, previous, iou_first = self._click_rounds(rng, objects, batch.targets)
        logits = self.model.decode_clicks(objects, points, labels, previous)
        on_mask = self._mask_loss(logits, targets)
        loss = on_mask + recipe.depth_weight * on_depth
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            logger.warning("Step %d skipped: the gradient is not finite", self.step)
        self._update_average()
        iou = float(mask_iou(logits.detach(), targets).mean())
        return {
            "rate": rate,
            "size": float(image.shape[-1]),
            "loss": float(on_mask.detach()),
            "iou_first": iou if iou_first is None else iou_first,
            "iou_last": iou,
            "depth": float(on_depth.detach()),
        }

    def _mask_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.recipe.loss == "nfl":
            return normalized_focal_loss(logits, targets)
        return bce_dice_loss(logits, targets, bce_weight=self.stream.phase(self.step).bce_weight)

    def _order_source(self, rng: np.random.Generator, embedding: ImageEmbedding, truth: Tensor) -> Tensor:
        """Choose each image's depth for order: true (with a random gamma), constant, or estimated."""
        depth = embedding.depth.detach().clone()
        for index in range(len(depth)):
            draw, gamma = rng.random(), math.exp(rng.uniform(-0.5, 0.5))
            known = torch.isfinite(truth[index])
            if draw < self.recipe.no_depth:
                depth[index] = 0
            elif draw < self.recipe.no_depth + self.recipe.true_depth and known.float().mean() > 0.5:
                filled = torch.where(known, truth[index], truth[index][known].median())
                depth[index] = normalize_depth(filled[None].pow(gamma))[0]
        return depth

    def _click_rounds(
        self, rng: np.random.Generator, objects: ImageEmbedding, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None, float | None]:
        """Simulate a user up to the click that is learned from, without gradients."""
        truth = (targets == 1).numpy()
        valid = (targets != IGNORE).numpy()
        rounds = int(rng.choice(len(self.recipe.rounds), p=self.recipe.rounds))
        random_start = rng.random() < self.recipe.random_start
        clicks: list[list[Click]] = []
        for own in truth:
            click = first_click(rng, own)
            one = [] if click is None else [click]
            clicks.append(initial_clicks(rng, own) if random_start else one)
        previous: Tensor | None = None
        iou_first: float | None = None
        for _ in range(rounds):
            points, labels = self._tensors(clicks)
            with torch.no_grad():
                previous = self.model.decode_clicks(objects, points, labels, previous)
            if iou_first is None:
                iou_first = float(mask_iou(previous, targets.to(self.device)).mean())
            probability = previous.sigmoid()[:, 0].cpu().numpy()
            for own, p, t, v in zip(clicks, probability, truth, valid, strict=True):
                click = next_click(rng, p, t, v, at_maximum=0.4)
                if click is not None:
                    own.append(click)
        return *self._tensors(clicks), previous, iou_first

    def _tensors(self, clicks: list[list[Click]]) -> tuple[Tensor, Tensor]:
        points, labels = stack_clicks(clicks)
        return torch.from_numpy(points).to(self.device), torch.from_numpy(labels).to(self.device)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.ema, 1 - 4 / (self.step + 5))
        for name, value in self.model.state_dict().items():
            mean = self.average[name]
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    def _log(self, notes: list[dict[str, float]], seconds: float, speed: float) -> None:
        row = {key: float(np.mean([n[key] for n in notes])) for key in notes[0]}
        row |= {"step": self.step, "seconds": seconds, "masks_per_s": speed}
        path = self.out / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            if fresh:
                writer.writeheader()
            writer.writerow({key: f"{row[key]:.5g}" for key in FIELDS})
