"""Real images that are read when they are drawn, for collections too large or too small to be packed.

The rule of this file: an image comes out as a pack would give it, shrunk to a longest side; only so many stay
in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from napari_ois.errors import InputError
from napari_ois.training.datasets import TrainImage, read_image
from napari_ois.training.packing import packed_size

Pixels = tuple[np.ndarray, np.ndarray, np.ndarray | None]


class Files:
    """Images drawn with equal probability, as SegNext draws from HQSeg-44K.

    Parameters
    ----------
    items : sequence of TrainImage
    longest : int
        Longest side in pixels; larger images are shrunk.
    kept : int
        Most images that stay in memory, the last ones used.

    Raises
    ------
    InputError
        When there is no image.
    """

    def __init__(self, items: Sequence[TrainImage], *, longest: int, kept: int = 0) -> None:
        if not items:
            raise InputError("There is no image to learn from.")
        self.images = list(items)
        self.longest = longest
        self.kept = kept
        self._held: OrderedDict[int, Pixels] = OrderedDict()

    def __len__(self) -> int:
        return len(self.images)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pixels behind when it goes to another process."""
        return {**vars(self), "_held": OrderedDict()}

    def image(self, i: int) -> Pixels:
        """Picture, ids and depth of image `i`, as :meth:`napari_ois.training.packing.Pack.image` gives them."""
        if i in self._held:
            self._held.move_to_end(i)
            return self._held[i]
        pixels = shrink(*read_image(self.images[i]), self.longest)
        if self.kept:
            self._held[i] = pixels
            if len(self._held) > self.kept:
                self._held.popitem(last=False)
        return pixels

    def draw(self, rng: np.random.Generator) -> int:
        """Draw an image; one without an object is drawn again by whoever finds out."""
        return int(rng.integers(len(self.images)))


def shrink(rgb: np.ndarray, ids: np.ndarray, depth: np.ndarray | None, longest: int) -> Pixels:
    """Shrink picture (averaged), ids and depth (nearest) to a longest side; smaller ones are kept."""
    height, width = packed_size(ids.shape[0], ids.shape[1], longest)
    if (height, width) == ids.shape:
        return rgb, ids, depth
    size = (width, height)
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    ids = cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST_EXACT)
    if depth is not None:
        depth = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return rgb, ids, depth
