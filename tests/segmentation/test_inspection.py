"""What is shown of order is what the network used; hand-made cases where the right answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_ois.errors import InputError
from napari_ois.network import OIS
from napari_ois.segmentation.inspection import Inspection
from napari_ois.segmentation.predictor import Predictor
from napari_ois.segmentation.view import View


def predictor_of(network: OIS) -> Predictor:
    return Predictor.from_network(network, input_size=64, multiple=32, device="cpu")


@pytest.fixture(scope="module")
def predictor(tiny_network: Callable[..., OIS]) -> Predictor:
    made = predictor_of(tiny_network(dense_order=True, dense_previous=True))
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    ramp = np.linspace(0, 1, 128, dtype=np.float32)[None].repeat(96, axis=0)
    made.set_image(image, depth=ramp)
    return made


CLICKS = [(40, 60), (20, 100), (50, 30), (10, 10)]
LABELS = [1, 0, 1, 0]


def test_inspecting_does_not_change_the_mask(predictor):
    plain = predictor.predict(CLICKS, LABELS)
    inspected = predictor.predict(CLICKS, LABELS, inspect=True)
    np.testing.assert_allclose(inspected.probability, plain.probability, atol=1e-5)
    assert plain.looked is None
    with pytest.raises(InputError, match="inspect=True"):
        Inspection(plain)


def test_each_click_has_its_own_attention(predictor):
    first = predictor.predict(CLICKS[:1], LABELS[:1])
    seen = Inspection(predictor.predict(CLICKS, LABELS, previous=first, inspect=True))
    assert seen.sigma.shape == (3, 4) and (seen.sigma > 0).all() and seen.strength == 1
    assert [seen.row(click) for click in range(4)] == [1, 4, 0, 3]  # newest first, the negative half behind
    weights = seen.weights(1)
    assert weights.shape == (3, 4, 8, 8)
    np.testing.assert_allclose(weights.sum(axis=(2, 3)), 1, atol=1e-5)
    assert not np.allclose(seen.weights(0), seen.weights(2), atol=1e-4)
    one = seen.attention(1, block=2, head=3)
    assert one.shape == (96, 128) and one.dtype == np.float32
    np.testing.assert_allclose(one.sum() / (12 * 16), 1, rtol=0.05)  # a cell covers 12 x 16 image pixels
    np.testing.assert_allclose(
        np.mean([seen.attention(1, block=b, head=h) for b in range(3) for h in range(4)], axis=0),
        seen.attention(1),
        atol=1e-6,
    )


def test_order_pulls_attention_to_the_click_s_depth(predictor):
    """The depth grows from left to right, and so must the distance from where attention is taken away."""
    seen = Inspection(predictor.predict([(48, 12)], [1], inspect=True))
    with_order, without = seen.attention(0), seen.attention(0, kind="plain")
    assert with_order[:, :32].sum() > without[:, :32].sum()
    assert with_order[:, 96:].sum() < without[:, 96:].sum()


def test_unknown_clicks_blocks_and_kinds_are_refused(predictor):
    seen = Inspection(predictor.predict(CLICKS, LABELS, inspect=True))
    with pytest.raises(InputError, match="no click 4"):
        seen.row(4)
    with pytest.raises(InputError, match="no block 7"):
        seen.attention(0, block=7)
    with pytest.raises(InputError, match="no attention"):
        seen.weights(0, "self")


def test_a_click_too_old_has_no_slot(predictor):
    points = np.random.default_rng(0).uniform(0, 90, (30, 2))
    seen = Inspection(predictor.predict(points, [1] * 30, inspect=True))
    assert seen.row(29) == 0 and seen.row(6) == 23
    with pytest.raises(InputError, match="too old"):
        seen.row(5)


def test_a_network_without_sparse_embeddings_has_nothing_to_show(tiny_network):
    predictor = predictor_of(tiny_network(use_sparse=False))
    predictor.set_image(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="no attention to show"):
        Inspection(predictor.predict([(5, 5)], [1], inspect=True))


def test_again_gives_the_same_answer_and_strength_zero_the_one_without_order(predictor):
    first = predictor.predict(CLICKS[:1], LABELS[:1])
    second = predictor.predict(CLICKS, LABELS, previous=first)
    np.testing.assert_array_equal(predictor.again(second).probability, second.probability)
    np.testing.assert_array_equal(predictor.again(first).probability, first.probability)
    off = predictor.again(second, order_strength=0)
    assert np.abs(off.probability - second.probability).max() > 1e-4
    for strength in (-0.1, float("nan"), 17):
        with pytest.raises(InputError, match="out of range"):
            predictor.again(second, order_strength=strength)


def test_change_is_said_in_words(predictor):
    made = predictor.predict(CLICKS, LABELS, inspect=True)
    mask = np.zeros((96, 128), bool)
    mask[:10, :10] = True
    other = np.zeros_like(mask)
    other[:10, 5:10] = True
    change = Inspection(replace(made, mask=mask)).change(replace(made, mask=other))
    assert change.gained.sum() == 50 and not change.lost.any() and change.iou == 0.5
    assert change.sentence == "Order changed 50.0 % of this mask."
    empty = replace(made, mask=np.zeros_like(mask))
    assert Inspection(empty).change(empty).iou == 1


def test_profile_tells_whether_depth_separates(predictor):
    made = predictor.predict([(48, 16)], [1], inspect=True)
    left = np.zeros((96, 128), bool)
    left[:, :32] = True
    profile = Inspection(replace(made, mask=left)).profile(bins=4)
    np.testing.assert_allclose(profile.inside, [1, 0, 0, 0])
    np.testing.assert_allclose(profile.outside, [0, 1 / 3, 1 / 3, 1 / 3], atol=1e-6)
    assert profile.at_clicks[0] == pytest.approx(16 / 127)
    assert profile.separation == pytest.approx(1, abs=0.01) and profile.warning == ""
    rows = np.zeros((96, 128), bool)
    rows[:48] = True
    useless = Inspection(replace(made, mask=rows)).profile()
    assert useless.separation == pytest.approx(0.5, abs=0.01)
    assert "order cannot help" in useless.warning


def test_the_order_shown_as_used_is_what_attention_was_pulled_by(tiny_network):
    """In a close-up too: softmax(log(plain) - sigma M) with M from the map shown is the attention that was used."""
    network = tiny_network(dense_order=True)
    made = predictor_of(network)
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    made.set_image(image, depth=np.linspace(0, 1, 128, dtype=np.float32)[None].repeat(128, axis=0))
    first = made.predict([(66, 36), (62, 44)], [1, 0])
    view = View(48, 24, 80, 56)
    close = replace(first, state=replace(first.state, view=view, before=None))
    seen = Inspection(made.again(close, inspect=True))
    assert seen.prediction.view == view
    inside, outside = seen.depth_used()[view.rows, view.columns], seen.depth_used().copy()
    outside[view.rows, view.columns] = np.nan
    assert np.isnan(outside).all()
    assert inside.min() < 0.05 and inside.max() > 0.95  # stretched anew; of the whole image it is a part
    assert np.ptp(seen.prediction.depth[view.rows, view.columns]) < 0.5
    for click, place in ((0, (66, 36)), (1, (62, 44))):
        shown = seen.order_used(click)
        assert shown[place] < 0.1 and np.nanmax(shown) > 0.4
        size = seen.prediction.looked.depth.shape[-2:]
        whole = torch.from_numpy(shown[view.rows, view.columns])[None, None]
        small = torch.nn.functional.interpolate(whole, size=size, mode="bilinear", antialias=True)
        cells = torch.nn.functional.avg_pool2d(small, network.patch)[0, 0].numpy()
        pulled = np.log(seen.weights(click, "plain") + 1e-12) - seen.sigma[:, :, None, None] * cells
        again = np.exp(pulled - pulled.max(axis=(2, 3), keepdims=True))
        again /= again.sum(axis=(2, 3), keepdims=True)
        np.testing.assert_allclose(again, seen.weights(click), atol=0.03)
        assert np.abs(again - seen.weights(click, "plain")).max() > 0.1


def test_without_a_close_up_the_order_used_is_the_one_of_the_image(predictor):
    seen = Inspection(predictor.predict(CLICKS, LABELS, inspect=True))
    np.testing.assert_allclose(seen.order_used(0), seen.prediction.positive_order_map, atol=0.02)
    np.testing.assert_allclose(seen.order_used(3), seen.prediction.negative_order_maps[1], atol=0.02)
