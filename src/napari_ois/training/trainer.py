"""The training loop: batches in, checkpoints out; stopped and resumed without a difference.

The rule of this file: everything that a step draws comes from the seed and the step's number, and everything
else that a step changes is in the checkpoint. A step's batch is the recipe's; several devices and several
passes only divide it.
"""

from __future__ import annotations

import copy
import logging
import math
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from napari_ois.checkpoints.depth import load_depth_anything, local_depth_weights
from napari_ois.checkpoints.loading import load_model
from napari_ois.checkpoints.registry import check_model
from napari_ois.errors import InputError, OISError
from napari_ois.evaluation.readers import EvalImage
from napari_ois.network import OIS, PRESETS, build
from napari_ois.segmentation.placement import Placement, choose_precision
from napari_ois.segmentation.predictor import Predictor
from napari_ois.training.batches import Batch, ImageSource, as_is, in_sentences
from napari_ois.training.dev import FIGURES, identity_of, is_better, measure
from napari_ois.training.logs import CsvLog, open_board, show
from napari_ois.training.losses import windows_with_depth
from napari_ois.training.recipe import Recipe, as_plain, learning_rate, make_optimizer, stream_of
from napari_ois.training.state import State, started, write_whole
from napari_ois.training.step import set_learning, teach
from napari_ois.training.team import join_team

logger = logging.getLogger(__name__)

FIELDS = ("step", "seconds", "size", "rate", "loss", "iou_first", "iou_last", "depth", "masks_per_s")
LOG_EVERY = 50
"""Steps of one row of the log."""


class Trainer:
    """Trains one network.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        Folder for ``last.pt`` (everything, to resume from), ``log.csv`` and, with ``dev``, ``dev.csv`` and
        ``best.pt`` (the averaged weights that needed the fewest clicks).
        :func:`napari_ois.checkpoints.export` takes both kinds.
    pack, scenes : Path or None
        See :class:`napari_ois.training.batches.BatchStream`.
    device : str
        Of a training started by ``accelerate launch``, accelerate chooses.
    depth_weights : Path, optional
        ViT presets: Depth Anything V2 weights to start from, if not those found on this machine.
    start : str or Path, optional
        Model or checkpoint of the same network to start from, instead of random or depth weights.
    precision : str
        "auto" (half on CUDA), "fp32", "half", "bf16" or "fp16"; weights stay in float32.
    accumulate : int
        Passes that a device divides its share of a batch into, to need less memory. Without batch norm that
        learns, as in the ViT presets, the result is the same.
    dev : iterable of EvalImage, optional
        Images to measure on, see :func:`napari_ois.training.dev.dev_images`.
    dev_every : int
        Steps between measurements; the end is measured too. 0 = the end only.
    tensorboard : bool
        Write a TensorBoard log into ``out / "board"`` too.

    Raises
    ------
    InputError
        If there are no data, ``out`` holds a training with another recipe, or a package is missing.
    WeightsError
        If a ViT preset finds no depth weights to start from.
    """

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        *,
        pack: Path | ImageSource | None,
        scenes: Path | None,
        device: str = "cpu",
        depth_weights: Path | None = None,
        start: str | Path | None = None,
        precision: str = "fp32",
        accumulate: int = 1,
        dev: Iterable[EvalImage] | None = None,
        dev_every: int = 0,
        tensorboard: bool = False,
    ) -> None:
        self.recipe = recipe
        self.out = Path(out)
        self.team = join_team(device)
        self.device = self.team.device
        self.placement = Placement(self.device, choose_precision(precision, self.device))
        self.accumulate = accumulate
        self.dev, self.dev_every = dev, dev_every
        self.tensorboard = tensorboard
        self.stream = stream_of(recipe, pack, scenes, share=(self.team.number, self.team.size))
        torch.manual_seed(recipe.seed)
        model = build(recipe.preset, **recipe.switches)
        begun = "" if self.checkpoint.exists() else self._begin(model, depth_weights, start)
        if recipe.borrowed:
            for part in (model.encoder, model.depth_decoder):
                part.requires_grad_(False)
        model.to(self.device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.team.same(model.state_dict().values())
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.placement.precision == "fp16")
        average = {name: value.clone() for name, value in model.state_dict().items()}
        self.state = State(model, make_optimizer(model, recipe), scaler, average, start=begun)
        if self.checkpoint.exists():
            self.state.read(self.checkpoint, recipe, self.device)
            self._check_start(start)
            logger.info("Resumed at step %d", self.step)
        self.log = CsvLog(self.out / "log.csv", FIELDS)
        self.dev_log = CsvLog(self.out / "dev.csv", ("step", *FIGURES))
        self._board: Any = None

    @property
    def checkpoint(self) -> Path:
        """The file that a stopped training goes on from."""
        return self.out / "last.pt"

    @property
    def model(self) -> OIS:
        """The network as the last step left it."""
        return self.state.model

    @property
    def average(self) -> dict[str, Tensor]:
        """Running mean of the weights, by name."""
        return self.state.average

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state.step

    @step.setter
    def step(self, done: int) -> None:
        self.state.step = done

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
        self._open_logs()
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
        masks = 0.0
        with tqdm(
            total=self.recipe.steps, initial=self.step, desc="Training", mininterval=5, disable=not self.team.leads
        ) as bar:
            for batch in in_sentences(loader):
                note = self._train_step(batch)
                masks += note.pop("masks")
                self.state.notes.append(note)
                self.step += 1
                bar.update()
                now = time.monotonic()
                if self.step % LOG_EVERY == 0:
                    self._log(self.state.notes, now - start, masks / max(now - shown, 1e-9))
                    self.state.notes, masks, shown = [], 0.0, now
                if self._is_measured(self.step):
                    self.measure()
                if now - saved > save_every:
                    self.save()
                    saved = now
                # the clocks of several devices differ; they must stop after the same step
                if seconds is not None and self.team.any(now - start > seconds):
                    break
        self.save()
        self.team.wait()
        return self.averaged()

    def averaged(self) -> OIS:
        """A copy of the network with its averaged weights, in eval mode."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        return model.eval()

    def save(self) -> None:
        """Write the checkpoint; a crash in the middle leaves the old one."""
        if self.team.leads:
            self.state.write(self.checkpoint, self.recipe)

    def measure(self) -> dict[str, float] | None:
        """Measure the averaged weights on the ``dev`` images, note the figures, keep the best.

        Returns
        -------
        dict or None
            See :func:`napari_ois.training.dev.measure`; None on the devices that only wait.
        """
        figures = None
        if self.team.leads and self.dev is not None:
            preset = PRESETS[self.recipe.preset]
            predictor = Predictor.from_network(
                self.averaged(),
                input_size=preset.input_size,
                multiple=preset.multiple,
                device=str(self.device),
                precision=self.placement.precision,
                close_up=preset.close_up,
            )
            figures = measure(predictor, self.dev)
            row = {"step": self.step, **figures}
            self.dev_log.write(row)
            show(self._board, "dev", row)
            on = identity_of(self.dev)
            if self.state.best_on not in ("", on):
                logger.warning("The images to measure on are others than before: the best network is sought anew.")
                self.state.best = None
            self.state.best_on = on
            if is_better(figures, self.state.best):
                self.state.best = figures
                content = {
                    "step": self.step,
                    "recipe": as_plain(self.recipe),
                    "average": self.average,
                    "start": self.state.start,
                    "dev": figures,
                }
                write_whole(self.out / "best.pt", content)
        self.team.wait()
        return figures

    def _is_measured(self, step: int) -> bool:
        if self.dev is None:
            return False
        return step == self.recipe.steps or (self.dev_every > 0 and step % self.dev_every == 0)

    def _begin(self, model: OIS, depth_weights: Path | None, start: str | Path | None) -> str:
        """Give a new training the weights that it starts from, where they are not random; say which."""
        preset = self.recipe.preset
        if start is not None:
            network, info = load_model(start)
            if info.preset != preset:
                raise InputError(f"{start} is for {info.preset}; give a checkpoint for {preset}.")
            said = f"{Path(start).name} (sha256 {info.sha256})"  # a checkpoint travels: no folder of this machine
            if self.recipe.borrowed:
                model.encoder.load_state_dict(network.encoder.state_dict())
                model.depth_decoder.load_state_dict(network.depth_decoder.state_dict())
                return said
            state = started(network.state_dict(), model.state_dict())
            if state is None:
                raise InputError(f"{start} has other switches than the recipe; give one that was trained with them.")
            model.load_state_dict(state)
            return said
        if self.recipe.borrowed:
            raise InputError("There is no model to borrow the encoder from; name one to start from.")
        if PRESETS[preset].encoder == "vit":
            weights = local_depth_weights(preset, given=depth_weights, revision=None)
            load_depth_anything(model, weights)
        return ""

    def _check_start(self, start: str | Path | None) -> None:
        """Say that a training goes on from what it began with, where another model is named to start from."""
        try:
            named = None if start is None else check_model(start).sha256
        except OISError:  # it is not needed any more
            return
        if named and self.state.start and named not in self.state.start:
            warnings.warn(
                f"{self.out} holds a training that began with {self.state.start}, and goes on with that; to begin with "
                f"{start}, choose another folder.",
                RuntimeWarning,
                stacklevel=3,
            )

    def _open_logs(self) -> None:
        if not self.team.leads:
            return
        board = open_board(self.out / "board", self.step) if self.tensorboard else None
        self.out.mkdir(parents=True, exist_ok=True)
        self._board = board
        for log in (self.log, self.dev_log):
            log.cut(self.step)

    def _train_step(self, batch: Batch) -> dict[str, float]:
        recipe, optimizer, scaler = self.recipe, self.state.optimizer, self.state.scaler
        rate = learning_rate(recipe, self.step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        set_learning(self.model)
        optimizer.zero_grad(set_to_none=True)
        all_masks, all_depths = self.team.total([len(batch.targets), windows_with_depth(batch.depth)])
        sums = np.zeros(4)
        for part in batch.split(self.accumulate):
            lesson = teach(
                self.model,
                part,
                recipe,
                self.step,
                bce_weight=self.stream.phase(self.step).bce_weight,
                autocast=self.placement.autocast,
            )
            mask_share = len(part.targets) / max(all_masks, 1)
            depth_share = windows_with_depth(part.depth) / max(all_depths, 1)
            loss = lesson.mask * mask_share
            if recipe.depth_weight:
                loss = loss + recipe.depth_weight * lesson.depth * depth_share
            scaler.scale(loss).backward()
            # a part without an object has a share of zero, but no IoU to weigh with it
            sums += np.nan_to_num([float(lesson.mask.detach()), lesson.iou_first, lesson.iou_last, 0.0]) * mask_share
            sums[3] += float(lesson.depth.detach()) * depth_share
        self._descend()
        self.state.update_average(recipe.ema)
        loss_mean, iou_first, iou_last, depth = self.team.total(sums.tolist())
        return {
            "rate": rate,
            "size": float(batch.rgb.shape[-1]),
            "loss": loss_mean,
            "iou_first": iou_first,
            "iou_last": iou_last,
            "depth": depth,
            "masks": all_masks,
        }

    def _descend(self) -> None:
        """Sum the gradients of all devices, clip them, and take the step unless they are not finite."""
        optimizer, scaler = self.state.optimizer, self.state.scaler
        self.team.sum_gradients(self.model.parameters())
        scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        if math.isfinite(float(norm)):
            scaler.step(optimizer)
        else:
            logger.warning("Step %d skipped: the gradient is not finite", self.step)
        if scaler.is_enabled():
            scaler.update()

    def _log(self, notes: list[dict[str, float]], seconds: float, speed: float) -> None:
        if not self.team.leads:
            return
        row = {key: float(np.mean([n[key] for n in notes])) for key in notes[0]}
        row |= {"step": self.step, "seconds": seconds, "masks_per_s": speed}
        self.log.write(row)
        show(self._board, "train", row)
