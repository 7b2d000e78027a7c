"""The tiny network, as the paper has it and with the compact preset's extensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from napari_ois.network import OIS

PAPER: dict[str, Any] = {}
COMPACT: dict[str, Any] = {
    "dense_order": True,
    "dense_previous": True,
    "sparse_features": True,
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
