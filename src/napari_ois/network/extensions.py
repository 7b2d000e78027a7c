"""What the compact preset adds to the paper's design, and why; the ViT presets use none of it.

The rule of this file: every extension is a part that the plain network can do without, switched on by a
preset. A small network trained from scratch needs them because its attention alone hardly steers the mask:
the order map acts only once it is also a channel of the dense prompt (measured on a prototype), and clicks
must be spread over the object by convolutions, where the paper's ViT features already hold whole objects.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_ois.network.order import nearest_negative_order_map, positive_order_map
from napari_ois.network.prompts import patchwise
from napari_ois.network.surface import CUES

ORDER_SHARPNESS = 8.0
"""How fast the sharpened order channels saturate: a depth distance of 1/8 already counts for 0.63."""

ORDER_CHANNELS = 3
PREVIOUS_CHANNELS = 1


def order_channels(depth: Tensor, points: Tensor, labels: Tensor, strength: float = 1.0) -> Tensor:
    """Order maps as channels of the dense prompt.

    Parameters
    ----------
    depth : (B, 1, H, W) float tensor, normalised
    points, labels : (B, N, 2) and (B, N) tensors
    strength : float >= 0
        Multiplies every distance in depth: at 0 all lies as deep, which the network knows from training. Channels
        of zeros it does not: a negative click that is nowhere near in depth once cost ten points of IoU.

    Returns
    -------
    (B, 3, H, W) float tensor: the positive order map, the same sharpened, and the closeness to the nearest
    negative click's order. All are zero without clicks of their kind, and constant for a constant depth.
    """
    positive = strength * positive_order_map(depth, points, labels)
    negative = strength * nearest_negative_order_map(depth, points, labels)
    some_negative = (labels == 0).any(dim=1)[:, None, None, None]
    channels = [
        positive.clamp_max(1),
        1 - torch.exp(-ORDER_SHARPNESS * positive),
        torch.exp(-ORDER_SHARPNESS * negative) * some_negative,
    ]
    return torch.cat(channels, dim=1)


def previous_channel(previous: Tensor | None, like: Tensor) -> Tensor:
    """The previous mask's probability as a channel of the dense prompt, zero in the first round.

    Parameters
    ----------
    previous : (B, 1, H, W) float tensor or None
    like : (B, 1, H, W) tensor that gives the shape, device and dtype of the zeros
    """
    return torch.zeros_like(like) if previous is None else previous.to(like.dtype)


def click_features(image: Tensor, points: Tensor, labels: Tensor, patch: int) -> Tensor:
    """Read the image features under each click, bilinearly; zero for empty slots.

    Parameters
    ----------
    image : (B, C, h, w) float tensor
        Features on the prompt grid.
    points, labels : (B, N, 2) and (B, N) tensors, in input pixels

    Returns
    -------
    (B, N, C) tensor.
    """
    height, width = image.shape[-2] * patch, image.shape[-1] * patch
    unit = torch.stack([(points[..., 1] + 0.5) / width, (points[..., 0] + 0.5) / height], dim=-1) * 2 - 1
    read = F.grid_sample(image, unit[:, None].to(image.dtype), align_corners=False, padding_mode="border")
    return read[:, :, 0].transpose(1, 2) * (labels >= 0)[..., None]


class CuePrompt(nn.Module):
    """A second dense prompt, made of cues: coarse for the prompt grid, fine for the decoder's finest fusion.

    The maps of the first dense prompt come along, so that order and the mask before also reach the decoder where
    borders are drawn. Both convolutions start at zero: a network that did without answers as before.

    Parameters
    ----------
    dim, patch : int
        Of the prompt grid.
    fine_dim : int
        Channels of the decoder's finest map.
    maps : int
        Channels of the first dense prompt.
    appearances : int
        Channels of :func:`napari_ois.network.appearance.appearance`; 0 in a network that does without.
    """

    def __init__(self, dim: int, patch: int, fine_dim: int, maps: int, appearances: int = 0) -> None:
        super().__init__()
        cell = patch // 2
        channels = CUES + maps + appearances
        self.coarse = nn.Conv2d(channels, dim, kernel_size=cell, stride=cell)
        self.fine = nn.Conv2d(channels, fine_dim, 3, padding=1)
        for layer in (self.coarse, self.fine):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, cues: Tensor, maps: Tensor, looks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed what is known of the clicks.

        Parameters
        ----------
        cues : (B, 10, H / 2, W / 2) tensor
        maps : (B, M, H, W) tensor
        looks : (B, 4, H / 2, W / 2) tensor, optional
            Appearance.

        Returns
        -------
        coarse : (B, C, h, w) tensor
        fine : (B, F, H / 2, W / 2) tensor
        """
        parts = [cues, F.avg_pool2d(maps, 2)] + ([] if looks is None else [looks])
        both = torch.cat(parts, dim=1).to(self.fine.weight.dtype)
        return patchwise(self.coarse, both), self.fine(both.contiguous(memory_format=torch.channels_last))


class ResidualUnit(nn.Module):
    """Pre-normalised residual unit of two 3 x 3 convolutions; the second starts small."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, dim)
        self.convolution1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.convolution2 = nn.Conv2d(dim, dim, 3, padding=1)
        with torch.no_grad():
            self.convolution2.weight.mul_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Add the unit's output to its input, (B, C, H, W)."""
        return x + self.convolution2(F.relu(self.convolution1(F.relu(self.norm(x)))))


class ContextMixer(nn.Module):
    """A small U of two coarser levels that spreads what the clicks said over whole objects.

    Parameters
    ----------
    dim : int
        Channels on the prompt grid.
    widths : (int, int)
        Channels at half and at a quarter of the prompt grid.
    """

    def __init__(self, dim: int, widths: tuple[int, int]) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(dim, widths[0], 3, stride=2, padding=1)
        self.unit1 = ResidualUnit(widths[0])
        self.down2 = nn.Conv2d(widths[0], widths[1], 3, stride=2, padding=1)
        self.unit2 = nn.Sequential(ResidualUnit(widths[1]), ResidualUnit(widths[1]))
        self.up2 = nn.Conv2d(widths[1], widths[0], 1)
        self.unit3 = ResidualUnit(widths[0])
        self.up1 = nn.Conv2d(widths[0], dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Mix (B, C, h, w) features and add the result to them."""
        half = self.unit1(self.down1(x))
        quarter = self.unit2(self.down2(F.relu(half)))
        half = half + _resize(self.up2(quarter), half)
        return x + _resize(self.up1(self.unit3(half)), x)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class DepthEncoder(nn.Module):
    """A stand-in for the paper's control (Table 5, A.4): depth through an encoder of its own, added to the features.

    Used with order-aware attention off, to show what order maps add over plain depth. The paper takes MM-SAM's
    encoder for it; these three convolutions are ours, and see the estimated depth in training too.
    """

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, dim, kernel_size=patch, stride=patch),
            nn.GELU(),
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(dim, dim, 1),
        )

    def forward(self, depth: Tensor) -> Tensor:
        """Encode (B, 1, H, W) normalised depth as (B, C, h, w)."""
        return self.layers(depth)
