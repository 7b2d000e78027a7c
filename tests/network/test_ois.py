"""The whole network: what it promises of its paths, its switches and its numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_ois.network import OIS, PRESETS, ImageEmbedding, build
from napari_ois.network.attention import Attention
from napari_ois.network.order import normalize_depth

OFF = {
    "use_order": "without order-aware attention",
    "use_object": "without object-aware attention",
    "use_sparse": "without sparse embeddings",
    "use_dense": "without dense embeddings",
}


def test_cached_path_is_the_whole_path_to_the_bit(network, image, clicks):
    with torch.no_grad():
        embedding = network.embed_image(image)
        first = network.decode_clicks(embedding, *clicks, collapse=False)
        assert torch.equal(first, network(image, *clicks))
        previous = torch.randn(2, 1, 64, 96)
        again = network.decode_clicks(embedding, *clicks, previous, collapse=False)
        assert torch.equal(again, network(image, *clicks, previous))
    assert not torch.equal(first, again)


def test_collapsed_slots_change_nothing(network, image, clicks):
    with torch.no_grad():
        embedding = network.embed_image(image)
        previous = torch.randn(2, 1, 64, 96)
        for before in (None, previous):
            whole = network.decode_clicks(embedding, *clicks, before, collapse=False)
            short = network.decode_clicks(embedding, *clicks, before)
            torch.testing.assert_close(short, whole, atol=1e-5, rtol=1e-5)


def test_collapsed_slots_change_nothing_with_more_clicks_than_slots(network, image):
    points = torch.rand(2, 30, 2) * 60
    labels = torch.cat([torch.ones(2, 27), torch.zeros(2, 3)], dim=1).long()
    with torch.no_grad():
        embedding = network.embed_image(image)
        whole = network.decode_clicks(embedding, points, labels, collapse=False)
        torch.testing.assert_close(network.decode_clicks(embedding, points, labels), whole, atol=1e-5, rtol=1e-5)


def test_order_of_clicks_carries_no_meaning(network, image):
    points = torch.rand(2, 6, 2) * 60
    labels = torch.tensor([[1, 1, 0, 0, 1, 0]]).expand(2, -1)
    mixed = torch.tensor([4, 2, 0, 5, 1, 3])
    with torch.no_grad():
        embedding = network.embed_image(image)
        torch.testing.assert_close(
            network.decode_clicks(embedding, points[:, mixed], labels[:, mixed]),
            network.decode_clicks(embedding, points, labels),
            atol=1e-5,
            rtol=1e-5,
        )


def test_images_of_a_batch_do_not_see_each_other(network, image, clicks):
    points, labels = clicks
    with torch.no_grad():
        together = network(image, points, labels)
        alone = network(image[1:], points[1:, :2], labels[1:, :2])
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-5)


def test_selected_rows_are_their_images(network, image, clicks):
    points, labels = clicks
    with torch.no_grad():
        embedding = network.embed_image(image)
        picked = embedding.select(torch.tensor([1, 1, 0]))
        assert picked.input_size == (64, 96)
        result = network.decode_clicks(picked, points[[1, 1, 0]], labels[[1, 1, 0]])
        expected = network.decode_clicks(embedding, points, labels)
    torch.testing.assert_close(result, expected[[1, 1, 0]], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", [(32, 32), (32, 160), (96, 64), (128, 32)])
def test_any_size_and_ratio(network, side):
    points = torch.tensor([[[side[0] - 1.0, side[1] - 1.0], [0.0, 0.0]]])  # last row and column
    with torch.no_grad():
        embedding = network.embed_image(torch.rand(1, 3, *side))
        logits = network.decode_clicks(embedding, points, torch.tensor([[1, 0]]))
        logits = network.decode_clicks(embedding, points, torch.tensor([[1, 0]]), logits)
    assert logits.shape == (1, 1, *side)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()
    assert embedding.depth.shape == (1, 1, *side)
    assert 0 <= embedding.depth.min() <= embedding.depth.max() <= 1


@pytest.mark.parametrize("labels", [[[-1]], [[0]], [[0, 0]]])
def test_clicks_may_miss_a_kind_or_all(network, labels):
    with torch.no_grad():
        logits = network(torch.rand(1, 3, 64, 64), torch.full((1, len(labels[0]), 2), 9.0), torch.tensor(labels))
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("fill", [-40.0, 40.0, 0.0])
def test_gradients_are_finite_for_an_empty_and_a_full_previous_mask(network, image, clicks, fill):
    network.train()
    logits = network(image, *clicks, torch.full((2, 1, 64, 96), fill))
    logits.square().mean().backward()
    grads = [p.grad for p in network.blocks.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in grads)
    assert any(g.any() for g in grads)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fill", [None, -40.0, 40.0])
def test_half_precision_makes_no_nan(network, image, clicks, fill, dtype):
    previous = None if fill is None else torch.full((2, 1, 64, 96), fill)
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype):
        embedding = network.embed_image(image)
        logits = network.decode_clicks(embedding, *clicks, previous)
    assert embedding.depth.dtype == logits.dtype == torch.float32
    assert torch.isfinite(logits).all()
    with torch.no_grad():
        exact = network(image, *clicks, previous)
    assert (logits - exact).abs().mean() < 0.1 * exact.abs().mean() + 0.05


def test_whole_network_in_bfloat16_makes_no_nan(network, image, clicks):
    network = network.to(torch.bfloat16)
    with torch.no_grad():
        logits = network(image.to(torch.bfloat16), *clicks, torch.full((2, 1, 64, 96), -40.0))
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("switch", OFF)
def test_each_ablation_drops_what_it_names(network_of, image, clicks, switch):
    full, without = network_of(), network_of(**{switch: False})
    without.load_state_dict(full.state_dict(), strict=False)
    names = set(full.state_dict()) - set(without.state_dict())
    if switch == "use_sparse":
        assert names
        assert all(n.startswith(("sparse.", "blocks.")) for n in names)
    elif switch == "use_dense":
        assert names
        assert all(n.startswith("dense.") for n in names)
    else:
        assert not names  # the attention stays, as a plain one
    previous = torch.randn(2, 1, 64, 96)
    with torch.no_grad():
        assert not torch.allclose(full(image, *clicks, previous), without(image, *clicks, previous))


def test_without_order_depth_does_not_matter(network_of, image, clicks):
    depths = torch.rand(2, 2, 1, 64, 96)
    for switches, matters in (({}, True), ({"use_order": False, "dense_order": True}, False)):
        network = network_of(**switches)
        with torch.no_grad():
            one, two = (network(image, *clicks, depth=depth) for depth in depths)
        assert torch.equal(one, two) is not matters


def test_without_object_attention_the_previous_mask_does_not_matter(network_of, image, clicks):
    for use_object, matters in ((True, True), (False, False)):
        network = network_of(use_object=use_object)
        with torch.no_grad():
            one, two = (network(image, *clicks, torch.randn(2, 1, 64, 96)) for _ in range(2))
        assert torch.equal(one, two) is not matters


def test_depth_encoder_adds_depth_to_the_features(network_of, image):
    network = network_of(use_order=False, encode_depth=True)
    assert any(n.startswith("depth_encoder.") for n in network.state_dict())
    with torch.no_grad():
        one, two = (network.embed_image(image, torch.rand(2, 1, 64, 96)).features for _ in range(2))
    assert not torch.allclose(one, two)


def test_given_depth_replaces_the_estimate(network, image, clicks):
    given = torch.rand(2, 1, 64, 96) * 70 - 9
    with torch.no_grad():
        embedding = network.embed_image(image, given)
        assert torch.equal(embedding.depth, normalize_depth(given))
        later = network.embed_image(image).with_depth(given)
        assert torch.equal(network.decode_clicks(embedding, *clicks), network.decode_clicks(later, *clicks))


def test_constant_depth_is_allowed(network, image, clicks):
    with torch.no_grad():
        logits = network(image, *clicks, depth=torch.ones(2, 1, 64, 96))
    assert torch.isfinite(logits).all()


def test_embedding_moves_with_depth_in_full_precision(network, image):
    with torch.no_grad():
        moved = network.embed_image(image).to("cpu", torch.bfloat16)
    assert isinstance(moved, ImageEmbedding)
    assert moved.features.dtype == torch.bfloat16
    assert {skip.dtype for skip in moved.skips} == {torch.bfloat16}
    assert moved.depth.dtype == moved.raw_depth.dtype == torch.float32


def test_clicks_are_not_changed_in_place(network, image, clicks):
    before = [tensor.clone() for tensor in clicks]
    with torch.no_grad():
        network(image, *clicks)
    assert all(torch.equal(a, b) for a, b in zip(before, clicks, strict=True))


def test_compact_preset_is_small_and_runs_without_transformers():
    network = build("ois-compact").eval()
    assert isinstance(network, OIS)
    assert sum(p.numel() for p in network.parameters()) <= 6_000_000
    preset = PRESETS["ois-compact"]
    assert network.encoder.multiple == preset.multiple
    with torch.no_grad():
        logits = network(torch.rand(1, 3, 64, 32), torch.zeros(1, 1, 2), torch.ones(1, 1).long())
    assert torch.isfinite(logits).all()


def test_switches_given_to_build_override_the_presets():
    plain = build("ois-compact", mixer_widths=None, dense_order=False)
    assert plain.mixer is None
    assert plain.dense is not None
    assert plain.dense.convolution.in_channels == 3  # two disks and the previous mask


def test_embedding_is_a_value(network, image):
    with torch.no_grad():
        embedding = network.embed_image(image)
    with pytest.raises(AttributeError):
        embedding.depth = embedding.depth * 0  # type: ignore[misc]
    assert replace(embedding, depth=embedding.depth * 0).depth.sum() == 0


def test_strength_one_is_the_ordinary_prediction_to_the_bit(network, image, clicks):
    embedding = network.embed_image(image)
    plain = network.decode_clicks(embedding, *clicks)
    torch.testing.assert_close(network.decode_clicks(embedding, *clicks, order_strength=1.0), plain, atol=0, rtol=0)


def test_strength_zero_is_the_network_without_order(network_of, image, clicks):
    whole, without = network_of(), network_of(use_order=False)
    without.load_state_dict(whole.state_dict())
    off = whole.decode_clicks(whole.embed_image(image), *clicks, order_strength=0.0)
    torch.testing.assert_close(off, without.decode_clicks(without.embed_image(image), *clicks), atol=2e-6, rtol=0)
    assert (off - whole.decode_clicks(whole.embed_image(image), *clicks)).abs().max() > 2e-5


def test_strength_zero_is_what_training_shows_where_all_lies_as_deep(network_of, image, clicks):
    """The compact network has channels of order, and zeros are no order that it was ever shown."""
    network = network_of(dense_order=True, dense_previous=True)
    embedding = network.embed_image(image)
    flat = replace(embedding, depth=torch.full_like(embedding.depth, 0.3))
    off = network.decode_clicks(embedding, *clicks, order_strength=0.0)
    torch.testing.assert_close(off, network.decode_clicks(flat, *clicks), atol=2e-6, rtol=0)
    assert (off - network.decode_clicks(embedding, *clicks)).abs().max() > 2e-5


def test_more_strength_changes_more(network, image, clicks):
    embedding = network.embed_image(image)
    by = {s: network.decode_clicks(embedding, *clicks, order_strength=s) for s in (0.0, 0.5, 1.0, 4.0)}
    change = [(by[s] - by[0.0]).abs().mean() for s in (0.5, 1.0, 4.0)]
    assert change[2] > change[0] > 0


def test_what_the_trace_shows_is_what_was_used(network, image, clicks, monkeypatch):
    """The mask comes again from the traced weights alone: no query, key, order or object mask enters."""
    embedding = network.embed_image(image)
    previous = network.decode_clicks(embedding, *clicks)
    usual = network.decode_clicks(embedding, *clicks, previous)
    trace = []
    traced = network.decode_clicks(embedding, *clicks, previous, trace=trace)
    torch.testing.assert_close(traced, usual, atol=1e-4, rtol=1e-4)
    assert len(trace) == len(network.blocks)
    # One call a block asks for the weights without the order term, too, which reach no mask.
    shown = iter([w for block in trace for w in (torch.full_like(block.plain, torch.nan), block.order, block.object)])
    monkeypatch.setattr(Attention, "weights", lambda *_, **__: next(shown))
    again = network.decode_clicks(embedding, *clicks, previous, trace=[])
    torch.testing.assert_close(again, usual, atol=1e-4, rtol=1e-4)
    assert next(shown, None) is None


def test_traced_weights_sum_to_one_and_follow_order_and_object(network, image, clicks):
    embedding = network.embed_image(image)
    previous = network.decode_clicks(embedding, *clicks)
    trace = []
    network.decode_clicks(embedding, *clicks, previous, trace=trace)
    for block in trace:
        for weights in (block.order, block.plain, block.object):
            torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
        assert not torch.allclose(block.order, block.plain, atol=1e-4)
    off = []
    network.decode_clicks(embedding, *clicks, trace=off, order_strength=0.0)
    assert all(torch.equal(block.order, block.plain) for block in off)
