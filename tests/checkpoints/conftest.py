"""Each test has its own folder for the user's checkpoints and its own empty hub cache."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants
import pytest

from napari_ois.checkpoints import registry
from napari_ois.network import OIS, build

COMPACT_SWITCHES = {"mixer_widths": None, "dense_order": False}
"""A compact network that differs from its preset, and is lighter."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder; nothing of the machine that runs the tests is seen."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return folder


@pytest.fixture(scope="session")
def network() -> OIS:
    """A compact network with random weights."""
    return build("ois-compact", **COMPACT_SWITCHES).eval()


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the one embedded in the package."""
    weights = tmp_path / "weights"
    weights.mkdir()
    monkeypatch.setattr(registry, "EMBEDDED_FOLDER", weights)
    return weights
