"""Floor 0: the paper's network. Torch tensors in, torch tensors out; nothing of files, napari or Qt."""

from __future__ import annotations

from napari_ois.network.embedding import ImageEmbedding
from napari_ois.network.ois import OIS
from napari_ois.network.presets import PRESETS, Preset, build

__all__ = ["OIS", "PRESETS", "ImageEmbedding", "Preset", "build"]
