"""From a name or a path to a network that is ready to use.

The rule of this file: it decides where a name's weights are and never goes online. A ViT preset without
trained weights comes back able to estimate depth only, and says so in its info.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_ois.checkpoints.depth import load_depth_anything, local_depth_weights
from napari_ois.checkpoints.header import file_hash
from napari_ois.checkpoints.registry import (
    KNOWN,
    ModelInfo,
    embedded_info,
    family_of,
    file_info,
    is_path,
    trained_file,
    unknown_model,
    user_folder,
    vit_info,
    vit_note,
)
from napari_ois.checkpoints.store import make_network, read_checkpoint
from napari_ois.errors import WeightsError
from napari_ois.network.meta import build_on_meta, complete

if TYPE_CHECKING:
    import torch

    from napari_ois.network import OIS


def load_model(
    name_or_path: str | Path,
    *,
    device: str | torch.device = "cpu",
    depth_weights: str | Path | None = None,
    revision: str | None = None,
) -> tuple[OIS, ModelInfo]:
    """Load a network with its weights.

    Parameters
    ----------
    name_or_path : str or Path
        A name that :func:`list_models` gives, or the path of a ``.safetensors`` checkpoint.
    device : str or torch.device
    depth_weights : str or Path, optional
        For a ViT preset without trained weights: file or folder of Depth Anything V2 weights. By default
        they are looked for in the user's folder and the hub's cache.
    revision : str, optional
        Revision of those in the hub's cache.

    Returns
    -------
    model : OIS
        In eval mode, float32.
    info : ModelInfo
        ``info.can_segment`` is False where only depth works: then ``info.note`` says what to do, and masks
        must not be asked for.

    Raises
    ------
    WeightsError
        If there is no such model or file, or it is damaged or made for another network.
    InputError
        If it needs transformers, which is not installed.
    """
    name = str(name_or_path)
    if is_path(name_or_path):
        model, info = _from_file(Path(name_or_path).expanduser())
    elif name in KNOWN and KNOWN[name].embedded:
        model, info = _embedded(name)
    elif name in KNOWN:
        model, info = _vit(name, depth_weights, revision)
    elif (own := user_folder() / f"{name}.safetensors").is_file():
        model, info = _from_file(own)
    else:
        raise unknown_model(name)
    return model.to(device), info


def _from_file(path: Path) -> tuple[OIS, ModelInfo]:
    checkpoint = read_checkpoint(path)
    return make_network(checkpoint, path), file_info(path)


def _embedded(name: str) -> tuple[OIS, ModelInfo]:
    info = embedded_info(name)
    if info.path is None:
        raise WeightsError(info.note)
    if file_hash(info.path) != info.sha256:
        raise WeightsError(f"The weights of {name} are damaged ({info.path}); install napari-ois again.")
    return make_network(read_checkpoint(info.path), info.path), info


def _vit(name: str, depth_weights: str | Path | None, revision: str | None) -> tuple[OIS, ModelInfo]:
    path = trained_file(name)
    if path is not None:
        checkpoint = read_checkpoint(path)
        if family_of(checkpoint.preset) != family_of(name):
            raise WeightsError(f"{path} is for {checkpoint.preset}, not for {name}; give the file another name.")
        return make_network(checkpoint, path, preset=name), vit_info(name)
    weights = local_depth_weights(name, given=depth_weights, revision=revision)
    model = build_on_meta(name)
    load_depth_anything(model, weights)
    complete(model, zeros=True)
    info = ModelInfo(
        **{
            **vars(vit_info(name)),
            "depth_available": True,
            "note": vit_note(name, depth=True),
        }
    )
    return model.eval(), info
