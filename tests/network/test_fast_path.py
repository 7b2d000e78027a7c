"""The fast click path is held against its plain twin, and waits for no device."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from napari_ois.network.plain import plain_click, plain_decoder


@pytest.mark.parametrize("with_previous", [False, True], ids=["first", "later"])
def test_it_equals_the_plain_path(network, image, clicks, with_previous):
    with torch.inference_mode():
        embedding = network.embed_image(image)
        previous = network.decode_clicks(embedding, *clicks) if with_previous else None
        maps, surface = network.encoder(image), embedding.surface
        plain = plain_click(network, maps, embedding.depth, *clicks, previous, surface=surface)
        fast = network.decode_clicks(embedding, *clicks, previous)
    assert plain.abs().max() > 1e-3
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))


def test_the_decoders_agree_in_depth_too(network, image):
    with torch.inference_mode():
        plain = plain_decoder(network.depth_decoder, network.encoder(image), image.shape[-2:])
        torch.testing.assert_close(network.embed_image(image).raw_depth, plain, rtol=1e-5, atol=1e-6)


def test_convolutions_run_channels_last_but_not_in_training(network, image):
    def last(maps):
        return [x.is_contiguous(memory_format=torch.channels_last) for x in maps]

    with torch.inference_mode():
        embedding = network.embed_image(image)
    assert all(last([embedding.features, *embedding.skips]))
    try:
        embedding = network.train().embed_image(image)
    finally:
        network.eval()
    assert not any(last([embedding.features, *embedding.skips]))


def test_what_depends_on_the_image_alone_is_made_once(network, image, clicks, monkeypatch):
    calls = []
    code = network.sparse.code
    grid = type(code).grid
    monkeypatch.setattr(type(code), "grid", lambda *args: calls.append(args) or grid(*args))
    with torch.inference_mode():
        embedding = network.embed_image(image)
        first = network.decode_clicks(embedding, *clicks)
        assert torch.equal(network.decode_clicks(embedding, *clicks), first)
        assert len(calls) == 1
        assert embedding.cells is embedding.cells
        assert embedding.with_depth(1 - embedding.depth).cells is not embedding.cells


def test_a_click_never_waits_for_the_device(network, image, clicks):
    """Fake tensors have no values: whatever would copy one to the host raises."""
    with FakeTensorMode(allow_non_fake_inputs=True) as fake, torch.inference_mode():
        given = [fake.from_tensor(x) for x in (image, *clicks)]
        embedding = network.embed_image(given[0])
        logits = network.decode_clicks(embedding, *given[1:], collapse=False)
        logits = network.decode_clicks(embedding, *given[1:], logits, collapse=False)
        assert logits.shape == (2, 1, 64, 96)
        with pytest.raises(DataDependentOutputException):
            network.decode_clicks(embedding, *given[1:], collapse=True)
