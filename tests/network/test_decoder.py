"""The decoder is DPT's, cut in two where prompts enter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from napari_ois.network.decoder import DPTDecoder, FusionLayer, PredictionHead, ReassembleLayer, compact_decoder


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


def literal_dpt(decoder, maps, size):
    """The steps as the DPT paper has them: resize first, then the 1 x 1 convolution."""
    fused = [
        conv(layer.resize(layer.projection(x)))
        for conv, layer, x in zip(decoder.convs, decoder.reassemble, maps, strict=True)
    ]
    x = None
    for level, layer in enumerate(decoder.fusion):
        skip = fused[3 - level]
        x = skip if x is None else x + layer.residual_layer1(skip)
        x = layer.residual_layer2(x)
        goal = fused[2 - level].shape[-2:] if level < 3 else [2 * side for side in x.shape[-2:]]
        x = F.interpolate(x, size=tuple(goal), mode="bilinear", align_corners=True)
        x = layer.projection(x)
    x = F.interpolate(decoder.head.conv1(x), size=size, mode="bilinear", align_corners=True)
    return F.relu(decoder.head.conv3(F.relu(decoder.head.conv2(x))))


@pytest.mark.parametrize("grid", [(4, 6), (5, 7), (1, 3)])
def test_it_equals_the_literal_order_of_steps(dpt, grid):
    maps = [torch.randn(2, 8, *grid) for _ in range(4)]
    size = (grid[0] * 14, grid[1] * 14)
    torch.testing.assert_close(dpt(maps, size), literal_dpt(dpt, maps, size), atol=1e-5, rtol=1e-5)


def test_the_cut_is_on_the_prompt_grid_and_loses_nothing(dpt):
    maps = [torch.randn(1, 8, 5, 7) for _ in range(4)]
    part = dpt.image_part(maps)
    assert part.features.shape == (1, 6, 5, 7)
    assert [skip.shape[-2:] for skip in part.skips] == [(5, 7), (10, 14), (20, 28)]
    assert torch.equal(dpt.click_part(part, (70, 98)), dpt(maps, (70, 98)))


def test_the_coarsest_first_unit_never_runs(dpt):
    dpt([torch.randn(1, 8, 4, 4) for _ in range(4)], (56, 56)).sum().backward()
    assert all(p.grad is None for p in dpt.fusion[0].residual_layer1.parameters())
    assert all(p.grad is not None for p in dpt.fusion[0].residual_layer2.parameters())


def test_compact_decoder_answers_at_input_size():
    decoder = compact_decoder((4, 6, 8, 10), (4, 6, 16, 12), output=nn.Sigmoid())
    maps = [torch.randn(1, c, 64 // s, 96 // s) for c, s in ((4, 2), (6, 4), (8, 8), (10, 16))]
    assert decoder.image_part(maps).features.shape == (1, 16, 8, 12)
    depth = decoder(maps, (64, 96))
    assert depth.shape == (1, 1, 64, 96)
    assert 0 < depth.min() <= depth.max() < 1
