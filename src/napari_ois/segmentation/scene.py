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
        self.given_depth: NDArray[np.float32] | None = None
        if depth is not None:
            self.given_depth = prepare_depth(depth, self.picture.shape)
        self._begin(self.picture.shape, input_size, multiple)

    def _begin(self, shape: tuple[int, int], input_size: int, multiple: int) -> None:
        self.shape = shape
        self._input_size = input_size
        self._multiple = multiple
        self.whole = self._make(View.whole(shape))
        self._close_ups: OrderedDict[View, Look] = OrderedDict()

    def look(self, view: View) -> Look:
        """The whole image or a close-up, made when first asked for."""
        if view == self.whole.view:
            return self.whole
        if view not in self._close_ups:
            self._make_room()
            self._close_ups[view] = self._make(view)
        self._close_ups.move_to_end(view)
        return self._close_ups[view]

    def forget(self) -> None:
        """Let go of all embeddings: they are on a device that ran out of memory."""
        self._close_ups.clear()
        self.whole.embedding = None

    def _make_room(self) -> None:
        while len(self._close_ups) >= KEPT_CLOSE_UPS:
            self._close_ups.popitem(last=False)

    def _make(self, view: View) -> Look:
        geometry = Geometry.fit(view.shape, input_size=self._input_size, multiple=self._multiple)
        plane = resize(self.colours(view), geometry.input_shape).clip(0.0, 1.0)
        near = self._nearness(view)
        depth = None if near is None else torch.from_numpy(resize(near, geometry.input_shape))[None, None]
        return Look(view, geometry, torch.from_numpy(plane).permute(2, 0, 1)[None].contiguous(), depth)

    def colours(self, view: View) -> NDArray[np.float32]:
        """RGB of a view, (h, w, 3) float32 in [0, 1], at whatever resolution is enough."""
        return self.picture.plane(view.rows, view.columns)

    def _nearness(self, view: View) -> NDArray[np.float32] | None:
        """The given depth of a view, (h, w) float32; None where it is to be estimated."""
        return None if self.given_depth is None else self.given_depth[view.rows, view.columns]
