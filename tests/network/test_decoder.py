"""The decoder is DPT's, cut in two where prompts enter."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_ois.network.decoder import DepthDecoder, compact_decoder
from napari_ois.network.plain import plain_decoder


@pytest.mark.parametrize("grid", [(4, 6), (5, 7), (1, 3)])
def test_it_equals_the_literal_order_of_steps(dpt, grid):
    maps = [torch.randn(2, 8, *grid) for _ in range(4)]
    size = (grid[0] * 14, grid[1] * 14)
    torch.testing.assert_close(dpt(maps, size), plain_decoder(dpt, maps, size), atol=1e-5, rtol=1e-5)


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


def test_estimated_depth_has_no_steps_in_half_precision():
    decoder = compact_decoder((4, 6, 8, 10), (4, 6, 16, 12), output=nn.Sigmoid(), kind=DepthDecoder)
    maps = [torch.randn(1, c, 64 // s, 96 // s) for c, s in ((4, 2), (6, 4), (8, 8), (10, 16))]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        depth = decoder(maps, (64, 96))
    assert depth.dtype == torch.float32
    assert len(depth.unique()) > 5000  # of 6144 pixels; bfloat16 has some 120 values between a half and one
