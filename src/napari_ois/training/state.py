"""What a training is, between two steps, and the file that holds it.

The rule of this file: everything that a step changes is in :class:`State`; a crash while it is written leaves
the old file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_ois.checkpoints.header import damaged
from napari_ois.checkpoints.store import read_pickled
from napari_ois.errors import InputError
from napari_ois.network import OIS
from napari_ois.training.recipe import Recipe, as_plain, is_same

_GROWN = ("cues.coarse.weight", "cues.fine.weight")
"""Weights whose last input channels came later than the first."""


@dataclass
class State:
    """A training between two steps.

    Attributes
    ----------
    model : OIS
    optimizer : torch.optim.Optimizer
    scaler : torch.amp.GradScaler
        Of fp16; does nothing otherwise.
    average : dict of str to Tensor
        Running mean of the weights.
    step : int
        Steps done.
    best : dict or None
        Figures of the best network so far, on the images to measure on.
    best_on : str
        Which images these were; see :func:`napari_ois.training.dev.identity_of`.
    start : str
        What the training started from, with its hash; empty = random weights.
    notes : list of dict
        Figures of the steps since the last row of the log.
    """

    model: OIS
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: dict[str, Tensor]
    step: int = 0
    best: dict[str, float] | None = None
    best_on: str = ""
    start: str = ""
    notes: list[dict[str, float]] = field(default_factory=list)

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the mean towards the weights; while it is young, faster."""
        decay = min(decay, 1 - 4 / (self.step + 5))
        move_average(self.average, self.model, decay)

    def write(self, path: Path, recipe: Recipe) -> None:
        """Write everything, to go on from."""
        write_whole(
            path,
            {
                "step": self.step,
                "recipe": as_plain(recipe),
                "model": self.model.state_dict(),
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "best": self.best,
                "best_on": self.best_on,
                "start": self.start,
                "notes": self.notes,
            },
        )

    def read(self, path: Path, recipe: Recipe, device: torch.device) -> None:
        """Take everything over from a file; InputError if it is of another recipe, WeightsError if it is damaged."""
        found = read_pickled(path)
        if not (isinstance(found, dict) and {"recipe", "model", "average", "optimizer", "step"} <= found.keys()):
            raise damaged(path)
        if not is_same(found["recipe"], recipe):
            raise InputError(
                f"{path.parent} holds a training with another recipe; choose another folder or the same recipe."
            )
        self.model.load_state_dict(found["model"])
        self.average = {name: value.to(device) for name, value in found["average"].items()}
        self.optimizer.load_state_dict(found["optimizer"])
        if found.get("scaler"):
            self.scaler.load_state_dict(found["scaler"])
        self.step = found["step"]
        self.best = found.get("best")
        self.best_on = found.get("best_on", "")
        self.start = found.get("start", "")
        self.notes = found.get("notes", [])


@torch.no_grad()
def move_average(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    """Move a running mean towards a network's weights; counters are copied."""
    for name, value in model.state_dict().items():
        mean = average[name]
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def write_whole(path: Path, content: dict[str, Any]) -> None:
    """Write a file of torch.save; a crash in the middle leaves the old one.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    temporary = path.with_suffix(".tmp")
    try:
        torch.save(content, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer says that a disk is full by the latter
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written ({error}); make room: the one before is kept.") from error


def started(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Weights to start from, by a model that may be from before cues or appearance were there.

    Both start at zero, so that the network answers as the model did.

    Parameters
    ----------
    given, own : mapping of str to Tensor
        State dicts of the model and of the network that starts.

    Returns
    -------
    dict of str to Tensor, or None where the two differ in anything else.
    """
    state = {}
    for name, value in own.items():
        found = given.get(name)
        if found is None and name.startswith("cues."):
            found = torch.zeros_like(value)
        if found is not None and name in _GROWN and found.shape[1] < value.shape[1]:
            found = torch.cat([found, torch.zeros_like(value[:, found.shape[1] :])], dim=1)
        if found is None or found.shape != value.shape:
            return None
        state[name] = found
    return None if given.keys() - state.keys() else state
