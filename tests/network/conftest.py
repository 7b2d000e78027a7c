"""A small network with every part awake: what starts at zero is set off it, or a test would see nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from napari_ois.network import OIS
from napari_ois.network.decoder import compact_decoder
from napari_ois.network.encoder import CompactEncoder

PAPER: dict[str, Any] = {}
COMPACT: dict[str, Any] = {
    "dense_order": True,
    "dense_previous": True,
    "sparse_features": True,
    "mixer_widths": (8, 12),
    "min_depth_range": 0.1,
}


def make_network(**switches: Any) -> OIS:
    torch.manual_seed(3)
    encoder = CompactEncoder(widths=(4, 6, 8, 10, 12), depths=(0, 1, 1, 1, 1))
    network = OIS(
        encoder,
        compact_decoder(encoder.out_channels, (4, 6, 8, 8), output=nn.Sigmoid()),
        compact_decoder(encoder.out_channels, (4, 6, 16, 16), output=nn.Identity()),
        dim=16,
        num_heads=4,
        **switches,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
    return network.eval()


@pytest.fixture
def network_of() -> Callable[..., OIS]:
    """Build a tiny network with these switches; the weights are the same each time."""
    return make_network


@pytest.fixture(params=[PAPER, COMPACT], ids=["paper", "compact"])
def network(request: pytest.FixtureRequest) -> OIS:
    """A tiny network as the paper has it, and one with the compact preset's extensions."""
    return make_network(**request.param)


@pytest.fixture
def image() -> torch.Tensor:
    """Two images of 64 x 96 pixels."""
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def clicks() -> tuple[torch.Tensor, torch.Tensor]:
    """Three clicks in the first image, two in the second and a place that is padding."""
    points = torch.tensor([[[10.0, 20.0], [40.0, 70.0], [55.0, 5.0]], [[30.0, 30.0], [5.0, 90.0], [0.0, 0.0]]])
    return points, torch.tensor([[1, 0, 1], [1, 0, -1]])
