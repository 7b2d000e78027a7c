"""One rule: what the network made of an input is kept under the input's own hash, up to bounds in bytes.

The key is made of the very pixels that the network saw (and of a given depth, the weights, the precision), not of
a sample of the image: two slices of a stack may differ in a few pixels only, and must not be taken for one another.
Hashing an input costs a few milliseconds; embedding it costs ten times to a thousand times as much.

What was used last is kept: in memory, and, where there is a folder, on disk. Then every embedding is rounded to what
the disk keeps before it is first used, so that an answer does not depend on where its embedding came from.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_ois.segmentation.embedding_store import EmbeddingStore

if TYPE_CHECKING:
    from napari_ois.network import ImageEmbedding

MEMORY = 512 * 2**20
"""Bytes of embeddings kept in memory."""


class EmbeddingCache:
    """Embeddings by the hash of what they were made of.

    Parameters
    ----------
    folder : Path, optional
        Keep them on disk as well; see :class:`EmbeddingStore`.
    memory : int
        Bytes kept in memory.
    disk : int, optional
        Bytes kept on disk.

    Attributes
    ----------
    store : EmbeddingStore or None
    hits, misses : int
        How often an embedding was there, and how often it was not.
    """

    def __init__(self, folder: str | Path | None = None, *, memory: int = MEMORY, disk: int | None = None) -> None:
        options = {} if disk is None else {"limit": disk}
        self.store = None if folder is None else EmbeddingStore(Path(folder), **options)
        self.hits = self.misses = 0
        self._memory = memory
        self._kept: OrderedDict[str, ImageEmbedding] = OrderedDict()

    @staticmethod
    def key(image: torch.Tensor, depth: torch.Tensor | None, model: str) -> str:
        """Name what the network sees.

        Parameters
        ----------
        image : (1, 3, h, w) float32 tensor
        depth : (1, 1, h, w) float32 tensor, optional
        model : str
            Stands for the weights and how they are run.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        digest = hashlib.sha256(model.encode())
        for maps in (image, depth):
            digest.update(repr(None if maps is None else tuple(maps.shape)).encode())
            if maps is not None:
                digest.update(maps.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def get(self, key: str, device: torch.device) -> ImageEmbedding | None:
        """Give an embedding, or None where it is not kept."""
        found = self._kept.get(key)
        if found is None and self.store is not None:
            found = self.store.read(key)
            if found is not None:
                self._keep(key, found)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        if key in self._kept:
            self._kept.move_to_end(key)
        return found.to(device)

    def put(self, key: str, embedding: ImageEmbedding) -> ImageEmbedding:
        """Keep an embedding; gives what is to be used in its place."""
        if self.store is not None:
            embedding = self.store.rounded(embedding)
            self.store.write(key, embedding)
        self._keep(key, embedding.to("cpu"))
        return embedding

    @property
    def used(self) -> int:
        """Bytes in memory."""
        return sum(embedding_bytes(one) for one in self._kept.values())

    def _keep(self, key: str, embedding: ImageEmbedding) -> None:
        self._kept[key] = embedding
        self._kept.move_to_end(key)
        used = self.used
        while used > self._memory and self._kept:
            _, oldest = self._kept.popitem(last=False)
            used -= embedding_bytes(oldest)


def embedding_bytes(embedding: ImageEmbedding) -> int:
    """What the tensors of an embedding take."""
    values = [getattr(embedding, one.name) for one in fields(embedding)]
    flat = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    return sum(part.nbytes for part in flat if part is not None)
