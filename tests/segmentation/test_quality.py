"""Input sizes in words, and refinement in a box."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_ois import Predictor
from napari_ois.errors import InputError
from napari_ois.network import PRESETS
from napari_ois.segmentation.boxed import box_to_refine, refine_in_box
from napari_ois.segmentation.quality import choose_input_size
from napari_ois.segmentation.runner import MASK_LOGIT


@pytest.mark.parametrize(
    ("wanted", "name", "device", "side"),
    [
        ("fast", "ois-vitb", "cuda", 518),
        ("balanced", "ois-vits", "cpu", 770),
        ("full", "ois-vitl", "cpu", 1022),
        ("full", "ois-compact", "cpu", 224),
        ("fast", "ois-compact", "cpu", 128),
        (None, "ois-compact", "cpu", 224),
        (None, "ois-vitb", "cpu", 518),
        ("auto", "ois-vitb", "mps", 770),
        (None, "ois-vitb", "cuda", 1022),
        (None, "ois-vitb-2048", "cpu", 1022),
        ("full", "ois-vitb-2048", "cpu", 2044),
        (448, "ois-vitb", "cpu", 448),
    ],
)
def test_a_word_or_the_device_gives_the_size(wanted, name, device, side):
    assert choose_input_size(wanted, PRESETS[name], device) == side


def test_every_size_fits_the_patch():
    for preset in PRESETS.values():
        assert list(preset.sizes) == sorted(preset.sizes)
        assert all(side % preset.multiple == 0 for side in preset.sizes)
        assert preset.input_size == preset.sizes[-1]


@pytest.mark.parametrize("wanted", ["best", "", 31, 10**6])
def test_other_sizes_are_refused(wanted):
    with pytest.raises(InputError, match=r"input.size.*(fast|balanced)"):
        choose_input_size(wanted, PRESETS["ois-vitb"], "cpu")


def test_the_predictor_takes_a_word():
    predictor = Predictor(device="cpu", input_size="fast", close_up=False)
    predictor.set_image(np.zeros((40, 60), np.uint8))
    assert max(predictor.geometry.input_shape) == 128


def _logits(box, size=(200, 300)):
    logits = torch.full((1, 1, *size), -5.0)
    logits[..., box[0] : box[2], box[1] : box[3]] = 5.0
    return logits


def test_the_box_holds_the_mask_the_clicks_and_a_margin():
    clicks = torch.tensor([[[50.0, 60.0], [90.0, 40.0]]])
    assert box_to_refine(_logits((40, 50, 80, 70)), clicks, MASK_LOGIT) == (8, 8, 124, 103)
    assert box_to_refine(_logits((0, 0, 0, 0)), clicks[:, :1], MASK_LOGIT) == (18, 28, 84, 94)


def test_a_large_box_is_all_of_the_input():
    assert box_to_refine(_logits((5, 5, 180, 280)), torch.tensor([[[50.0, 60.0]]]), MASK_LOGIT) is None


class Stub:
    """A network whose answer is known, and that notes in which window it was asked."""

    def __init__(self, answer):
        self.answer, self.windows = answer, []

    def decode_clicks(self, embedding, points, labels, previous, window=None):
        self.windows.append(window)
        if window is None:
            return self.answer
        return self.answer[..., window[0] : window[2], window[1] : window[3]]


def test_inside_of_the_box_the_answer_is_the_networks_and_outside_the_one_before():
    before, stub = _logits((60, 60, 80, 80)), Stub(_logits((62, 58, 85, 80)) + 1)
    logits = refine_in_box(stub, None, torch.tensor([[[70.0, 70.0]]]), None, before, threshold=MASK_LOGIT)
    (box,) = stub.windows
    inside = torch.zeros_like(logits, dtype=torch.bool)
    inside[..., box[0] : box[2], box[1] : box[3]] = True
    assert torch.equal(logits[inside], stub.answer[inside])
    assert torch.equal(logits[~inside], before[~inside])
    assert (before == _logits((60, 60, 80, 80))).all()


def test_an_answer_that_leaves_the_box_is_given_in_all_of_the_input():
    before, stub = _logits((60, 60, 80, 80)), Stub(_logits((62, 58, 85, 190)))
    logits = refine_in_box(stub, None, torch.tensor([[[70.0, 70.0]]]), None, before, threshold=MASK_LOGIT)
    assert stub.windows[1:] == [None]
    assert torch.equal(logits, stub.answer)


def test_a_boxed_runner_asks_for_a_window_on_later_clicks_only(tiny_network, monkeypatch):
    from napari_ois.segmentation.placement import place
    from napari_ois.segmentation.runner import Asked, Runner
    from napari_ois.segmentation.scene import Scene

    network = tiny_network()
    seen = []
    decode = network.decode_clicks

    def spy(*args, window=None, **extras):
        seen.append(window)
        return decode(*args, window=window, **extras)

    monkeypatch.setattr(network, "decode_clicks", spy)
    runner = Runner(network, place("cpu", "fp32"), boxed=True)
    scene = Scene(np.random.default_rng(0).random((256, 256)), None, None, input_size=256, multiple=32)
    asked = Asked(np.array([[60, 70]], np.float32), np.ones(1, np.int64), 1.0, False)
    with torch.inference_mode():
        first = runner.decode(scene.whole, asked, None)
        view = scene.whole.view
        none = torch.full_like(first.logits, -9.0)
        later = runner.decode(scene.whole, asked, (none, view))
        inspected = runner.decode(scene.whole, replace(asked, inspect=True), (none, view))
        runner.decode(scene.whole, replace(asked, strength=0.5), (none, view))
    assert seen[0] is None and seen[1] is not None
    assert seen.count(seen[1]) == 3  # whatever else is asked, the same box: what the inspector shows is what was seen
    torch.testing.assert_close(inspected.logits, later.logits, rtol=0, atol=1e-5)
    assert len(inspected.looked.blocks) == len(network.blocks)
    assert math.prod(first.logits.shape) == math.prod(later.logits.shape)
