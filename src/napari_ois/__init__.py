"""napari-ois: order-aware interactive segmentation for napari, scripts and the command line.

The names of the scripted API are resolved lazily: importing the package imports neither torch nor Qt.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ois.errors import InputError, OISError, WeightsError
    from napari_ois.segmentation.predictor import Prediction, Predictor

__version__ = "0.1.0"

_HOMES = {
    "Predictor": "napari_ois.segmentation.predictor",
    "Prediction": "napari_ois.segmentation.predictor",
    "OISError": "napari_ois.errors",
    "InputError": "napari_ois.errors",
    "WeightsError": "napari_ois.errors",
}

__all__ = ["InputError", "OISError", "Prediction", "Predictor", "WeightsError", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the module that holds ``name`` on first use (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
