"""The tiny network, as the paper has it and with the compact preset's extensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from napari_ois.network import OIS
from napari_ois.network.decoder import DPTDecoder, FusionLayer, PredictionHead, ReassembleLayer

PAPER: dict[str, Any] = {}
COMPACT: dict[str, Any] = {
    "dense_order": True,
    "dense_previous": True,
    "sparse_features": True,
    "cues": True,
    "appearance": True,
    "mixer_widths": (8, 12),
    "min_depth_range": 0.1,
}


@pytest.fixture
def network_of(tiny_network: Callable[..., OIS]) -> Callable[..., OIS]:
    """Build a tiny network with these switches; the weights are the same each time."""
    return tiny_network


@pytest.fixture(params=[PAPER, COMPACT], ids=["paper", "compact"])
def network(request: pytest.FixtureRequest, tiny_network: Callable[..., OIS]) -> OIS:
    """A tiny network as the paper has it, and one with the compact preset's extensions."""
    return tiny_network(**request.param)


@pytest.fixture
def image() -> torch.Tensor:
    """Two images of 64 x 96 pixels."""
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def clicks() -> tuple[torch.Tensor, torch.Tensor]:
    """Three clicks in the first image, two in the second and a place that is padding."""
    points = torch.tensor([[[10.0, 20.0], [40.0, 70.0], [55.0, 5.0]], [[30.0, 30.0], [5.0, 90.0], [0.0, 0.0]]])
    return points, torch.tensor([[1, 0, 1], [1, 0, -1]])


class Unit(nn.Module):
    """DPT's residual unit."""

    def __init__(self, dim):
        super().__init__()
        self.first, self.second = (nn.Conv2d(dim, dim, 3, padding=1) for _ in range(2))

    def forward(self, x):
        return x + self.second(F.relu(self.first(F.relu(x))))


@pytest.fixture
def dpt():
    """A decoder with DPT's own layout: resize layers 4, 2, 1 and 1/2, equal widths."""
    width, neck = 6, (3, 4, 5, 7)
    resizes = [
        nn.ConvTranspose2d(3, 3, 4, stride=4),
        nn.ConvTranspose2d(4, 4, 2, stride=2),
        nn.Identity(),
        nn.Conv2d(7, 7, 3, stride=2, padding=1),
    ]
    fusion = [FusionLayer(width, width, coarsest=False, finest=False) for _ in range(4)]
    for layer in fusion:
        layer.residual_layer1, layer.residual_layer2 = Unit(width), Unit(width)
    head = PredictionHead(width, 4)
    head.conv1 = nn.Conv2d(width, 4, 3, padding=1)
    return DPTDecoder(
        reassemble=[ReassembleLayer(nn.Conv2d(8, c, 1), r) for c, r in zip(neck, resizes, strict=True)],
        convs=[nn.Conv2d(c, width, 3, padding=1, bias=False) for c in neck],
        fusion=fusion,
        head=head,
        output=nn.ReLU(),
    )
