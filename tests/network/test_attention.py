"""The attentions follow Eq. 3 to 5, and no bias makes a value that is no number."""

from __future__ import annotations

import math

import pytest
import torch

from napari_ois.network.attention import (
    SIGMA_MAX,
    SIGMA_START,
    ObjectAwareAttention,
    OrderAwareAttention,
    PromptBlock,
    object_mask,
)


def by_hand(attention, query, key, value, bias):
    """Softmax attention written out, head by head; ``bias`` is (heads, Q, K)."""
    heads, dim = attention.num_heads, query.shape[-1]
    width = dim // heads
    q, k, v = attention.query(query), attention.key(key), attention.value(value)
    parts = []
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        scores = q[..., own] @ k[..., own].transpose(1, 2) / math.sqrt(width) + bias[head]
        parts.append(scores.softmax(dim=-1) @ v[..., own])
    return attention.out(torch.cat(parts, dim=-1))


def test_order_aware_attention_is_equation_3():
    module = OrderAwareAttention(16, 8)
    query, image = torch.randn(1, 5, 16), torch.randn(1, 12, 16)
    order = torch.rand(1, 5, 12)
    bias = -torch.tensor(SIGMA_START)[:, None, None] * order
    expected = by_hand(module.attention, query, image, image, bias)
    torch.testing.assert_close(module(query, image, image, order), expected, atol=1e-5, rtol=1e-5)


def test_sigma_is_positive_learnable_and_bounded():
    module = OrderAwareAttention(16, 8)
    torch.testing.assert_close(module.sigma, torch.tensor(SIGMA_START))
    module(torch.randn(1, 2, 16), *[torch.randn(1, 4, 16)] * 2, torch.rand(1, 2, 4)).sum().backward()
    assert module.log_sigma.grad.abs().min() > 0
    with torch.no_grad():
        module.log_sigma.copy_(torch.tensor([-50.0, 50.0] * 4))
    assert module.sigma.min() > 0
    assert module.sigma.max() <= SIGMA_MAX * 1.0001


def test_fewer_heads_share_the_range_of_sigma():
    assert OrderAwareAttention(8, 4).sigma.round().tolist() == [32, 16, 8, 4]
    assert OrderAwareAttention(8, 1).sigma.round().tolist() == [32]


def test_zero_order_is_plain_attention():
    module = OrderAwareAttention(16, 8)
    query, image = torch.randn(1, 5, 16), torch.randn(1, 12, 16)
    plain = module(query, image, image, None)
    torch.testing.assert_close(module(query, image, image, torch.zeros(1, 5, 12)), plain)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_order_bias_is_finite_in_half_precision(dtype):
    bias = OrderAwareAttention(16, 8).bias(torch.full((1, 2, 3), 1e5), dtype)
    assert bias.dtype == dtype
    assert torch.isfinite(bias).all()


def test_object_aware_attention_looks_at_the_allowed_places_only():
    module = ObjectAwareAttention(16, 8)
    query, image = torch.randn(1, 2, 16), torch.randn(1, 6, 16)
    allowed = torch.tensor([[[True, True, False, False, False, False], [False] * 2 + [True] * 4]])
    seen = module(query, image, image, allowed)
    torch.testing.assert_close(seen[:, :1], module(query[:, :1], image[:, :2], image[:, :2], None))
    torch.testing.assert_close(seen[:, 1:], module(query[:, 1:], image[:, 2:], image[:, 2:], None))


def test_object_mask_is_the_cell_mean_and_its_strict_complement():
    previous = torch.zeros(1, 1, 8, 8)
    previous[..., :4, :4] = 1  # a whole cell
    previous[..., :4, 4:6] = 1  # exactly half of the next: no foreground
    allowed = object_mask(previous, slots=5, half=2, patch=4)
    assert allowed.shape == (1, 5, 4)
    assert allowed[0, :2].tolist() == [[True, False, False, False]] * 2
    assert allowed[0, 2:].tolist() == [[False, True, True, True]] * 3


@pytest.mark.parametrize(("fill", "open_rows"), [(0.0, slice(0, 2)), (1.0, slice(2, 5))])
def test_rows_that_could_see_nothing_are_opened(fill, open_rows):
    allowed = object_mask(torch.full((1, 1, 8, 8), fill), slots=5, half=2, patch=4)
    assert allowed.all()  # the other half sees everything anyway
    previous = torch.full((2, 1, 8, 8), fill)
    previous[1, :, :4, :4] = 1 - fill
    mixed = object_mask(previous, slots=5, half=2, patch=4)
    assert mixed[0].all()
    assert mixed[1, open_rows].sum() in (2, 3)  # one cell a row: images do not mix


def test_block_leaves_the_image_alone_at_first():
    block = PromptBlock(16, 8)
    sparse, image = torch.randn(2, 48, 16), torch.randn(2, 12, 16)
    changed, same = block(
        sparse,
        image,
        initial=sparse,
        position=torch.randn(1, 12, 16),
        order=torch.rand(2, 48, 12),
        allowed=None,
    )
    assert torch.equal(same, image)
    assert not torch.equal(changed, sparse)
    torch.testing.assert_close(changed.mean(dim=-1), torch.zeros(2, 48), atol=1e-5, rtol=0)


def test_parameters_of_the_papers_block():
    block = PromptBlock(128, 8)
    count = sum(p.numel() for p in block.parameters())
    assert count == 3 * 66_048 + 131_712 + 3 * 256 + 8


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple"):
        PromptBlock(10, 4)
