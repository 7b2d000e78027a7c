"""A network that answers by a rule one can compute by hand: disks round the positive clicks."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from napari_ois.network.order import normalize_depth

RADIUS = 10.0


@dataclass(frozen=True)
class FakeEmbedding:
    depth: Tensor
    raw_depth: Tensor


class FakeNetwork(nn.Module):
    """Positive disks of radius 10 input pixels minus negative ones; the depth is the red channel."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.embedded: list[tuple[Tensor, Tensor | None]] = []
        self.previous: list[Tensor | None] = []
        self.points: list[Tensor] = []

    def embed_image(self, image: Tensor, depth: Tensor | None = None) -> FakeEmbedding:
        self.embedded.append((image, depth))
        raw = image[:, :1] if depth is None else depth
        return FakeEmbedding(normalize_depth(raw), raw)

    def decode_clicks(
        self,
        embedding: FakeEmbedding,
        points: Tensor,
        labels: Tensor,
        previous: Tensor | None = None,
    ) -> Tensor:
        self.previous.append(previous)
        self.points.append(points)
        height, width = embedding.depth.shape[-2:]
        grid = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), dim=-1).float()
        logits = torch.full((height, width), -10.0)
        for point, label in zip(points[0], labels[0], strict=True):
            near = (grid - point).norm(dim=-1) <= RADIUS
            logits[near] = 10.0 if label == 1 else -10.0
        return logits[None, None] * self.weight


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork()
