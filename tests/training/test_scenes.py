"""Scenes are reproducible, well formed, and their depth agrees with what hides what."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from napari_ois.errors import InputError
from napari_ois.training.scene_canvas import Canvas, renumber
from napari_ois.training.scenes import KINDS, load_cache, make_scene, write_cache


@pytest.mark.parametrize("kind", KINDS)
def test_scene_repeats_for_one_generator_state(kind):
    first = make_scene(np.random.default_rng(4), 96, kind=kind)
    second = make_scene(np.random.default_rng(4), 96, kind=kind)
    other = make_scene(np.random.default_rng(5), 96, kind=kind)
    for name in ("rgb", "ids", "depth"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert not np.array_equal(first.rgb, other.rgb)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_scene_is_well_formed(kind, seed):
    size = 128
    scene = make_scene(np.random.default_rng(seed), size, kind=kind)
    assert scene.kind == kind
    assert (scene.rgb.dtype, scene.rgb.shape) == (np.uint8, (size, size, 3))
    assert (scene.ids.dtype, scene.ids.shape) == (np.int16, (size, size))
    assert (scene.depth.dtype, scene.depth.shape) == (np.float16, (size, size))
    assert np.isfinite(scene.depth).all()
    assert scene.depth.min() >= 0
    assert scene.depth.max() <= 1
    counts = np.bincount(scene.ids.ravel())
    assert len(counts) > 1  # consecutive numbers, none of them too small to be clicked
    assert counts[1:].min() >= round(60 * (size / 256) ** 2)


def test_all_kinds_come_up():
    rng = np.random.default_rng(0)
    assert {make_scene(rng, 64).kind for _ in range(40)} == set(KINDS)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_painted_over_is_farther(seed, monkeypatch):
    layers = []
    paint = Canvas.paint

    def spy(canvas, alpha, rgb, depth, row, column, number):
        before = canvas.depth.copy()
        paint(canvas, alpha, rgb, depth, row, column, number)
        layers.append((number, before, canvas.depth.copy(), canvas.ids == number))

    monkeypatch.setattr(Canvas, "paint", spy)
    scene = make_scene(np.random.default_rng(seed), 128, kind="photo")
    middles = []
    for _, before, after, mine in layers:
        assert (after[mine] >= before[mine]).all()
        if mine.any():
            middles.append(float(np.median(after[mine])))
    assert len(middles) >= 2
    assert (np.diff(middles) > 0).all()  # painted from far to near
    np.testing.assert_array_equal(scene.depth, np.clip(layers[-1][2], 0, 1).astype(np.float16))


def test_a_far_layer_stays_behind_a_near_one():
    canvas = Canvas(np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.float32))
    whole, white = np.ones((6, 6), np.float32), np.ones((6, 6, 3), np.float32)
    canvas.paint(whole, white, np.full((6, 6), 0.8, np.float32), 0, 0, 1)
    canvas.paint(whole, 0.5 * white, np.full((6, 6), 0.4, np.float32), 2, 2, 2)
    assert canvas.ids[3, 3] == 1
    assert canvas.ids[7, 7] == 2
    assert canvas.depth[3, 3] == np.float32(0.8)
    assert canvas.rgb[3, 3, 0] == 1


def test_renumber_drops_small_objects():
    ids = np.array([[0, 3, 3], [7, 9, 9]])
    np.testing.assert_array_equal(renumber(ids, 2), [[0, 1, 1], [0, 2, 2]])


def test_photographs_are_used_as_textures():
    photographs = [np.full((80, 90, 3), 128, np.uint8)]
    plain = make_scene(np.random.default_rng(3), 96, kind="photo")
    textured = make_scene(np.random.default_rng(3), 96, photographs, kind="photo")
    assert not np.array_equal(plain.rgb, textured.rgb)


@pytest.mark.parametrize("workers", [1, 2])
def test_cache_holds_the_scenes_of_its_seed(tmp_path, workers):
    write_cache(tmp_path / "cache", 4, size=64, seed=11, workers=workers, progress=False)
    cache = load_cache(tmp_path / "cache")
    assert len(cache) == 4
    assert cache.ids.dtype == np.uint8
    assert cache.depth.dtype == np.uint16
    for index in range(4):
        scene = make_scene(np.random.default_rng([11, index]), 64)
        stored = cache.scene(index)
        assert stored.kind == scene.kind
        np.testing.assert_array_equal(stored.rgb, scene.rgb)
        np.testing.assert_array_equal(stored.ids, scene.ids)
        np.testing.assert_allclose(stored.depth, scene.depth, atol=1e-3)


def test_unusable_arguments_are_refused(tmp_path):
    with pytest.raises(InputError, match="kind"):
        make_scene(np.random.default_rng(0), kind="cartoon")
    with pytest.raises(InputError, match="too small"):
        make_scene(np.random.default_rng(0), 16)
    with pytest.raises(InputError, match="at least one"):
        write_cache(tmp_path, 0)
    with pytest.raises(InputError, match="missing"):
        load_cache(tmp_path / "nothing")
