"""The image is embedded once, clicks are answered at its own resolution, lack of memory is met."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_ois.errors import InputError, Interrupted, OISError, WeightsError
from napari_ois.network import PRESETS, build
from napari_ois.segmentation.colour import to_plane
from napari_ois.segmentation.frame import View
from napari_ois.segmentation.image import Geometry, resize
from napari_ois.segmentation.placement import (
    Placement,
    choose_device,
    choose_precision,
    fallbacks,
    is_out_of_memory,
)
from napari_ois.segmentation.predictor import Predictor

CPU = Placement(torch.device("cpu"), torch.float32)


@pytest.fixture
def predictor(network):
    return Predictor.from_network(network, input_size=64, multiple=32, device="cpu")


@pytest.fixture
def picture():
    """(100, 200) uint8 RGB whose red channel, the fake's depth, grows from left to right."""
    image = np.zeros((100, 200, 3), dtype=np.uint8)
    image[..., 0] = np.linspace(0, 255, 200).astype(np.uint8)
    return image


def compact(**options) -> Predictor:
    torch.manual_seed(0)
    options = {"input_size": 64, "device": "cpu", **options}
    return Predictor.from_network(build("ois-compact"), multiple=PRESETS["ois-compact"].multiple, **options)


def test_everything_has_the_image_s_own_resolution(predictor, picture):
    predictor.set_image(picture)
    result = predictor.predict([(50, 100), (50, 180), (20, 20)], [1, 0, 0])
    assert result.mask.shape == (100, 200) and result.mask.dtype == bool
    for array in (result.probability, result.depth, result.positive_order_map):
        assert array.shape == (100, 200) and array.dtype == np.float32
        assert array.min() >= 0 and array.max() <= 1
    assert result.negative_order_maps.shape == (2, 100, 200)
    assert result.negative_order_maps.dtype == np.float32
    assert predictor.image_shape == (100, 200)


def test_mask_sits_on_the_click(predictor, picture):
    """The disk of radius 10 in a 64 px input is one of radius 31 in the 200 px image."""
    predictor.set_image(picture)
    mask = predictor.predict([(50, 100)], [1]).mask
    rows, columns = np.nonzero(mask)
    assert abs(rows.mean() - 50) < 1 and abs(columns.mean() - 100) < 1
    assert abs(mask.sum() / (np.pi * 31.25**2) - 1) < 0.06


def test_score_is_the_mean_probability_of_the_mask(predictor, picture):
    predictor.set_image(picture)
    result = predictor.predict([(50, 100)], [1])
    assert result.score == pytest.approx(result.probability[result.mask].mean())
    np.testing.assert_array_equal(result.mask, result.probability > 0.49)
    empty = predictor.predict([(50, 100), (50, 100)], [1, 0])
    assert not empty.mask.any() and empty.score == 0.0


@pytest.mark.parametrize("large", [False, True])
def test_a_state_is_shown_as_it_was_without_the_network(large, monkeypatch):
    if large:
        monkeypatch.setattr("napari_ois.segmentation.lazy_plane.LARGE", 64)
    predictor = compact(close_up=True)
    rng = np.random.default_rng(0)
    predictor.set_image(rng.integers(0, 255, (150, 200, 3), dtype=np.uint8))
    clicks, labels, state, seen = [(50, 100), (30, 180), (110, 20)], [1, 0, 1], None, []
    for count in (1, 2, 3):
        seen.append(predictor.predict(clicks[:count], labels[:count], previous=state))
        state = seen[-1].state
    predictor._runner.network.decode_clicks = None  # nothing is asked
    for count, before in enumerate(seen, start=1):
        again = predictor.shown(before.state, clicks[:count], labels[:count])
        for name in ("mask", "probability", "depth", "points", "labels", "positive_order_map"):
            np.testing.assert_array_equal(getattr(again, name), getattr(before, name))
        assert again.score == before.score and again.frame == before.frame and again.view == before.view
    predictor.set_image(np.zeros((40, 40), np.uint8))
    with pytest.raises(InputError, match="another image"):
        predictor.shown(state, clicks, labels)


def test_image_is_embedded_once_and_previous_logits_are_passed_on(predictor, network, picture):
    predictor.set_image(picture)
    first = predictor.predict([(50, 100)], [1])
    predictor.predict([(50, 100), (5, 5)], [1, 0], previous=first.state)
    predictor.predict([(50, 100), (5, 5)], [1, 0], previous=first)  # the prediction itself will do
    assert len(network.embedded) == 1
    assert network.previous[0] is None
    assert network.previous[1] is first.state.logits
    assert network.previous[2] is first.state.logits
    assert first.state.logits.shape == (1, 1, 32, 64)


def test_order_maps_are_distances_in_depth(predictor, picture):
    predictor.set_image(picture)
    result = predictor.predict([(50, 20), (50, 60), (10, 199)], [1, 1, 0])
    reference = (result.depth[50, 20] + result.depth[50, 60]) / 2
    np.testing.assert_allclose(result.positive_order_map, np.abs(result.depth - reference), atol=1e-6)
    np.testing.assert_allclose(result.negative_order_maps[0], np.abs(result.depth - result.depth[10, 199]), atol=1e-6)
    assert result.positive_order_map is result.positive_order_map  # computed once


def test_no_negative_click_no_negative_map(predictor, picture):
    predictor.set_image(picture)
    assert predictor.predict([(50, 20)], [1]).negative_order_maps.shape == (0, 100, 200)


def test_given_depth_is_used_and_shown(predictor, network, picture):
    depth = np.tile(np.linspace(5.0, 1.0, 100)[:, None], (1, 200))
    depth[3, 3] = np.nan
    predictor.set_image(picture, depth=depth)
    seen = network.embedded[0][1]
    assert seen.shape == (1, 1, 32, 64)
    assert seen[0, 0, 0, 5] > 0.95 and seen[0, 0, -1, 5] < 0.05
    shown = predictor.predict([(50, 100)], [1]).depth
    np.testing.assert_allclose(shown[50], (depth[50] - 1) / 4, atol=1e-6)
    assert np.isfinite(shown).all()


def test_constant_depth_switches_order_off(predictor, picture):
    predictor.set_image(picture, depth=np.full((100, 200), 3))
    assert not predictor.predict([(50, 100)], [1]).positive_order_map.any()


def test_depth_of_the_wrong_size_leaves_the_image_before(predictor, picture):
    predictor.set_image(picture)
    with pytest.raises(InputError, match="has shape"):
        predictor.set_image(picture[:50], depth=np.zeros((7, 7)))
    assert predictor.image_shape == (100, 200)


def test_predict_needs_an_image(predictor):
    assert not predictor.has_image
    for use in (lambda: predictor.predict([(0, 0)], [1]), lambda: predictor.depth):
        with pytest.raises(InputError, match="set_image"):
            use()


def test_click_outside_names_click_and_size(predictor, picture):
    predictor.set_image(picture)
    with pytest.raises(InputError, match=r"Click 2 .* of 100 rows and 200 columns"):
        predictor.predict([(0, 0), (100, 10)], [1, 1])


def test_state_of_another_image_is_refused(predictor, picture):
    predictor.set_image(picture)
    state = predictor.predict([(0, 0)], [1]).state
    predictor.set_image(picture[::-1])
    with pytest.raises(InputError, match="another image"):
        predictor.predict([(0, 0), (1, 1)], [1, 1], previous=state)


def test_without_weights_there_is_depth_but_no_mask(predictor, picture):
    predictor._info = SimpleNamespace(available=False, note="Train it or load a checkpoint.")
    predictor.set_image(picture)
    assert predictor.depth.shape == (100, 200) and np.ptp(predictor.depth) == pytest.approx(1)
    with pytest.raises(WeightsError, match="Train it or load a checkpoint"):
        predictor.predict([(0, 0)], [1])


@pytest.mark.parametrize("input_size", [0, 31, -5, 10**6])
def test_input_size_out_of_range(network, input_size):
    with pytest.raises(InputError, match="input_size"):
        Predictor.from_network(network, input_size=input_size, multiple=32)


# -- devices and memory -------------------------------------------------------------------------------


def test_unknown_device_and_precision():
    with pytest.raises(InputError, match="no device"):
        choose_device("abacus")
    with pytest.raises(InputError, match="no device"):
        choose_device("cuda:99")
    with pytest.raises(InputError, match="no precision"):
        choose_precision("int3", torch.device("cpu"))


def test_auto_precision_is_full_off_cuda():
    assert choose_precision("auto", torch.device("cpu")) == torch.float32
    assert choose_precision("auto", torch.device("mps")) == torch.float32
    assert choose_precision("half", torch.device("cpu")) == torch.bfloat16
    with pytest.raises(InputError, match="MPS"):
        choose_precision("half", torch.device("mps"))


def test_fallbacks_are_half_precision_then_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **kwargs: False)
    cuda = torch.device("cuda:0")
    assert fallbacks(Placement(cuda, torch.float32)) == [Placement(cuda, torch.float16), CPU]
    assert fallbacks(Placement(cuda, torch.float16)) == [CPU]
    assert fallbacks(Placement(torch.device("mps"), torch.float32)) == [CPU]
    assert fallbacks(CPU) == []


def test_what_counts_as_lack_of_memory():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (allocated 1 GB)"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


@pytest.mark.parametrize("method", ["embed_image", "decode_clicks"])
def test_lack_of_memory_steps_down_with_a_message(predictor, network, picture, monkeypatch, method):
    expected = None
    if method == "decode_clicks":
        predictor.set_image(picture)
        expected = predictor.predict([(50, 100)], [1])
    predictor._runner.fallbacks = [Placement(torch.device("cpu"), torch.bfloat16), CPU]
    plain = getattr(network, method)

    def hungry(*args, **kwargs):
        if predictor.precision == "fp32" and predictor._runner.fallbacks:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(*args, **kwargs)

    monkeypatch.setattr(network, method, hungry)
    with pytest.warns(RuntimeWarning, match=r"Out of memory on cpu \(fp32\): going on with cpu"):
        if method == "embed_image":
            predictor.set_image(picture)
        else:
            result = predictor.predict([(50, 100)], [1])
            np.testing.assert_array_equal(result.mask, expected.mask)
            assert len(network.embedded) == 2  # embedded again where it goes on
    assert predictor.precision == "bf16" and predictor.has_image


def test_no_memory_anywhere_is_said(predictor, network, picture, monkeypatch):
    def hungry(*args, **kwargs):
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(network, "embed_image", hungry)
    with pytest.raises(OISError, match="smaller input_size"):
        predictor.set_image(picture)
    assert not predictor.has_image


def test_other_errors_of_torch_are_not_hidden(predictor, network, picture, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(network, "embed_image", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        predictor.set_image(picture)


# -- the real network, random weights -----------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 90, 3), (1, 50), (50, 1), (1, 1), (33, 33, 4), (300, 20)])
def test_compact_network_answers_any_size_and_its_corners(shape):
    predictor = compact()
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    predictor.set_image(image)
    rows, columns = shape[:2]
    result = predictor.predict([(rows - 1, columns - 1), (0, 0)], [1, 0])
    assert result.mask.shape == (rows, columns)
    assert np.isfinite(result.probability).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "bool"])
def test_compact_network_answers_any_dtype(dtype):
    predictor = compact()
    rows, columns = np.indices((48, 64))
    disk = ((rows - 24) ** 2 + (columns - 32) ** 2 < 150).astype(dtype)
    predictor.set_image(disk)
    assert np.isfinite(predictor.predict([(24, 32)], [1]).probability).all()


def test_compact_network_takes_channels_and_many_clicks():
    predictor = compact()
    rng = np.random.default_rng(0)
    predictor.set_image(rng.integers(0, 4000, (5, 40, 60)).astype(np.uint16), channel_axis=0)
    points = rng.uniform(0, 39, (60, 2))
    labels = np.arange(60) % 2
    first = predictor.predict(points[:2], labels[:2])
    result = predictor.predict(points, labels, previous=first.state)
    assert np.isfinite(result.probability).all()
    assert result.negative_order_maps.shape == (30, 40, 60)


def test_predictor_equals_the_plain_path():
    """What floor 0 gives in one pass for the same input, resized."""
    predictor = compact()
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    predictor.set_image(image)
    first = predictor.predict([(40, 60)], [1])
    second = predictor.predict([(40, 60), (10, 100)], [1, 0], previous=first.state)
    geometry = Geometry.fit((96, 128), input_size=64, multiple=32)
    plane = resize(to_plane(image), geometry.input_shape)
    tensor = torch.from_numpy(plane).permute(2, 0, 1)[None]
    points = torch.from_numpy(geometry.to_input([(40, 60), (10, 100)]))[None]
    with torch.inference_mode():
        logits = predictor._runner.network(tensor, points[:, :1], torch.tensor([[1]]))
        logits = predictor._runner.network(tensor, points, torch.tensor([[1, 0]]), previous=logits)
    torch.testing.assert_close(second.state.logits, logits, atol=1e-4, rtol=1e-4)


def test_a_small_object_is_looked_at_again_in_a_close_up(network):
    """The fake's disk of radius 10 input pixels: 62 image pixels from afar, 4 times fewer close by."""
    predictor = Predictor.from_network(network, input_size=256, multiple=32, device="cpu", close_up=True)
    image = np.zeros((1600, 1600), np.float32)
    predictor.set_image(image)
    first = predictor.predict([(800, 400)], [1])
    assert len(network.embedded) == 2 and first.view.shape == (250, 250)
    rows, columns = np.nonzero(first.mask)
    assert abs(rows.mean() - 800) < 1 and abs(columns.mean() - 400) < 1
    assert 18 <= np.ptp(rows) <= 22  # 20 input pixels of 250 / 256 image pixels
    assert (first.probability[:600] == 0).all()
    again = predictor.predict([(800, 400), (810, 405)], [1, 1], previous=first.state)
    assert again.view == predictor.predict([(800, 400), (810, 405)], [1, 1], previous=first.state).view
    assert first.view.holds(np.array([[810, 405]], np.float32)).all()


def test_a_click_outside_of_the_close_up_widens_the_view(network):
    predictor = Predictor.from_network(network, input_size=256, multiple=32, device="cpu", close_up=True)
    predictor.set_image(np.zeros((1600, 1600), np.float32))
    first = predictor.predict([(800, 400)], [1])
    both = predictor.predict([(800, 400), (800, 1300)], [1, 1], previous=first.state)
    assert both.view.shape == (1600, 1600)
    assert both.mask[800, 400] and both.mask[800, 1300]
    far_negative = predictor.predict([(800, 400), (100, 100)], [1, 0], previous=first.state)
    assert far_negative.view.shape[0] <= first.view.shape[0]
    assert len(network.points[-1][0]) == 1  # what lies outside says nothing about what is inside


def test_a_first_answer_is_looked_at_again_by_a_network_that_counts_colours(network):
    """The fake's disk fills a 48 pixel input, so that there is no close-up."""
    network.appearance = True
    predictor = Predictor.from_network(network, input_size=48, multiple=16, device="cpu", close_up=True)
    predictor.set_image(np.zeros((48, 48), np.float32))
    first = predictor.predict([(24, 24)], [1])
    assert [before is None for before in network.previous] == [True, False]
    assert len(network.embedded) == 1
    torch.testing.assert_close(first.state.before, network.previous[-1])
    predictor.predict([(24, 24), (30, 24)], [1, 1], previous=first.state)
    assert len(network.previous) == 3  # later clicks are answered once


def test_without_close_ups_the_whole_image_is_seen(network):
    predictor = Predictor.from_network(network, input_size=256, multiple=32, device="cpu")
    predictor.set_image(np.zeros((1600, 1600), np.float32))
    assert predictor.predict([(800, 400)], [1]).view.shape == (1600, 1600)
    assert len(network.embedded) == 1


def test_a_bound_holds_until_a_positive_click_says_otherwise(network):
    """The fake's disk of radius 10 reaches out of a box of half of it."""
    predictor = Predictor.from_network(network, input_size=64, multiple=32, device="cpu", close_up=True)
    predictor.set_image(np.zeros((64, 64), np.float32))
    mask, bound = np.zeros((64, 64), bool), View(10, 10, 54, 32)
    mask[20:44, 20:30] = True
    state = predictor.state_from_mask(mask, bound=bound)
    first = predictor.predict([(32, 30)], [1], previous=state)
    assert first.mask[32, 25] and first.mask[:, :31].any()
    assert not first.mask[:, 33:].any()
    second = predictor.predict([(32, 30), (20, 50)], [1, 0], previous=first.state)
    assert second.state.bound == bound and not second.mask[:, 33:].any()
    np.testing.assert_array_equal(predictor.again(second).mask, second.mask)
    third = predictor.predict([(32, 30), (20, 50), (50, 50)], [1, 0, 1], previous=second.state)
    assert third.state.bound is None and third.mask[:, 33:].any()


@pytest.mark.parametrize("appearance", [False, True])
def test_a_first_answer_to_a_box_is_looked_at_again_and_one_to_a_label_is_not(network, appearance):
    network.appearance = appearance
    predictor = Predictor.from_network(network, input_size=32, multiple=32, device="cpu", close_up=True)
    predictor.set_image(np.zeros((64, 64), np.float32))
    mask = np.zeros((64, 64), bool)
    mask[10:50, 10:50] = True
    boxed = predictor.predict([(32, 30)], [1], previous=predictor.state_from_mask(mask, bound=View(8, 8, 52, 52)))
    assert len(network.previous) == 1 + appearance
    predictor.predict([(32, 30), (20, 40)], [1, 0], previous=boxed.state)
    assert len(network.previous) == 2 + appearance
    predictor.predict([(32, 30)], [1], previous=predictor.state_from_mask(mask))
    assert len(network.previous) == 3 + appearance


def test_a_mask_from_elsewhere_becomes_a_state(network):
    predictor = Predictor.from_network(network, input_size=64, multiple=32, device="cpu", close_up=True)
    predictor.set_image(np.zeros((400, 400), np.float32))
    mask = np.zeros((400, 400), bool)
    mask[100:140, 200:240] = True
    state = predictor.state_from_mask(mask)
    assert state.view.shape == (80, 80) and state.view.holds(np.array([[100, 200], [139, 239]], np.float32)).all()
    assert ((state.logits[0, 0] > 0).sum() - 32 * 32).abs() < 64
    predictor.predict([(120, 220)], [1], previous=state)
    torch.testing.assert_close(network.previous[0], state.logits)
    large = np.ones((400, 400), bool)
    assert predictor.state_from_mask(large).view.shape == (400, 400)
    part = np.ones((40, 40), bool)
    for corner, shape in (((100, 200), (40, 40)), ((-10, 380), (30, 20))):  # what lies beyond the image is cut off
        placed = np.zeros((400, 400), bool)
        placed[max(0, corner[0]) : corner[0] + 40, corner[1] : corner[1] + 40] = True
        assert placed.sum() == shape[0] * shape[1]
        state = predictor.state_from_mask(part, corner=corner)
        torch.testing.assert_close(state.logits, predictor.state_from_mask(placed).logits)
    with pytest.raises(InputError, match="outside of the image"):
        predictor.state_from_mask(part, corner=(500, 0))
    with pytest.raises(InputError, match="shape"):
        predictor.state_from_mask(mask[:50])
    with pytest.raises(InputError, match="empty"):
        predictor.state_from_mask(~large)


def test_half_precision_runs_on_the_cpu_when_asked():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    full, half = compact(), compact(precision="bf16")
    results = []
    for predictor in (full, half):
        predictor.set_image(image)
        results.append(predictor.predict([(20, 30)], [1]))
    assert half.precision == "bf16"
    np.testing.assert_allclose(results[0].probability, results[1].probability, atol=0.1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("precision", "overlap"), [("fp32", 0.999), ("auto", 0.99)])
def test_cuda_agrees_with_the_cpu(precision, overlap):
    """The embedded model, on a picture with objects: random weights give no mask to compare."""
    rng = np.random.default_rng(0)
    image = rng.integers(90, 130, (240, 320, 3), dtype=np.uint8)
    rows, columns = np.indices(image.shape[:2])
    image[(rows - 120) ** 2 + (columns - 160) ** 2 < 60**2] += np.uint8(80)
    image[20:70, 20:90, 0] //= 3
    masks = []
    for options in ({"device": "cpu"}, {"device": "cuda", "precision": precision}):
        predictor = Predictor(**options)
        predictor.set_image(image)
        first = predictor.predict([(120, 160)], [1])
        second = predictor.predict([(120, 160), (40, 50)], [1, 0], previous=first.state)
        masks.append(second.mask)
    assert predictor.device.startswith("cuda")
    assert masks[0].any()
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() >= overlap


def test_a_twin_has_the_same_network_and_an_image_of_its_own(predictor, picture):
    predictor.set_image(picture)
    first = predictor.predict([(50, 100)], [1])
    twin = predictor.twin()
    assert not twin.has_image
    twin.set_image(np.zeros((40, 60), np.uint8))
    assert twin.predict([(20, 30)], [1]).mask.shape == (40, 60)
    np.testing.assert_array_equal(predictor.predict([(50, 100)], [1]).mask, first.mask)
    with pytest.raises(InputError, match="another image"):
        twin.predict([(20, 30)], [1], previous=first)


def test_both_twins_let_go_when_memory_runs_out(predictor, network, picture):
    predictor.set_image(picture)
    twin = predictor.twin()
    twin.set_image(picture)
    forgotten = []
    for one in (predictor, twin):
        one._scene.forget = lambda one=one: forgotten.append(one)
    predictor._runner.fallbacks = [CPU]
    failures = iter([torch.OutOfMemoryError("CUDA out of memory"), None])

    def compute():
        error = next(failures)
        if error is not None:
            raise error
        return 1

    with pytest.warns(RuntimeWarning, match="Out of memory"):
        assert twin._runner.run(compute) == 1
    assert forgotten == [predictor, twin]


def test_work_stops_between_its_parts_and_can_begin_again(predictor, network, picture):
    predictor.set_image(picture)
    decoded = len(network.points)
    for parts in (0, 1):  # before the encoder's turn; between encoder and decoder
        asked = iter([False] * parts + [True])
        predictor.interrupted = lambda asked=asked: next(asked)
        with pytest.raises(Interrupted):
            predictor.predict([(3, 4)], [1])
    assert len(network.points) == decoded
    predictor.interrupted = lambda: False
    assert predictor.predict([(3, 4)], [1]).mask.shape == picture.shape[:2]
    predictor.interrupted = lambda: True
    with pytest.raises(Interrupted):
        predictor.set_image(picture)
    assert not predictor.has_image
