"""Image encoders, one protocol: an image becomes four feature maps, finest first.

The rule of this file: an encoder knows pixels only. It declares the channels of its maps, the side of a cell
of the prompt grid (``patch``) and what its input's sides must be multiples of; the decoders need no more.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Encoder(Protocol):
    """What the rest of the network asks of an encoder."""

    patch: int
    multiple: int
    out_channels: tuple[int, int, int, int]

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode (B, 3, H, W) RGB in [0, 1] as four maps."""
        ...


class PixelNorm(nn.Module):
    """Subtract the mean and divide by the deviation of ImageNet's pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """Normalise (B, 3, H, W) RGB in [0, 1]."""
        return (image - self.mean) / self.std


class ConvNorm(nn.Sequential):
    """3 x 3 convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm around a shortcut; the second norm starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return F.relu(x + self.norm(self.second(self.first(x))))


class CompactEncoder(nn.Module):
    """A small fully convolutional encoder, trained from scratch; strides 2, 4, 8 and 16, context from 32.

    Parameters
    ----------
    widths : five ints
        Channels at strides 2, 4, 8, 16 and 32.
    depths : five ints
        Residual blocks at each stride; none at stride 2 by default, where they would cost most.

    Notes
    -----
    The stride-16 map also carries the image coordinates (row, column, row squared): a convolution cannot
    know where the ground is, and depth needs that. It is joined by the upsampled stride-32 map.
    """

    patch = 8
    multiple = 32

    def __init__(
        self,
        widths: tuple[int, ...] = (16, 32, 64, 128, 208),
        depths: tuple[int, ...] = (0, 1, 2, 3, 3),
    ) -> None:
        super().__init__()
        self.out_channels = (widths[0], widths[1], widths[2], widths[3])
        self.normalize = PixelNorm()
        self.stages = nn.ModuleList()
        channels = 3
        for width, depth in zip(widths, depths, strict=True):
            blocks = [ResidualBlock(width) for _ in range(depth)]
            self.stages.append(nn.Sequential(ConvNorm(channels, width, stride=2), *blocks))
            channels = width
        self.coordinates = nn.Conv2d(3, widths[3], 1)
        self.context = nn.Conv2d(widths[4], widths[3], 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode (B, 3, H, W) RGB in [0, 1], sides multiples of 32, at strides 2, 4, 8 and 16."""
        maps: list[Tensor] = []
        x = self.normalize(image)
        for stride, stage in enumerate(self.stages):
            x = stage(x)
            if stride == 3:
                x = x + self.coordinates(_coordinate_maps(x))
            maps.append(x)
        context = F.interpolate(self.context(maps[4]), size=maps[3].shape[-2:], mode="bilinear", align_corners=False)
        return maps[0], maps[1], maps[2], maps[3] + context


def _coordinate_maps(like: Tensor) -> Tensor:
    """Row, column and row squared in [-1, 1], (1, 3, h, w)."""
    height, width = like.shape[-2:]
    row = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)[:, None]
    column = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)[None]
    row, column = row.expand(height, width), column.expand(height, width)
    return torch.stack([row, column, row**2])[None]
