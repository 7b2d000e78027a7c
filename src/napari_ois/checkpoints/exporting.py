"""From a training's own file to a checkpoint for users.

The rule of this file: the averaged weights leave the training, the optimiser stays; what was trained and how
goes into the header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from napari_ois.checkpoints.header import file_hash
from napari_ois.checkpoints.registry import KNOWN
from napari_ois.checkpoints.store import (
    Checkpoint,
    make_network,
    read_checkpoint,
    read_pickled,
    save_checkpoint,
)
from napari_ois.errors import WeightsError


def export(trainer_checkpoint: str | Path, out: str | Path, note: Mapping[str, Any]) -> Path:
    """Write a training's averaged weights as a checkpoint, and check that it loads.

    Parameters
    ----------
    trainer_checkpoint : str or Path
        The trainer's ``last.pt``.
    out : str or Path
        Ends in ``.safetensors``.
    note : mapping
        For the header: ``licence``, data, metrics, whatever tells the weights' origin.

    Returns
    -------
    Path

    Raises
    ------
    WeightsError
        If the file is missing, damaged, no training's, or the weights are not finite.
    """
    state, metadata = read_training(trainer_checkpoint)
    metadata |= note
    _check(state, metadata, trainer_checkpoint)
    return save_checkpoint(state, out, metadata=metadata)


def export_embedded(state_dict: Mapping[str, Tensor], folder: str | Path, metadata: Mapping[str, Any]) -> Path:
    """Write weights as the package embeds them: the checkpoint, and a small JSON file with its hash.

    Parameters
    ----------
    state_dict : mapping of str to Tensor
    folder : str or Path
    metadata : mapping
        At least ``preset``, which also names the files. All of it goes into both.

    Returns
    -------
    Path of the checkpoint.
    """
    name = str(metadata["preset"])
    _check(state_dict, metadata, name)
    path = save_checkpoint(state_dict, Path(folder) / f"{name}.safetensors", metadata=metadata)
    card = {
        **metadata,
        "sha256": file_hash(path),
        "size_bytes": path.stat().st_size,
        "parameters": KNOWN[name].parameters,
    }
    text = json.dumps(card, indent=2, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    return path


def read_training(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the averaged weights of a trainer's ``last.pt``, and the header that they deserve.

    Returns
    -------
    state : dict of str to Tensor
    metadata : dict
        ``preset``, ``switches``, ``steps`` done, the whole ``recipe``, and ``start``, what the training started
        from, where it did not from random weights.

    Raises
    ------
    WeightsError
        If the file is missing, damaged or no training's.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"There is no training at {path}; give the last.pt of its folder.")
    content = read_pickled(path)
    if not isinstance(content, dict) or not {"step", "recipe", "average"} <= content.keys():
        raise WeightsError(f"{path} is no training's file; give the last.pt of its folder.")
    recipe = content["recipe"]
    metadata = {
        "preset": recipe["preset"],
        "switches": recipe.get("switches", {}),
        "steps": str(content["step"]),
        "recipe": recipe,
        **({"start": content["start"]} if content.get("start") else {}),
    }
    return content["average"], metadata


def _check(state: Mapping[str, Tensor], metadata: Mapping[str, Any], name: str | Path) -> None:
    """Refuse to write what could not be loaded."""
    header = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    make_network(Checkpoint({k: v.float() for k, v in state.items()}, header), name)


__all__ = ["export", "export_embedded", "read_checkpoint", "read_training"]
