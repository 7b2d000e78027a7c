"""What is kept between the halves of the network: an image's embedding, and the prompts made of clicks.

The rule of this file: values only. They are made and used in :mod:`napari_ois.network.ois`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from napari_ois.network.order import cell_depth, normalize_depth


@dataclass(frozen=True)
class ImageEmbedding:
    """All that depends on the image alone.

    Attributes
    ----------
    features : (B, C, h, w) tensor
        Image features on the prompt grid.
    skips : tuple of three tensors
        The mask decoder's finer maps, coarsest first.
    depth : (B, 1, H, W) float32 tensor in [0, 1]
        Normalised depth at input resolution, larger = nearer.
    raw_depth : (B, 1, H, W) float32 tensor
        Depth as the decoder gave it (or as it was given), before normalisation.
    position : (1, h * w, C) float32 tensor, optional
        Fourier code of the prompt grid's cells; made for each click where it was not kept.
    surface : (B, 4, H / 2, W / 2) float32 tensor, optional
        See :func:`napari_ois.network.surface.surface_of`; in networks that use cues.
    """

    features: Tensor
    skips: tuple[Tensor, ...]
    depth: Tensor
    raw_depth: Tensor
    position: Tensor | None = None
    surface: Tensor | None = None

    @cached_property
    def cells(self) -> Tensor:
        """Mean depth of each cell of the prompt grid, (B, 1, h, w) float32; computed once."""
        return cell_depth(self.depth, self.depth.shape[-2] // self.features.shape[-2])

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        return self.depth.shape[-2], self.depth.shape[-1]

    def select(self, index: Tensor) -> ImageEmbedding:
        """Pick images by ``index`` (K,), repeats allowed: one row for each object to be decoded."""
        return ImageEmbedding(
            _pick(self.features, index),
            tuple(_pick(skip, index) for skip in self.skips),
            _pick(self.depth, index),
            _pick(self.raw_depth, index),
            self.position,
            None if self.surface is None else self.surface.index_select(0, index),
        )

    def repeated(self, count: int) -> ImageEmbedding:
        """One image for ``count`` objects: views, no copies; for what is only read."""
        return ImageEmbedding(
            self.features.expand(count, -1, -1, -1),
            tuple(skip.expand(count, -1, -1, -1) for skip in self.skips),
            self.depth.expand(count, -1, -1, -1),
            self.raw_depth.expand(count, -1, -1, -1),
            self.position,
            None if self.surface is None else self.surface.expand(count, -1, -1, -1),
        )

    def with_depth(self, depth: Tensor, *, min_range: float = 0.0) -> ImageEmbedding:
        """Replace the depth by another source of order, (B, 1, H, W), larger = nearer."""
        return replace(self, depth=normalize_depth(depth, min_range=min_range), raw_depth=depth)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ImageEmbedding:
        """Move it; ``dtype`` applies to the features only, since order needs float32."""
        return ImageEmbedding(
            self.features.to(device=device, dtype=dtype),
            tuple(skip.to(device=device, dtype=dtype) for skip in self.skips),
            self.depth.to(device=device),
            self.raw_depth.to(device=device),
            None if self.position is None else self.position.to(device=device),
            None if self.surface is None else self.surface.to(device=device),
        )


@dataclass(frozen=True)
class Prompts:
    """The clicks as the blocks take them: all that :meth:`OIS.place_clicks` makes of them.

    Attributes
    ----------
    image : (B, C, h, w) tensor
        Image features with the dense prompt added.
    initial : (B, N, C) tensor or None
        Sparse embeddings; None in a network without them, and then so are the rest.
    position : (1, h * w, C) tensor or None
    order : (B, N, h * w) float tensor or None
        Order mask; None = order off.
    allowed : (B, N, h * w) bool tensor or None
        Object mask; None in the first round.
    key_bias : (B, 1, 1, N) tensor or None
        Log of how many slots a row stands for; None where all 48 are there.
    fine : (B, F, H / 2, W / 2) tensor or None
        Added to the finest of the decoder's maps; None in a network without cues.
    """

    image: Tensor
    initial: Tensor | None = None
    position: Tensor | None = None
    order: Tensor | None = None
    allowed: Tensor | None = None
    key_bias: Tensor | None = None
    fine: Tensor | None = None

    def onto(self, skips: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The decoder's finer maps, coarsest first, with what the clicks add to the finest."""
        return skips if self.fine is None else (*skips[:-1], skips[-1] + self.fine)


def _pick(maps: Tensor, index: Tensor) -> Tensor:
    """Rows of (B, C, H, W) maps, channels last.

    Plain indexing adds its gradients up in whatever order threads come; this way round two trainings from
    one seed stay equal to the last bit.
    """
    return maps.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)
