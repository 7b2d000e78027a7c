"""Depth Anything V2's weights, from a name, a folder or a file, into a ViT network.

The rule of this file: it joins the hub (where they are) and the network (where they go).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from napari_ois.checkpoints.hub import DEPTH_SOURCES, WEIGHTS_FILE, DepthSource, fetch, find, how_to_get
from napari_ois.checkpoints.registry import KNOWN, user_folder
from napari_ois.checkpoints.store import read_pickled, read_tensors
from napari_ois.errors import WeightsError
from napari_ois.network import OIS
from napari_ois.network.depth_anything import DepthAnythingReport
from napari_ois.network.depth_anything import load_depth_anything as _load_state

logger = logging.getLogger(__name__)


def fetch_depth_weights(
    name: str,
    *,
    revision: str | None = None,
    offline: bool = False,
    show: Callable[[str], None] = logger.warning,
    cache_dir: Path | None = None,
) -> Path:
    """Find the depth weights of a ViT model on this machine, or download them.

    Parameters
    ----------
    name : str
        Of a ViT preset (``"ois-vitb"``) or of a repository
        (``"depth-anything/Depth-Anything-V2-Base-hf"``).
    revision : str, optional
        Branch, tag or commit of the repository.
    offline : bool
        Never use the network.
    show : callable
        Given one sentence on the licence before a download; logged by default.
    cache_dir : Path, optional
        The hub's cache, if not the user's usual one.

    Returns
    -------
    Path of the file.

    Raises
    ------
    WeightsError
        If the name is of no ViT model, or the weights can be had neither here nor from the hub.
    """
    source = depth_source(name)
    here = None
    if revision is None:  # a folder says nothing of revisions
        here = find(source, folders=(user_folder(),), cache_dir=cache_dir)
    if here is not None:
        return here
    return fetch(source, show=show, revision=revision, offline=offline, cache_dir=cache_dir)


def depth_source(name: str) -> DepthSource:
    """The repository that a ViT preset's depth comes from; WeightsError for other names."""
    source = DEPTH_SOURCES.get(name) or (KNOWN[name].depth if name in KNOWN else None)
    if source is None:
        vit = ", ".join(n for n, known in KNOWN.items() if known.depth is not None)
        raise WeightsError(f"{name} takes no weights from a depth model; the models that do are {vit}.")
    return source


def load_depth_anything(model: OIS, source: Mapping[str, Tensor] | str | Path) -> DepthAnythingReport:
    """Load Depth Anything V2 into a ViT network's encoder and both decoders.

    Parameters
    ----------
    model : OIS
    source : mapping, str or Path
        A state dict, a ``.safetensors`` or ``.pth`` file, or a folder with one, in transformers' layout or
        the authors' own.

    Returns
    -------
    DepthAnythingReport

    Raises
    ------
    WeightsError
        If there are no such weights, they are damaged, incomplete, or of another size.
    """
    if isinstance(source, Mapping):
        return _load_state(model, source)
    path = Path(source)
    if path.is_dir():
        path = _file_in(path)
    if not path.is_file():
        raise WeightsError(f"There are no depth weights at {path}; check the path.")
    state = read_tensors(path) if path.suffix == ".safetensors" else read_pickled(path)
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path} holds no state dict; choose Depth Anything V2's own file.")
    return _load_state(model, state)


def local_depth_weights(name: str, *, given: str | Path | None, revision: str | None) -> str | Path:
    """Depth weights of a ViT preset that are here already; WeightsError that says how to get them."""
    if given is not None:
        return given
    source = depth_source(name)
    folders = () if revision else (user_folder(),)
    path = find(source, folders=folders, revision=revision)
    if path is None:
        raise WeightsError(
            f"The weights of {name} are not on this machine, neither for masks nor for depth; for depth, "
            + how_to_get(source, user_folder())
        )
    return path


def _file_in(folder: Path) -> Path:
    usual = folder / WEIGHTS_FILE
    found = [usual] if usual.is_file() else []
    found = found or sorted([*folder.glob("*.safetensors"), *folder.glob("*.pth")])
    if len(found) != 1:
        raise WeightsError(f"{folder} holds {len(found)} files of weights; it should hold one, usually {WEIGHTS_FILE}.")
    return found[0]
