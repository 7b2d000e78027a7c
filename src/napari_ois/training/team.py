"""The devices that train together.

The rule of this file: every device does its share of a step's batch, and what must be the same on all of them
(gradients, counts, the decision to stop) is summed here by hand. The network is not wrapped: it is asked for
an image's features once and for masks several times, which a wrapper around ``forward`` does not see.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from napari_ois.errors import InputError

PATIENCE = timedelta(hours=6)
"""How long the others wait while the first device evaluates."""


class Team:
    """One device alone, or one of several started by ``accelerate launch``.

    Parameters
    ----------
    device : torch.device
    accelerator : accelerate.Accelerator, optional
        None = alone.

    Attributes
    ----------
    number, size : int
        Which of how many.
    """

    def __init__(self, device: torch.device, accelerator: Any = None) -> None:
        self.device = device
        self._accelerator = accelerator
        self.number: int = 0 if accelerator is None else accelerator.process_index
        self.size: int = 1 if accelerator is None else accelerator.num_processes

    @property
    def leads(self) -> bool:
        """Whether this one writes files and evaluates."""
        return self.number == 0

    def total(self, values: Iterable[float]) -> list[float]:
        """Sum numbers over all devices, each with its namesake."""
        values = list(values)
        if self._accelerator is None:
            return values
        # float32 is exact for counts; MPS has no float64
        return self._accelerator.reduce(torch.tensor(values, device=self.device), reduction="sum").tolist()

    def any(self, flag: bool) -> bool:
        """Whether it is so on any device."""
        return self.total([float(flag)])[0] > 0

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all devices; a missing one counts as zero."""
        if self._accelerator is None:
            return
        learned = [p for p in parameters if p.requires_grad]
        for parameter in learned:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in learned if p.grad is not None]
        flat = self._accelerator.reduce(torch.cat([g.flatten() for g in gradients]), reduction="sum")
        for gradient, piece in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            # in place: a fused optimiser takes for granted that it lies in memory as its parameter does
            gradient.copy_(piece.view(gradient.shape))

    def same(self, tensors: Iterable[Tensor]) -> None:
        """Give every device the first one's values."""
        if self._accelerator is None or self.size == 1:
            return
        from accelerate.utils import broadcast

        for tensor in tensors:
            tensor.copy_(broadcast(tensor, from_process=0))

    def wait(self) -> None:
        """Wait for the others."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()


def was_launched() -> bool:
    """Whether ``accelerate launch`` (or torchrun) started this process."""
    return "ACCELERATE_MIXED_PRECISION" in os.environ or int(os.environ.get("WORLD_SIZE", "1")) > 1


def join_team(device: str | torch.device = "cpu", *, launched: bool | None = None) -> Team:
    """Join the devices that were started together, or be alone.

    Parameters
    ----------
    device : str or torch.device
        Where this process works if it is alone; several are placed by accelerate, one a GPU, or on the CPU.
    launched : bool, optional
        Whether to ask accelerate; by default if it started this process.

    Raises
    ------
    InputError
        If accelerate is needed and not installed.
    """
    device = torch.device(device)
    if not (was_launched() if launched is None else launched):
        return Team(device)
    try:
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs
    except ImportError as error:
        raise InputError(
            "Training on several devices needs accelerate, which is not installed; "
            'run: pip install "napari-ois[train]".'
        ) from error
    # Half precision is the trainer's own business, so that it is the same with and without accelerate.
    accelerator = Accelerator(
        cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)]
    )
    return Team(accelerator.device, accelerator)
