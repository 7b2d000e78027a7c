"""The plain twin of the click path: the steps as they are written in the papers, nothing kept, nothing reordered.

The rule of this file: slow and literal. The fast path is held against it by tests and by the benchmarks, where
it is the paper's own model of a click's cost: the image is encoded once, the whole decoder runs for every click.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

from napari_ois.network.attention import BlockAttention
from napari_ois.network.decoder import DPTDecoder
from napari_ois.network.embedding import ImageEmbedding
from napari_ois.network.ois import OIS


def plain_click(
    network: OIS,
    maps: Sequence[Tensor],
    depth: Tensor,
    points: Tensor,
    labels: Tensor,
    previous: Tensor | None = None,
    *,
    surface: Tensor | None = None,
) -> Tensor:
    """Answer clicks from the encoder's maps by running all of decoder B.

    All 48 slots are there, and order-aware and object-aware attention write their weights out.

    Parameters
    ----------
    network : OIS
    maps : four tensors
        What ``network.encoder`` returned for the image.
    depth : (B, 1, H, W) float32 tensor
        Normalised.
    points, labels, previous
        See :meth:`OIS.decode_clicks`.
    surface : (B, 4, H / 2, W / 2) tensor, optional
        Of a network that uses cues.

    Returns
    -------
    (B, 1, H, W) float32 tensor of logits.
    """
    fine: list[Tensor] = []

    def enter(features: Tensor) -> Tensor:
        trace: list[BlockAttention] = []
        if network.depth_encoder is not None:
            features = features + network.depth_encoder(depth.to(features.dtype))
        embedding = ImageEmbedding(features, (), depth, depth, surface=surface)
        prompts = network.place_clicks(embedding, points, labels, previous, collapse=False)
        if prompts.fine is not None:
            fine.append(prompts.fine)
        return network.interact(prompts, trace=trace)

    def enter_finely(finest: Tensor) -> Tensor:
        return sum(fine, finest)

    size = (depth.shape[-2], depth.shape[-1])
    return plain_decoder(network.mask_decoder, maps, size, enter, enter_finely).float()


def plain_decoder(
    decoder: DPTDecoder,
    maps: Sequence[Tensor],
    output_size: tuple[int, int],
    enter: Callable[[Tensor], Tensor] = lambda features: features,
    enter_finely: Callable[[Tensor], Tensor] = lambda features: features,
) -> Tensor:
    """DPT as its paper has it: each fusion adds the skip, resizes, then projects.

    Parameters
    ----------
    decoder : DPTDecoder
    maps : four tensors, finest first
    output_size : (H, W)
    enter : callable
        Changes the coarsest fusion's output: where prompts enter.
    enter_finely : callable
        Changes what goes into the finest fusion: where cues enter again.

    Returns
    -------
    (B, 1, H, W) tensor.
    """
    fused = [
        conv(layer.resize(layer.projection(x)))
        for conv, layer, x in zip(decoder.convs, decoder.reassemble, maps, strict=True)
    ]
    x = fused[3]
    for level, layer in enumerate(decoder.fusion):
        if level > 0:
            x = x + layer.residual_layer1(fused[3 - level])
        if level == len(decoder.fusion) - 1:
            x = enter_finely(x)
        x = layer.residual_layer2(x)
        goal = fused[2 - level].shape[-2:] if level < 3 else [side * decoder.finest_scale for side in x.shape[-2:]]
        x = layer.projection(_resize(x, goal))
        if level == 0:
            x = enter(x)
    x = decoder.head.conv1(x)
    if not decoder.resize_last:
        x = _resize(x, output_size)
    x = decoder.head.conv3(F.relu(decoder.head.conv2(x)))
    return decoder.output(_resize(x, output_size) if decoder.resize_last else x)


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)
