"""In bfloat16 on the CPU the masks are those of float32, within a tolerance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ois import Predictor

COMPACT, TINY_VIT = 0.99, 0.95
"""Intersection over union of the masks in both precisions, at least."""

CLICKS = (([(60, 70)], [1]), ([(60, 70), (10, 10)], [1, 0]))


@pytest.fixture
def picture():
    """A noisy disk, and where it is."""
    rows, columns = np.indices((120, 160))
    disk = (rows - 60) ** 2 + (columns - 70) ** 2 <= 30**2
    colours = np.where(disk[..., None], [200, 120, 60], [60, 90, 110])
    noise = np.random.default_rng(0).normal(0, 8, colours.shape)
    return (colours + noise).clip(0, 255).astype(np.uint8), disk


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


def test_the_embedded_model_answers_alike(picture):
    image, disk = picture
    full, half = (Predictor(device="cpu", precision=precision) for precision in ("fp32", "bf16"))
    assert (full.precision, half.precision) == ("fp32", "bf16")
    for predictor in (full, half):
        predictor.set_image(image)
    state = None, None
    for clicks in CLICKS:
        exact = full.predict(*clicks, previous=state[0])
        rough = half.predict(*clicks, previous=state[1])
        assert overlap(exact.mask, disk) > 0.9  # an object is compared, not an accident
        assert overlap(exact.mask, rough.mask) >= COMPACT
        assert not np.array_equal(exact.probability, rough.probability)  # it did run in half precision
        state = exact.state, rough.state


def test_a_tiny_vit_answers_alike(picture):
    pytest.importorskip("transformers", reason="the ViT models need the extra 'vit'")
    from napari_ois.network.vit import ViTSize, build_vit

    size = ViTSize(
        hidden_size=16, depth=4, num_heads=2, taps=(1, 2, 3, 4), neck=(4, 6, 8, 12), dim=16,
        image_size=56, head_hidden=5,
    )  # fmt: skip
    torch.manual_seed(0)
    network = build_vit(size)
    answers = []
    for precision in ("fp32", "bf16"):
        predictor = Predictor.from_network(network, input_size=112, multiple=14, device="cpu", precision=precision)
        predictor.set_image(picture[0])
        if precision == "fp32":  # random weights say next to nothing: the last layer is stretched around its median
            logits = predictor.predict(*CLICKS[0]).state.logits
            last, gain = network.mask_decoder.head.conv3, 3 / float(logits.std())
            with torch.no_grad():
                last.weight.mul_(gain)
                last.bias.copy_(gain * (last.bias - logits.median()))
            predictor.set_image(picture[0])
        answers.append(predictor.predict(*CLICKS[0]))
    exact, rough = answers
    assert 0.3 < exact.mask.mean() < 0.7
    assert overlap(exact.mask, rough.mask) >= TINY_VIT
    assert not np.array_equal(exact.probability, rough.probability)
