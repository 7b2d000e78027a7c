"""Whatever order comes from, it is turned the right way round and says where it is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_ois import checkpoints
from napari_ois.errors import InputError, WeightsError
from napari_ois.segmentation.lazy_order import Nearness
from napari_ois.segmentation.order_sources import Estimated, Given, NoOrder, depth_preset
from napari_ois.segmentation.stack_planes import Interrupted
from napari_ois.segmentation.stack_sources import Focus, Projection, Surface

IMAGE = np.zeros((2, 3), np.uint8)


def test_larger_or_smaller_is_nearer():
    ranges = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 5.0]])
    height = Given(ranges).compute(IMAGE)
    np.testing.assert_allclose(height.depth, (ranges - 1) / 4)
    np.testing.assert_allclose(Given(ranges, nearer="smaller").compute(IMAGE).depth, 1 - height.depth)
    assert height.known.all() and height.image is None


def test_unknown_values_are_marked_and_filled():
    ranges = np.array([[0, 10, 20], [30, 50, 0]], np.uint16)
    found = Given(ranges, nearer="smaller", invalid=0).compute(IMAGE)
    np.testing.assert_array_equal(found.known, ranges > 0)
    np.testing.assert_allclose(found.depth, [[0.625, 1, 0.75], [0.5, 0, 0.625]])
    holes = Given(np.array([[np.nan, 1, 2], [3, np.inf, -np.inf]])).compute(IMAGE)
    np.testing.assert_array_equal(holes.known, [[False, True, True], [True, False, False]])
    np.testing.assert_allclose(holes.depth, [[0.5, 0, 0.5], [1, 0.5, 0.5]])


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (np.zeros((3, 2)), {}, "has shape"),
        (np.zeros((2, 3)), {"invalid": 0}, "no finite value"),
        (np.full((2, 3), "a"), {}, "dtype"),
    ],
)
def test_values_that_do_not_fit_are_refused(values, options, words):
    with pytest.raises(InputError, match=words):
        Given(values, **options).compute(IMAGE)


@pytest.mark.parametrize("unknown", [-3.4028235e38, -999.9])
def test_unknown_is_what_a_file_in_single_precision_says(unknown):
    values = np.array([[unknown, 5.0], [7.0, 9.0]], np.float32)
    found = Given(values, invalid=unknown).compute(np.zeros((2, 2)))
    assert found.known.tolist() == [[False, True], [True, True]]
    assert np.isnan(Nearness(Given(values, invalid=unknown))[:, :]).tolist() == [[True, False], [False, False]]


def test_words_are_checked_at_once():
    with pytest.raises(InputError, match="nearer cannot be 'bigger'"):
        Given(IMAGE, nearer="bigger")


def test_the_motorcycles_disparity_is_a_source():
    from skimage.data import stereo_motorcycle

    left, _, disparity = stereo_motorcycle()
    found = Given(disparity).compute(left)
    assert found.depth.shape == left.shape[:2] and 0.5 < found.known.mean() < 1
    near, far = disparity == disparity[found.known].max(), disparity == disparity[found.known].min()
    assert (found.depth[near] == 1).all() and (found.depth[far] == 0).all()


def test_no_order_is_flat_known_nowhere_and_without_strength():
    source = NoOrder(channel_axis=0)
    found = source.compute(np.zeros((4, 2, 3)))
    assert found.depth.shape == (2, 3) and not found.depth.any() and not found.known.any()
    assert source.order_strength == 0


def test_the_segmenting_model_estimates_by_itself():
    found = Estimated().compute(IMAGE)
    assert found.depth is None and found.known.shape == (2, 3)


def test_another_model_estimates(network, monkeypatch):
    """The fake network's depth is the red channel."""
    asked = []

    def load_model(name):
        asked.append(name)
        return network, SimpleNamespace(preset="ois-vits", available=False, note="no weights for masks")

    monkeypatch.setattr(checkpoints, "load_model", load_model, raising=False)
    red = np.tile(np.arange(56, dtype=np.uint8), (42, 1))
    image = np.stack([red, red * 0, red * 0], axis=-1)
    source = Estimated("depth-anything/Depth-Anything-V2-Small-hf", device="cpu", input_size=56)
    found = source.compute(image)
    assert asked == ["ois-vits"] and source.model in source.statement
    np.testing.assert_allclose(found.depth, red / 55, atol=1e-5)


def test_a_model_that_is_not_there_is_named():
    with pytest.raises(WeightsError, match="nosuch"):
        Estimated("nosuch", device="cpu").compute(IMAGE)


def test_every_repository_has_a_preset():
    sizes = [f"depth-anything/Depth-Anything-V2-{size}-hf" for size in ("Small", "Base", "Large")]
    assert [depth_preset(name) for name in sizes] == ["ois-vits", "ois-vitb", "ois-vitl"]


@pytest.mark.parametrize("source", [Estimated(), Given(IMAGE), NoOrder()])
def test_single_images_count_one_step_and_stop(source):
    said = []
    source.compute(IMAGE, progress=lambda *step: said.append(step))
    if not isinstance(source, NoOrder):
        assert said == [(1, 1)]
        with pytest.raises(Interrupted):
            source.compute(IMAGE, interrupted=lambda: True)


SOURCES = (Estimated(), Estimated("ois-vits"), Given(IMAGE), NoOrder(), Focus(), Projection(), Surface())


def test_each_says_in_one_sentence_what_it_means():
    said = {source.statement for source in (*SOURCES, Projection(extreme="min"), Surface(threshold=3))}
    assert len(said) == 9
    assert all(text.endswith(".") and text.count(". ") == 0 for text in said)


def test_names_and_kinds():
    assert [s.name for s in SOURCES] == ["estimated", "estimated", "given", "none", "focus", "max", "surface"]
    assert [s.needs_stack for s in SOURCES] == [False] * 4 + [True] * 3
    assert [s.order_strength for s in SOURCES] == [1, 1, 1, 0, 1, 1, 1]
