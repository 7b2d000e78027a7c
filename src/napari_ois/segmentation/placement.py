"""One rule: where the network runs, in which precision, and what to try next when memory runs out.

CUDA comes before MPS before the CPU; half precision only on CUDA by default, because bfloat16 is
several times slower than float32 on most CPUs.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from napari_ois.errors import InputError

PRECISIONS = ("auto", "fp32", "half", "bf16", "fp16")


@dataclass(frozen=True)
class Placement:
    """A device and the dtype that matrix products and convolutions use there.

    Attributes
    ----------
    device : torch.device
    dtype : torch.dtype
        float32, bfloat16 or float16. Weights stay in float32: half precision goes through autocast,
        which leaves softmax, norms and reductions in float32.
    """

    device: torch.device
    dtype: torch.dtype

    @property
    def precision(self) -> str:
        """``"fp32"``, ``"bf16"`` or ``"fp16"``."""
        names = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
        return names[self.dtype]

    def __str__(self) -> str:
        return f"{self.device} ({self.precision})"

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which the network runs."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def available_devices() -> list[str]:
    """Names of the devices of this machine that torch can use, best first."""
    names = []
    if torch.cuda.is_available():
        names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def choose_device(device: str) -> torch.device:
    """Resolve ``"auto"`` or check a device's name (``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``).

    Raises
    ------
    InputError
        If this machine has no such device.
    """
    here = available_devices()
    if device == "auto":
        return torch.device(here[0])
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f'There is no device "{device}"; use auto or {", ".join(here)}.') from error
    if wanted.type == "cuda" and wanted.index is None and "cuda:0" in here:
        wanted = torch.device("cuda:0")
    if str(wanted) not in here:
        raise InputError(f'Torch finds no device "{device}" here; use auto or {", ".join(here)}.')
    return wanted


def check_precision(precision: str) -> None:
    """InputError for a name that no precision has."""
    if precision not in PRECISIONS:
        raise InputError(f'There is no precision "{precision}"; use one of {", ".join(PRECISIONS)}.')


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """Resolve a precision: auto is half on CUDA, fp32 elsewhere; half is bf16 or else fp16.

    Raises
    ------
    InputError
        If there is no such precision, or half precision is asked for on MPS.
    """
    check_precision(precision)
    if precision == "fp32" or (precision == "auto" and device.type != "cuda"):
        return torch.float32
    if device.type == "mps":
        raise InputError("Half precision is not offered on MPS; use precision auto or fp32.")
    if precision == "fp16":
        return torch.float16
    if precision == "bf16" or device.type == "cpu":
        return torch.bfloat16
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def place(device: str, precision: str) -> Placement:
    """Resolve both names; see :func:`choose_device` and :func:`choose_precision`."""
    chosen = choose_device(device)
    return Placement(chosen, choose_precision(precision, chosen))


def fallbacks(placement: Placement) -> list[Placement]:
    """What to try, in order, after ``placement`` ran out of memory; empty on the CPU."""
    if placement.device.type == "cpu":
        return []
    steps = [Placement(torch.device("cpu"), torch.float32)]
    if placement.device.type == "cuda" and placement.dtype == torch.float32:
        steps.insert(0, Placement(placement.device, choose_precision("half", placement.device)))
    return steps


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch ran out of memory: a class on CUDA, only a sentence on MPS and the CPU."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error)
    return "out of memory" in text or "can't allocate memory" in text
