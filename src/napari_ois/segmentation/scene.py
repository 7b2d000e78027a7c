"""One rule: the image is embedded once as a whole, and each close-up once, when it is first looked at.

A scene holds the image that was set. The inputs of its views stay on the CPU, so that a fallback to another
device can embed them again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_ois.segmentation.colour import Picture
from napari_ois.segmentation.depth import prepare_depth
from napari_ois.segmentation.image import Geometry, resize
from napari_ois.segmentation.view import View

if TYPE_CHECKING:
    from napari_ois.network import ImageEmbedding

KEPT_CLOSE_UPS = 8
"""Embeddings of close-ups kept, the last used ones: enough to go back and forth between clicks."""


@dataclass(eq=False)
class Look:
    """One view as the network sees it.

    Attributes
    ----------
    view : View
    geometry : Geometry
        How the view lies in the network's input.
    image : (1, 3, h, w) float32 tensor
    depth : (1, 1, h, w) float32 tensor or None
        The given depth there.
    embedding : ImageEmbedding or None
        None until it is computed, and again after :meth:`Scene.forget`.
    """

    view: View
    geometry: Geometry
    image: torch.Tensor
    depth: torch.Tensor | None
    embedding: ImageEmbedding | None = None

    def embedded(
        self, embed: Callable[[torch.Tensor, torch.Tensor | None], ImageEmbedding], device: torch.device
    ) -> ImageEmbedding:
        """The embedding, computed on ``device`` where there is none."""
        if self.embedding is None:
            depth = None if self.depth is None else self.depth.to(device)
            self.embedding = embed(self.image.to(device), depth)
        return self.embedding


class Scene:
    """The image that was set.

    Parameters
    ----------
    image, channel_axis, depth
        See :meth:`napari_ois.Predictor.set_image`.
    input_size : int
        Longest side of the network's input in pixels.
    multiple : int
        Both sides of the input are multiples of it.

    Raises
    ------
    InputError
        If the image or the depth cannot be used.
    """

    def __init__(
        self,
        image: ArrayLike,
        channel_axis: int | None,
        depth: ArrayLike | None,
        *,
        input_size: int,
        multiple: int,
    ) -> None:
        self.picture = Picture.of(image, channel_axis)
        self.shape = self.picture.shape
        self.given_depth: NDArray[np.float32] | None = None if depth is None else prepare_depth(depth, self.shape)
        self._input_size = input_size
        self._multiple = multiple
        self.whole = self._make(View.whole(self.shape))
        self._close_ups: OrderedDict[View, Look] = OrderedDict()

    def look(self, view: View) -> Look:
        """The whole image or a close-up, made when first asked for."""
        if view == self.whole.view:
            return self.whole
        if view not in self._close_ups:
            while len(self._close_ups) >= KEPT_CLOSE_UPS:
                self._close_ups.popitem(last=False)
            self._close_ups[view] = self._make(view)
        self._close_ups.move_to_end(view)
        return self._close_ups[view]

    def forget(self) -> None:
        """Let go of all embeddings: they are on a device that ran out of memory."""
        self._close_ups.clear()
        self.whole.embedding = None

    def _make(self, view: View) -> Look:
        geometry = Geometry.fit(view.shape, input_size=self._input_size, multiple=self._multiple)
        plane = resize(self.picture.plane(view.rows, view.columns), geometry.input_shape).clip(0.0, 1.0)
        depth = None
        if self.given_depth is not None:
            near = resize(self.given_depth[view.rows, view.columns], geometry.input_shape)
            depth = torch.from_numpy(near)[None, None]
        return Look(view, geometry, torch.from_numpy(plane).permute(2, 0, 1)[None].contiguous(), depth)
