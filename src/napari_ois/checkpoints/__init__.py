"""Floor 1: where weights come from - embedded in the package, the user's folder, the hub, a file.

Names are resolved lazily: listing the models imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ois.checkpoints.depth import fetch_depth_weights, load_depth_anything
    from napari_ois.checkpoints.exporting import export, export_embedded
    from napari_ois.checkpoints.loading import load_model
    from napari_ois.checkpoints.registry import ModelInfo, list_models, user_folder
    from napari_ois.checkpoints.store import read_checkpoint, save_checkpoint

_HOMES = {
    "ModelInfo": "registry",
    "export": "exporting",
    "export_embedded": "exporting",
    "fetch_depth_weights": "depth",
    "list_models": "registry",
    "load_depth_anything": "depth",
    "load_model": "loading",
    "read_checkpoint": "store",
    "save_checkpoint": "store",
    "user_folder": "registry",
}

__all__ = [
    "ModelInfo",
    "export",
    "export_embedded",
    "fetch_depth_weights",
    "list_models",
    "load_depth_anything",
    "load_model",
    "read_checkpoint",
    "save_checkpoint",
    "user_folder",
]


def __getattr__(name: str) -> Any:
    """Import the module that holds ``name`` on first use (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
