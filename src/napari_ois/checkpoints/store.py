"""Checkpoint files: safetensors, half precision on disk, what they are in their header.

The rule of this file: a file is either loaded whole and checked, or refused with one sentence. Nothing that
could run code is ever read here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from napari_ois.checkpoints.header import FORMAT, damaged, read_metadata
from napari_ois.errors import InputError, WeightsError
from napari_ois.network import OIS, PRESETS
from napari_ois.network.meta import build_on_meta, complete
from napari_ois.network.presets import check_switches
from napari_ois.network.surface import CUES

_WHOLE_BELOW = 1024
"""Vectors and tensors up to this size stay in full precision: norms, sigma and the Fourier code need it, and
they weigh nothing."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file's content.

    Attributes
    ----------
    state : dict of str to float32 Tensor
    metadata : dict of str to str
    """

    state: dict[str, Tensor]
    metadata: dict[str, str]

    @property
    def preset(self) -> str:
        """Name of the preset that it is for."""
        return self.metadata["preset"]

    @property
    def switches(self) -> dict[str, Any]:
        """What differs from the preset: keyword arguments of ``build``."""
        given = json.loads(self.metadata.get("switches", "{}"))
        usual = PRESETS[self.preset].switches
        # weights of before the compact preset had these go on working: the tensors say what is there
        for name, there in (("cues", _has_cues(self.state)), ("appearance", _has_appearance(self.state))):
            if there != usual.get(name, False):
                given[name] = there
        return {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}


def _has_cues(state: Mapping[str, Tensor]) -> bool:
    return "cues.fine.weight" in state


def _has_appearance(state: Mapping[str, Tensor]) -> bool:
    """Whether the cues' prompt takes more than cues and the maps of the first dense prompt."""
    if not _has_cues(state) or "dense.convolution.weight" not in state:
        return False
    return state["cues.fine.weight"].shape[1] > CUES + state["dense.convolution.weight"].shape[1]


def save_checkpoint(
    model_state: Mapping[str, Tensor],
    path: str | Path,
    *,
    metadata: Mapping[str, Any],
    half: bool = True,
) -> Path:
    """Write a network's state dict.

    Parameters
    ----------
    model_state : mapping of str to Tensor
        Counters of batch norm are left out.
    path : str or Path
        Ends in ``.safetensors``. A file there is replaced only once the new one is complete.
    metadata : mapping
        At least ``preset``; ``switches`` (a dict), ``licence`` and notes on the training as wanted. What is
        not a string is written as JSON.
    half : bool
        Store large tensors as float16. Those that would overflow stay float32.

    Returns
    -------
    Path

    Raises
    ------
    WeightsError
        If there is no preset of that name, a tensor is not finite, or the file cannot be written.
    """
    path = Path(path)
    header = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    if header.get("preset") not in PRESETS:
        raise WeightsError(f"metadata must name one of the presets {', '.join(PRESETS)}, not {header.get('preset')!r}.")
    header["format"] = FORMAT
    tensors = {}
    for name, value in model_state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{name} holds values that are no numbers; the training has failed.")
        tensors[name] = _stored(value, half).contiguous().clone()
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # safetensors' own file can be read by its owner only; a model in a package must be readable by all.
        temporary.write_bytes(serialize(tensors, metadata=header))
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise WeightsError(f"{path} cannot be written ({error.strerror}); choose another file.") from error
    return path


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().float()
    if not half or value.ndim < 2 or value.numel() <= _WHOLE_BELOW:
        return value
    small = value.half()
    return small if bool(torch.isfinite(small).all()) else value


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint file as float32 tensors.

    Raises
    ------
    WeightsError
        If it is missing, damaged, or none of ours.
    """
    path = Path(path)
    metadata = read_metadata(path)
    if metadata["preset"] not in PRESETS:
        raise WeightsError(
            f"{path} is for the network {metadata['preset']}, which this version does not know; update napari-ois."
        )
    state = read_tensors(path)
    bad = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise WeightsError(f"{path} is damaged ({bad[0]} is not finite); copy or download it again.")
    return Checkpoint(state, metadata)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file as float32 tensors; WeightsError if it is damaged."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name).float() for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise damaged(path) from error


def read_pickled(path: Path) -> Any:
    """Read a file of torch.save, tensors and plain values only; WeightsError if that is not what it is."""
    from pickle import UnpicklingError

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # torch has no error of its own for a file cut short: each of these is one.
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError) as error:
        raise damaged(path) from error


def make_network(checkpoint: Checkpoint, path: str | Path, *, preset: str | None = None) -> OIS:
    """Build the network that a checkpoint is for and give it the weights; eval mode, on the CPU.

    Parameters
    ----------
    checkpoint : Checkpoint
        Its tensors become the network's own.
    path : str or Path
        For messages.
    preset : str, optional
        Another preset with the same parameters: the one for a larger input.

    Raises
    ------
    WeightsError
        If the weights do not fit the network, name by name and shape by shape.
    InputError
        If the network needs transformers, which is not installed.
    """
    another = f"{path} was made for another version of napari-ois (its switches are not known here); update it."
    try:
        check_switches(checkpoint.switches)
    except (InputError, TypeError, ValueError) as error:
        raise WeightsError(another) from error
    try:
        model = build_on_meta(preset or checkpoint.preset, **checkpoint.switches)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise WeightsError(another) from error
    own = model.state_dict()
    wrong = [
        name
        for name in own.keys() | checkpoint.state.keys()
        if not name.endswith("num_batches_tracked")
        and (name not in own or name not in checkpoint.state or own[name].shape != checkpoint.state[name].shape)
    ]
    if wrong:
        shown = ", ".join(sorted(wrong)[:3])
        raise WeightsError(
            f"{path} does not fit {checkpoint.preset}: {len(wrong)} tensors are missing, unknown or of "
            f"another shape ({shown}); it was made for another network."
        )
    model.load_state_dict(checkpoint.state, strict=False, assign=True)
    complete(model)
    return model.eval()
