"""Depth found in made stacks is the depth that they were made with, along any axis, one plane at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_ois.errors import InputError
from napari_ois.segmentation.stack_planes import Interrupted
from napari_ois.segmentation.stack_sources import Focus, Projection, Surface

PLANES, ROWS, COLUMNS = 12, 48, 56


@pytest.fixture(scope="module")
def truth():
    """A hill: plane of the surface, (H, W), between the first and the last."""
    rows, columns = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    return 2 + (PLANES - 5) * np.exp(-2 * (rows**2 + columns**2)) + rows


@pytest.fixture(scope="module")
def focal_stack(truth):
    """A textured surface, blurred by its distance from each plane."""
    texture = 100 + 40 * np.random.default_rng(1).standard_normal((ROWS, COLUMNS))
    widths = np.linspace(0, 8, 33)
    blurred = np.stack([ndimage.gaussian_filter(texture, width) for width in widths])
    away = np.abs(np.arange(PLANES)[:, None, None] - truth)
    level = np.rint(away / widths[1]).astype(int).clip(0, 32)
    return np.take_along_axis(blurred, level, axis=0).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def fluorescent(truth):
    """A glowing sheet with noise; nothing glows in the left eighth."""
    planes = np.arange(PLANES)[:, None, None]
    light = 150 * np.exp(-0.5 * ((planes - truth) / 1.2) ** 2) + 10
    light[:, :, : COLUMNS // 8] = 10
    return (light + np.random.default_rng(2).normal(0, 5, light.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def solid(truth):
    """Matter from the surface on to the last plane, with noise; a hole in the left eighth."""
    matter = 1000 * (np.arange(PLANES)[:, None, None] - truth + 0.5).clip(0, 1)
    matter[:, :, : COLUMNS // 8] = 0
    return (matter + np.random.default_rng(3).normal(0, 60, matter.shape)).astype(np.float32)


def correlation(found, truth):
    """Of what is known, with the plane of the surface; near is small there."""
    return -np.corrcoef(found.depth[found.known], truth[found.known])[0, 1]


def laid_along(axis, stack):
    return np.moveaxis(stack, 0, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_focus_finds_the_hill(focal_stack, truth, axis):
    spacing = list(np.insert([1.0, 1.0], axis, 2.5))
    found = Focus(axis=axis, spacing=spacing).compute(laid_along(axis, focal_stack))
    assert found.depth.dtype == np.float32 and (found.depth.min(), found.depth.max()) == (0, 1)
    assert found.known.mean() > 0.9
    assert correlation(found, truth) > 0.97
    assert np.abs(found.position / 2.5 - truth)[found.known].mean() < 0.35


def test_all_in_focus_is_sharper_than_any_plane(focal_stack):
    image = Focus().compute(focal_stack).image
    assert image.dtype == np.uint8 and image.shape == (ROWS, COLUMNS)
    detail = [np.abs(ndimage.laplace(plane.astype(float))).mean() for plane in focal_stack]
    assert np.abs(ndimage.laplace(image.astype(float))).mean() > 1.5 * max(detail)


def test_smooth_places_are_unknown_to_focus_and_filled(focal_stack):
    stack = focal_stack.astype(np.float32)
    stack[:, 10:38, 14:42] = 100
    stack += np.random.default_rng(4).normal(0, 2, stack.shape)  # as any camera has
    found = Focus().compute(stack)
    assert not found.known[22:26, 26:30].any() and found.known[:7].mean() > 0.9
    assert np.isnan(found.position[24, 28]) and np.isfinite(found.depth).all()
    rim = found.depth[found.known]
    assert rim.min() <= found.depth[24, 28] <= rim.max()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_maximum_projection_finds_the_hill(fluorescent, truth, axis):
    stack = laid_along(axis, fluorescent)
    found = Projection(axis=axis).compute(stack)
    assert correlation(found, truth) > 0.97
    np.testing.assert_array_equal(found.image, stack.max(axis=axis))
    dark = np.s_[:, : COLUMNS // 8 - 3]
    assert not found.known[dark].any() and found.known[:, COLUMNS // 8 + 3 :].all()
    assert not found.depth[dark].any()  # behind all else


def test_minimum_projection_is_the_maximum_of_the_negative(fluorescent):
    bright, dark = Projection().compute(fluorescent), Projection(extreme="min").compute(255 - fluorescent)
    np.testing.assert_allclose(dark.depth, bright.depth, atol=1e-6)
    np.testing.assert_array_equal(dark.known, bright.known)
    np.testing.assert_array_equal(dark.image, 255 - bright.image)


def test_the_users_threshold_says_what_is_signal(fluorescent):
    assert Projection(threshold=0).compute(fluorescent).known.all()
    assert Projection(extreme="min", threshold=255).compute(fluorescent).known.all()
    few = Projection(threshold=140).compute(fluorescent).known
    assert 0 < few.mean() < Projection().compute(fluorescent).known.mean()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("first", ["near", "far"])
def test_surface_finds_the_hill(solid, truth, axis, first):
    stack = solid if first == "near" else solid[::-1]
    found = Surface(axis=axis, first=first).compute(laid_along(axis, stack))
    assert correlation(found, truth) > 0.97
    assert not found.known[:, : COLUMNS // 8 - 3].any() and found.known[:, COLUMNS // 8 + 3 :].all()
    where = found.position if first == "near" else PLANES - 1 - found.position
    assert np.abs(where - truth)[:, COLUMNS // 8 + 3 :].mean() < 0.2  # between the planes


def test_a_surface_lies_between_planes(truth):
    ramp = 100 * (np.arange(PLANES)[:, None, None] - truth)
    found = Surface(threshold=40, smoothing=0, median=1, spacing=(3, 1, 1)).compute(ramp)
    np.testing.assert_allclose(found.position, 3 * (truth + 0.4), atol=1e-4)
    turned = Surface(threshold=-40, smoothing=0, median=1, first="far").compute(-ramp)
    np.testing.assert_allclose(turned.position, truth + 0.4, atol=1e-4)


def test_the_relief_shows_slopes_in_physical_units():
    planes, columns = np.arange(20)[:, None, None], np.arange(32)[None, None, :]
    stack = np.broadcast_to(planes - 2 - columns / 4, (20, 16, 32))
    found = Surface(threshold=0.5, smoothing=0, median=1, spacing=(4, 1, 1)).compute(stack)
    np.testing.assert_allclose(found.image, np.sqrt(0.5), atol=1e-6)  # one down for one across


def test_smoothing_keeps_apart_what_lies_far_apart_in_space():
    """Along axis 1 the rows are slices 5 apart: each has its own depth, and pixels' smoothing would mix them."""
    slices = np.where(np.arange(8) % 2, 3, 9)
    stack = np.zeros((8, 12, 40))
    stack[np.arange(8), slices] = 100
    true = np.repeat(slices[:, None], 40, axis=1)
    options = {"axis": 1, "smoothing": 1.5, "median": 1}
    assert correlation(Projection(spacing=(5, 1, 1), **options).compute(stack), true) > 0.99
    assert not correlation(Projection(**options).compute(stack), true) > 0.95


def test_the_first_plane_may_be_the_farthest(fluorescent):
    near, far = (Projection(first=first, threshold=0).compute(fluorescent) for first in ("near", "far"))
    np.testing.assert_allclose(near.depth, 1 - far.depth, atol=1e-6)
    np.testing.assert_array_equal(near.position, far.position)
    assert "nearest" in Projection().statement and "farthest" in Projection(first="far").statement


@pytest.mark.parametrize("source", [Focus(), Projection(), Surface()])
def test_colour_is_kept_and_its_mean_decides(source, focal_stack, fluorescent, solid):
    stack = {"focus": focal_stack, "max": fluorescent, "surface": solid}[source.name]
    found = source.compute(np.repeat(stack[..., None], 3, axis=3))
    grey = source.compute(stack)
    np.testing.assert_allclose(found.depth, grey.depth, atol=1e-3)
    expected = grey.image if source.name == "surface" else np.repeat(grey.image[..., None], 3, axis=2)
    np.testing.assert_allclose(found.image, expected, atol=1e-3)


def test_nan_is_never_the_brightest(fluorescent):
    stack = fluorescent.astype(np.float32)
    stack[3, 10:20] = np.nan
    stack[:, 0, 0] = np.nan
    found = Projection().compute(stack)
    assert not found.known[0, 0] and found.known[:, COLUMNS // 8 + 3 :].all()
    assert np.isfinite(found.depth).all() and np.isfinite(found.image[10:20]).all()


class OneByOne:
    """Holds a stack that cannot be had as a whole, and counts the planes that are read."""

    def __init__(self, stack, axis):
        self._stack, self._axis = stack, axis
        self.shape, self.dtype = stack.shape, stack.dtype
        self.read = []

    def __array__(self, *args, **kwargs):
        raise AssertionError("the whole stack was read")

    def __getitem__(self, key):
        assert len(key) == self._axis + 1 and isinstance(key[self._axis], int)
        self.read.append(key[self._axis])
        return self._stack[key]


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize(
    ("source", "order"),
    [
        (Focus, [*range(PLANES)] * 2),
        (Projection, [*range(PLANES)]),
        (Surface, [*range(PLANES)] * 2),
    ],
)
def test_planes_are_read_one_by_one(source, order, axis, focal_stack, fluorescent, solid):
    stack = {Focus: focal_stack, Projection: fluorescent, Surface: solid}[source]
    lazy, said = OneByOne(laid_along(axis, stack), axis), []
    found = source(axis=axis).compute(lazy, progress=lambda *step: said.append(step))
    assert lazy.read == order
    assert said == [(done, len(order)) for done in range(1, len(order) + 1)]
    np.testing.assert_array_equal(found.depth, source(axis=axis).compute(laid_along(axis, stack)).depth)


def test_a_surface_that_is_met_everywhere_ends_the_reading(solid):
    lazy = OneByOne(solid + 2000 * (np.arange(PLANES) >= 4)[:, None, None], 0)
    assert Surface(threshold=500).compute(lazy).known.all()
    assert lazy.read == [0, 1, 2, 3, 4]


def test_dask_gives_the_same(fluorescent):
    dask = pytest.importorskip("dask.array", reason="dask comes with the viewer")
    lazy = dask.from_array(fluorescent, chunks=(1, 24, 24))
    np.testing.assert_array_equal(Projection().compute(lazy).depth, Projection().compute(fluorescent).depth)


@pytest.mark.parametrize("source", [Focus(), Projection(), Surface()])
def test_it_stops_when_told(source, fluorescent):
    lazy = OneByOne(fluorescent, 0)
    with pytest.raises(Interrupted):
        source.compute(lazy, interrupted=lambda: len(lazy.read) == 5)
    assert len(lazy.read) == 5


@pytest.mark.parametrize("first", ["near", "far"])
def test_the_network_sees_the_map_as_it_is_shown(fluorescent, first):
    from napari_ois.segmentation.depth import prepare_depth

    depth = Projection(first=first).compute(fluorescent).depth
    np.testing.assert_array_equal(prepare_depth(depth, depth.shape), depth)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Focus(), "no depth"),
        (Projection(), "stands out"),
        (Projection(extreme="min"), "stands out"),
        (Projection(threshold=200), "at or above the threshold 200"),
        (Projection(extreme="min", threshold=5), "at or below the threshold 5"),
        (Surface(), "same value"),
        (Surface(threshold=200), "at or above the threshold 200"),
    ],
)
def test_a_stack_without_depth_is_refused(source, words):
    with pytest.raises(InputError, match=words):
        source.compute(np.full((4, 16, 16), 7, np.uint8))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Focus(first="left"), "first cannot be 'left'"),
        (lambda: Projection(extreme="mean"), "extreme cannot be"),
        (lambda: Projection(smoothing=-1), "smoothing"),
        (lambda: Focus(window=0), "window"),
        (lambda: Surface(median=0), "median"),
    ],
)
def test_bad_options_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
