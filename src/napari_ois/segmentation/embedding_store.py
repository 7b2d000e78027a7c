"""One rule: on disk an embedding is a small zarr group that is whole or not there, and the least used goes first.

Features are kept in half precision; depth, from which order comes, as it is. Each group carries the hash of what was
written: a group that does not give it back is deleted and made anew, and so is one that cannot be read. Groups are
written beside their place and moved there, so several programs may share a folder.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_ois.network import ImageEmbedding

LOG = logging.getLogger(__name__)

FORMAT = 1
LIMIT = 8 * 10**9
"""Bytes kept on disk."""
FOLDER_VARIABLE = "NAPARI_OIS_CACHE"
"""Environment variable that moves the folder."""
_MARK = "zarr.json"
"""File of a group whose time says when it was used last."""


def default_folder() -> Path:
    """Where embeddings are kept: the user's cache folder, or what ``NAPARI_OIS_CACHE`` says."""
    moved = os.environ.get(FOLDER_VARIABLE)
    return Path(moved) if moved else platformdirs.user_cache_path("napari-ois") / "embeddings"


class EmbeddingStore:
    """Embeddings in a folder.

    Parameters
    ----------
    folder : Path
        Made when it is first written into.
    limit : int
        Bytes; when there are more, those that were used longest ago are deleted.
    """

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        self.folder = folder
        self._limit = limit
        self.failed = False  # whether anything could not be written

    def __contains__(self, key: str) -> bool:
        return (self.folder / key / _MARK).exists()

    @property
    def used(self) -> int:
        """Bytes on disk."""
        return sum(size for _, size, _ in self._entries())

    @staticmethod
    def rounded(embedding: ImageEmbedding) -> ImageEmbedding:
        """As it comes back from the disk: features in half precision, then in their own again."""
        features, *skips = (_half(maps).to(maps.dtype) for maps in (embedding.features, *embedding.skips))
        return replace(embedding, features=features, skips=tuple(skips))

    def read(self, key: str) -> ImageEmbedding | None:
        """Give an embedding, on the CPU; None where there is none, or none that is sound."""
        import zarr

        from napari_ois.network import ImageEmbedding

        place = self.folder / key
        if key not in self:
            return None
        try:
            group = zarr.open_group(place, mode="r")
            notes: dict[str, Any] = dict(group.attrs)
            names = list(notes["arrays"])
            arrays = {name: _read_array(group, name) for name in names}
            if notes["format"] != FORMAT or notes["sha256"] != _hash(arrays):
                raise ValueError("its content is not what was written")
            dtype = getattr(torch, notes["dtype"])
            tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
            for name in notes["channels_last"]:  # as the network laid them out, or clicks are slower
                tensors[name] = tensors[name].to(memory_format=torch.channels_last)
            skips = tuple(tensors[name].to(dtype) for name in names if name.startswith("skip"))
            os.utime(place / _MARK)
            return ImageEmbedding(
                tensors["features"].to(dtype),
                skips,
                tensors["depth"],
                tensors["raw_depth"],
                tensors.get("position"),
                tensors.get("surface"),
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
            LOG.warning("The kept embedding %s cannot be used (%s); it is made again.", place, error)
            shutil.rmtree(place, ignore_errors=True)
            return None

    def write(self, key: str, embedding: ImageEmbedding) -> None:
        """Keep an embedding; where the disk does not let us, that is logged once and nothing is lost but time."""
        import zarr

        staging = self.folder / f".{uuid.uuid4().hex}"
        maps = {"features": embedding.features, **{f"skip_{n}": skip for n, skip in enumerate(embedding.skips)}}
        arrays: dict[str, NDArray[Any]] = {name: _half(values).cpu().numpy() for name, values in maps.items()}
        arrays["depth"] = embedding.depth.float().cpu().numpy()
        arrays["raw_depth"] = embedding.raw_depth.float().cpu().numpy()
        for name, maybe in (("position", embedding.position), ("surface", embedding.surface)):
            if maybe is not None:
                arrays[name] = maybe.float().cpu().numpy()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            group = zarr.open_group(staging, mode="w")
            for name, values in arrays.items():
                group.create_array(name, shape=values.shape, chunks=values.shape, dtype=values.dtype)[...] = values
            group.attrs.update(
                {
                    "format": FORMAT,
                    "sha256": _hash(arrays),
                    "arrays": list(arrays),
                    "channels_last": [name for name, values in maps.items() if _channels_last(values)],
                    "dtype": str(embedding.features.dtype).removeprefix("torch."),
                }
            )
            if key in self:
                shutil.rmtree(self.folder / key, ignore_errors=True)
            staging.rename(self.folder / key)
        except OSError as error:
            shutil.rmtree(staging, ignore_errors=True)
            if not self.failed:
                self.failed = True
                LOG.warning("Embeddings cannot be kept in %s (%s).", self.folder, error)
            return
        self._make_room(key)

    def _make_room(self, key: str) -> None:
        """Delete those that were used longest ago, but not the one just written."""
        entries = sorted(self._entries())
        used = sum(size for _, size, _ in entries)
        for _, size, place in entries:
            if used <= self._limit:
                return
            if place.name != key:
                shutil.rmtree(place, ignore_errors=True)
                used -= size

    def _entries(self) -> list[tuple[float, int, Path]]:
        """When each was used last, its bytes, its place."""
        found = []
        for mark in self.folder.glob(f"*/{_MARK}"):
            try:
                size = sum(file.stat().st_size for file in mark.parent.rglob("*") if file.is_file())
                found.append((mark.stat().st_mtime, size, mark.parent))
            except OSError:  # another program has deleted it meanwhile
                continue
        return found


def _read_array(group: Any, name: str) -> NDArray[Any]:
    return np.asarray(group[name][...])


def _half(maps: torch.Tensor) -> torch.Tensor:
    """In half precision, or as it is where it holds more than that can."""
    small = maps.detach().to(torch.float16)
    return small if bool(torch.isfinite(small).all()) else maps.detach().float()


def _channels_last(maps: torch.Tensor) -> bool:
    return maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous()


def _hash(arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = arrays[name]
        digest.update(f"{name} {values.shape} {values.dtype}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
