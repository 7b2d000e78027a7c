"""Clicks as sparse and dense embeddings (Sec. 3.4).

The rule of this file: clicks come in as points and labels, and leave as 48 slots (24 positive, 24 negative,
empty ones filled with a non-point embedding) and as a map of disks. Points are row, column in pixels of the
network's input, with pixel centres at integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOTS_PER_HALF = 24
DISK_RADIUS = 5
"""Radius of a click's disk in pixels of the network's input, whatever its size (RITM's value)."""


@dataclass(frozen=True)
class Slots:
    """Clicks laid out in slots: the positive half first, then the negative half.

    Attributes
    ----------
    points : (B, N, 2) float tensor
        Row, column; zero in empty slots.
    labels : (B, N) integer tensor
        1 positive, 0 negative, -1 empty.
    half : int
        Number of slots of the positive half.
    log_count : (B, N) float tensor or None
        Log of how many of the 48 slots each row stands for, where empty slots were collapsed; may be
        fractional where a row shares them. None when every row is one slot.
    """

    points: Tensor
    labels: Tensor
    half: int
    log_count: Tensor | None


def _newest_first(points: Tensor, is_kind: Tensor, width: int, label: int) -> tuple[Tensor, Tensor]:
    """Pack the newest ``width`` clicks of one kind to the front; (B, width, 2) points, (B, width) labels."""
    batch, count = is_kind.shape
    age = torch.where(is_kind, torch.arange(1, count + 1, device=points.device), 0)
    order = age.argsort(dim=1, descending=True)[:, :width]
    packed = points.gather(1, order[..., None].expand(-1, -1, 2))
    kept = is_kind.gather(1, order)
    packed = torch.where(kept[..., None], packed, torch.zeros_like(packed))
    labels = torch.where(kept, label, -1)
    missing = width - packed.shape[1]
    if missing > 0:
        packed = torch.cat([packed, packed.new_zeros(batch, missing, 2)], dim=1)
        labels = torch.cat([labels, labels.new_full((batch, missing), -1)], dim=1)
    return packed, labels


def arrange_slots(points: Tensor, labels: Tensor, *, collapse: bool = True) -> Slots:
    """Lay clicks out in the two halves; of more than 24 clicks of a kind the newest 24 are kept.

    Parameters
    ----------
    points : (B, N, 2) float tensor
        Row, column in input pixels, oldest first.
    labels : (B, N) integer tensor
        1 positive, 0 negative, -1 no click.
    collapse : bool
        Empty slots of one half are equal in every layer. True keeps one row for them (a few where the batch
        holds different numbers of clicks) and says in ``log_count`` how many they are, which image-to-token
        attention adds to their scores: the same result with fewer rows. False keeps all 48.

    Returns
    -------
    Slots
    """
    widths = [SLOTS_PER_HALF, SLOTS_PER_HALF]
    if collapse:
        widths = [min(SLOTS_PER_HALF, int((labels == kind).sum(dim=1).max()) + 1) for kind in (1, 0)]
    halves = [_newest_first(points, labels == kind, width, kind) for kind, width in zip((1, 0), widths, strict=True)]
    log_count = None
    if collapse:
        counts = []
        for _, half_labels in halves:
            empty = half_labels == -1
            rows = empty.sum(dim=1, keepdim=True)
            filled = half_labels.shape[1] - rows
            share = (SLOTS_PER_HALF - filled) / rows.clamp_min(1)
            counts.append(torch.where(empty, share, torch.ones_like(share)))
        log_count = torch.cat(counts, dim=1).log()
    return Slots(
        points=torch.cat([h[0] for h in halves], dim=1),
        labels=torch.cat([h[1] for h in halves], dim=1),
        half=widths[0],
        log_count=log_count,
    )


class FourierCode(nn.Module):
    """Random Fourier code of a position, after SAM: a fixed Gaussian matrix, then sine and cosine.

    Positions are divided by the longest side of the input in both axes, so that the code is not stretched
    when the input is not square.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, dim // 2))
        self.frequencies: Tensor

    def forward(self, points: Tensor, input_size: tuple[int, int]) -> Tensor:
        """Code (..., 2) points, row and column in input pixels, as (..., C) float32."""
        unit = (points.float().flip(-1) + 0.5) / max(input_size)
        across, down = self.frequencies.float()
        # Products one by one and not of matrices, which autocast would round: neighbouring cells would share a code.
        angle = ((2 * unit[..., :1] - 1) * across + (2 * unit[..., 1:] - 1) * down) * (2 * math.pi)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)

    def grid(self, input_size: tuple[int, int], patch: int) -> Tensor:
        """Code of the centres of the grid's cells, (1, h * w, C) float32, row-major."""
        rows, columns = (
            (torch.arange(side // patch, device=self.frequencies.device) + 0.5) * patch - 0.5 for side in input_size
        )
        centres = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
        return self(centres.flatten(0, 1), input_size)[None]


class SparseEmbedding(nn.Module):
    """Each slot's Fourier code plus a learned vector of its type; the non-point vector where it is empty."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.code = FourierCode(dim)
        self.kind = nn.Embedding(3, dim)
        """Index 0 negative, 1 positive, 2 non-point."""

    def forward(self, slots: Slots, input_size: tuple[int, int]) -> Tensor:
        """Embed the slots as (B, N, C) float32."""
        kind = torch.where(slots.labels < 0, 2, slots.labels)
        placed = (slots.labels >= 0)[..., None]
        return self.kind(kind) + self.code(slots.points, input_size) * placed


def disk_map(points: Tensor, labels: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Draw every click as a disk, positive clicks in channel 0 and negative clicks in channel 1.

    Parameters
    ----------
    points, labels : (B, N, 2) and (B, N) tensors
    input_size : (H, W)

    Returns
    -------
    (B, 2, H, W) float32 tensor of zeros and ones; the disks of one kind are united. The cost depends on the
    number of clicks, not on the image.
    """
    height, width = input_size
    batch = len(labels)
    device = points.device
    reach = torch.arange(-DISK_RADIUS, DISK_RADIUS + 1, device=device)
    rows, columns = (axis.flatten() for axis in torch.meshgrid(reach, reach, indexing="ij"))
    row = torch.floor(points[..., 0, None] + 0.5).long() + rows
    column = torch.floor(points[..., 1, None] + 0.5).long() + columns
    drawn = (rows**2 + columns**2 <= DISK_RADIUS**2) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    drawn = drawn & (labels >= 0)[..., None]
    first = 2 * torch.arange(batch, device=device)[:, None, None] + (labels == 0).long()[..., None]
    place = (first * height + row) * width + column
    # What is not drawn goes to a pixel beyond the last: picking out the rest would wait for the device.
    beyond = batch * 2 * height * width
    maps = torch.zeros(beyond + 1, device=device)
    maps.index_fill_(0, torch.where(drawn, place, beyond).flatten(), 1.0)
    return maps[:beyond].view(batch, 2, height, width)


class DenseEmbedding(nn.Module):
    """The map of disks through one convolution, onto the prompt grid; added to the image features.

    Parameters
    ----------
    dim : int
    patch : int
        Kernel and stride: the side of a cell of the prompt grid.
    extra_channels : int
        Channels beside the paper's two disks; see :mod:`napari_ois.network.extensions`.
    """

    def __init__(self, dim: int, patch: int, *, extra_channels: int = 0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2 + extra_channels, dim, kernel_size=patch, stride=patch)

    def forward(self, maps: Tensor) -> Tensor:
        """Embed (B, 2 + extra, H, W) maps as (B, C, h, w)."""
        return patchwise(self.convolution, maps)


def patchwise(convolution: nn.Conv2d, maps: Tensor) -> Tensor:
    """Run a convolution whose kernel is its stride: (B, K, H, W) to (B, C, H / kernel, W / kernel).

    It is a matrix product over unfolded cells; written so, it trains several times faster on a CPU.
    """
    batch, channels, height, width = maps.shape
    patch = convolution.stride[0]
    grid = (height // patch, width // patch)
    cells = maps.view(batch, channels, grid[0], patch, grid[1], patch)
    cells = cells.permute(0, 2, 4, 1, 3, 5).flatten(3)
    embedded = F.linear(cells, convolution.weight.flatten(1), convolution.bias)
    return embedded.permute(0, 3, 1, 2)
