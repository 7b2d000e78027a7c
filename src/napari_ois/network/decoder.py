"""The DPT decoder: reassemble, fuse from coarse to fine, predict; with the one named cut where prompts enter.

The rule of this file: :meth:`DPTDecoder.image_part` holds all that depends on the image alone and
:meth:`DPTDecoder.click_part` all that comes after prompts. The cut between them is the output of the coarsest
fusion: C channels on the prompt grid. The decoder runs submodules under the names that transformers gives
them, so that Depth Anything V2's own modules and the compact ones go through the same lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from napari_ois.network.extensions import ResidualUnit
from napari_ois.network.precision import exactly, is_autocast
from napari_ois.network.window import Window, cut, grown, resize_within, sources


@dataclass(frozen=True)
class DecoderFeatures:
    """What the decoder computes once per image.

    Attributes
    ----------
    features : (B, C, h, w) tensor
        Output of the coarsest fusion, on the prompt grid: the image features F of the paper.
    skips : three tensors, coarsest first
        Finer maps after their fusion's first residual unit, which depends on the image alone.
    """

    features: Tensor
    skips: tuple[Tensor, ...]


class ReassembleLayer(nn.Module):
    """Bring one encoder map to the channels and the grid that the decoder wants."""

    def __init__(self, projection: nn.Module, resize: nn.Module) -> None:
        super().__init__()
        self.projection = projection
        self.resize = resize


class FusionLayer(nn.Module):
    """One RefineNet fusion in the compact size.

    The coarsest has no skip and therefore no first unit; the finest has no second one, which would cost as
    much for each click as all the rest of the decoder.
    """

    def __init__(self, channels: int, out_channels: int, *, coarsest: bool, finest: bool) -> None:
        super().__init__()
        self.residual_layer1 = nn.Identity() if coarsest else ResidualUnit(channels)
        self.residual_layer2 = nn.Identity() if finest else ResidualUnit(channels)
        self.projection = nn.Conv2d(channels, out_channels, 1)


class PredictionHead(nn.Module):
    """Three convolutions from the finest fusion to one channel."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU())
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv3 = nn.Conv2d(hidden, 1, 1)


class DPTDecoder(nn.Module):
    """Decode four encoder maps to one map at input size.

    Parameters
    ----------
    reassemble : four modules with ``projection`` and ``resize``
        Finest map first.
    convs : four modules
        3 x 3 convolutions to the fusion widths, finest first.
    fusion : four modules with ``residual_layer1``, ``residual_layer2`` and ``projection``
        Coarsest first.
    head : module with ``conv1``, ``conv2``, ``conv3``
    output : module
        Applied to the last convolution's result: ReLU or sigmoid for depth, identity for logits (with a
        ReLU no probability could be below one half).
    finest_scale : int
        Enlargement after the finest fusion: 2 in DPT, 1 to stay cheap.
    resize_last : bool
        False resizes between the head's first two convolutions, as DPT does; True after the last one.
    """

    def __init__(
        self,
        *,
        reassemble: Sequence[nn.Module],
        convs: Sequence[nn.Module],
        fusion: Sequence[nn.Module],
        head: nn.Module,
        output: nn.Module,
        finest_scale: int = 2,
        resize_last: bool = False,
    ) -> None:
        super().__init__()
        self.reassemble = nn.ModuleList(reassemble)
        self.convs = nn.ModuleList(convs)
        self.fusion = nn.ModuleList(fusion)
        self.head = head
        self.output = output
        self.finest_scale = finest_scale
        self.resize_last = resize_last

    def image_part(self, maps: Sequence[Tensor]) -> DecoderFeatures:
        """Run everything up to the cut, and the skips' first residual units.

        Parameters
        ----------
        maps : four (B, C_k, h_k, w_k) tensors
            From the encoder, finest first.

        Returns
        -------
        DecoderFeatures
        """
        fused = [
            conv(layer.resize(layer.projection(x)))
            for conv, layer, x in zip(self.convs, self.reassemble, maps, strict=True)
        ]
        coarse = self.fusion[0].residual_layer2(fused[3])
        features = _project_and_resize(self.fusion[0].projection, coarse, fused[2].shape[-2:])
        skips = [
            layer.residual_layer1(skip)
            for layer, skip in zip(self.fusion[1:], (fused[2], fused[1], fused[0]), strict=True)
        ]
        return DecoderFeatures(features, tuple(skips))

    def click_part(
        self, features: DecoderFeatures, output_size: tuple[int, int], window: Window | None = None
    ) -> Tensor:
        """Run the three finer fusions and the head.

        Parameters
        ----------
        features : DecoderFeatures
            Its ``features`` may have been changed by prompts.
        output_size : (H, W)
        window : (top, left, bottom, right), optional
            Box of the output to compute; the finest fusion and the head, which are four fifths of the cost,
            then run in its surroundings only.

        Returns
        -------
        (B, 1, H, W) tensor, or of the window's size.
        """
        x = features.features
        for level, skip in enumerate(features.skips[:-1]):
            layer = self.fusion[level + 1]
            x = layer.residual_layer2(x + skip)
            x = _project_and_resize(layer.projection, x, features.skips[level + 1].shape[-2:])
        if window is not None and not self.resize_last:
            return self._finest_within(x, features.skips[-1], output_size, window)
        finest = self.fusion[-1]
        x = finest.residual_layer2(x + features.skips[-1])
        x = _project_and_resize(finest.projection, x, [side * self.finest_scale for side in x.shape[-2:]])
        x = self.head.conv1(x)
        if not self.resize_last:
            x = _resize(x, output_size)
        x = self.head.conv3(F.relu(self.head.conv2(x)))
        x = self.output(_resize(x, output_size) if self.resize_last else x)
        return x if window is None else x[..., window[0] : window[2], window[1] : window[3]]

    def _finest_within(self, x: Tensor, skip: Tensor, output_size: tuple[int, int], window: Window) -> Tensor:
        """The finest fusion and the head inside a window: the same numbers from fewer pixels.

        Going back from the window, each step says which pixels it needs: a 3 x 3 convolution one more on every
        side, a resize the two neighbours that it interpolates. Going forward, each step cuts off what the
        zero padding at an inner border has touched.
        """
        small = (x.shape[-2], x.shape[-1])
        middle = (small[0] * self.finest_scale, small[1] * self.finest_scale)
        second = grown(window, 1, output_size)
        between = sources(second, middle, output_size)
        first = grown(between, 1, middle)
        projected = sources(first, small, middle)
        unit = grown(projected, 2, small)
        finest = self.fusion[-1]
        x = finest.residual_layer2(cut(x, unit) + cut(skip, unit))
        x = resize_within(finest.projection(cut(x, projected, unit)), projected, first, small, middle)
        x = resize_within(cut(self.head.conv1(x), between, first), between, second, middle, output_size)
        return self.output(self.head.conv3(F.relu(cut(self.head.conv2(x), window, second))))

    def forward(self, maps: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        """Decode without prompts; this is how depth is made. (B, 1, H, W)."""
        return self.click_part(self.image_part(maps), output_size)


class DepthDecoder(DPTDecoder):
    """Decoder A: its finer half always in full precision.

    Depth Anything's values grow large towards the end, where half precision overflows; and order maps are made of
    differences in depth, where it leaves steps. It runs once per image only.
    """

    def click_part(
        self, features: DecoderFeatures, output_size: tuple[int, int], window: Window | None = None
    ) -> Tensor:
        """Run as :meth:`DPTDecoder.click_part` does, outside of any autocast."""
        device = features.features.device
        if not is_autocast(device):
            return super().click_part(features, output_size, window)
        dtype = self.head.conv3.weight.dtype
        whole = DecoderFeatures(features.features.to(dtype), tuple(skip.to(dtype) for skip in features.skips))
        with exactly(device):
            return super().click_part(whole, output_size, window)


def fine_width(decoder: DPTDecoder) -> int:
    """Channels of a decoder's finest map, where fine prompts enter."""
    last = decoder.convs[0]
    assert isinstance(last, nn.Conv2d)
    return last.out_channels


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def _project_and_resize(projection: nn.Module, x: Tensor, size: Sequence[int]) -> Tensor:
    """1 x 1 convolution, then bilinear resize.

    DPT resizes first. The two commute, as the weights of a bilinear resize sum to one; this way round the
    convolution sees a quarter of the pixels.
    """
    return _resize(projection(x), size)


def compact_decoder(
    in_channels: Sequence[int], widths: Sequence[int], *, output: nn.Module, kind: type[DPTDecoder] = DPTDecoder
) -> DPTDecoder:
    """Build a decoder of our own for the compact encoder.

    Parameters
    ----------
    in_channels : four ints
        Channels of the encoder's maps, finest first.
    widths : four ints
        Fusion width at each level, finest first; unlike DPT's they may differ. The coarsest fusion projects
        to the next finer width, so ``widths[2]`` is the width C of the image features.
    output : module
        See :class:`DPTDecoder`.
    kind : class
        Of the decoder.
    """
    coarse_first = list(reversed(widths))
    outs = [*coarse_first[1:], widths[0]]
    return kind(
        reassemble=[ReassembleLayer(nn.Identity(), nn.Identity()) for _ in in_channels],
        convs=[
            nn.Conv2d(channels, width, 3, padding=1, bias=False)
            for channels, width in zip(in_channels, widths, strict=True)
        ],
        fusion=[
            FusionLayer(width, out, coarsest=level == 0, finest=level == 3)
            for level, (width, out) in enumerate(zip(coarse_first, outs, strict=True))
        ],
        head=PredictionHead(widths[0], widths[0]),
        output=output,
        finest_scale=1,
        resize_last=True,
    )
