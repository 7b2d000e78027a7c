"""Any image becomes colours between 0 and 1, and a part of it has the same colours as the whole."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.segmentation import colour
from napari_ois.segmentation.colour import Picture, stretched, to_plane


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_uint8_rgb_stays_as_it_is_and_alpha_is_dropped(rng):
    image = rng.integers(0, 100, (6, 7, 4), dtype=np.uint8)
    plane = to_plane(image)
    assert plane.dtype == np.float32
    np.testing.assert_allclose(plane, image[..., :3] / 255, atol=1e-7)


def test_float_rgb_in_unit_range_equals_the_same_image_in_uint8(rng):
    image = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    np.testing.assert_allclose(to_plane(image / 255.0), to_plane(image), atol=1e-6)


def test_rgb_of_another_kind_shares_one_range_so_hue_stays():
    image = np.zeros((4, 4, 3), dtype=np.uint16)
    image[:2, :, 0], image[:2, :, 1] = 4000, 2000
    plane = to_plane(image)
    np.testing.assert_allclose(plane[0, 0], [1.0, 0.5, 0.0], atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "uint64", "float16", "float32", "float64"])
def test_grey_of_any_dtype_fills_the_range(dtype):
    ramp = np.linspace(10, 110, 400).reshape(20, 20).astype(dtype)
    plane = to_plane(ramp)
    assert plane.shape == (20, 20, 3)
    assert plane.min() == 0.0 and plane.max() == 1.0
    np.testing.assert_array_equal(plane[..., 0], plane[..., 2])
    assert abs(plane[..., 0].mean() - 0.5) < 0.02


def test_offset_in_large_integers_is_not_lost():
    ramp = (2**31 - 500 + np.arange(400)).astype(np.int64).reshape(20, 20)
    assert len(np.unique(to_plane(ramp))) > 390


def test_hot_pixel_does_not_darken_the_rest():
    ramp = np.linspace(0, 100, 10_000).reshape(100, 100)
    ramp[3, 3] = 1e9
    assert abs(to_plane(ramp).mean() - 0.5) < 0.02


def test_small_object_on_an_empty_background_does_not_vanish():
    image = np.zeros((200, 200), dtype=np.uint16)
    image[5, 5] = 700
    plane = to_plane(image)
    assert plane[5, 5, 0] == 1.0 and plane.sum() == 3.0


@pytest.mark.parametrize("step", [1, 3, 4, 6])
def test_contrast_of_a_large_image_is_that_of_all_its_colours(monkeypatch, step):
    image = np.zeros((30, 40, 3), np.uint16)
    image[..., 0], image[..., 2] = np.arange(100, 140), np.linspace(0, 1000, 30)[:, None]
    monkeypatch.setattr(colour, "PERCENTILE_SAMPLES", image.size // step)
    for percentiles in (colour.PERCENTILES, (5.0, 99.0)):
        low, high = colour.contrast(image, percentiles)
        assert low == 0 and high > 900


@pytest.mark.parametrize("value", [0, 7, -3.5])
def test_constant_image_is_zero(value):
    assert not to_plane(np.full((5, 6), value)).any()


def test_bool_is_black_and_white():
    image = np.eye(4, dtype=bool)
    np.testing.assert_array_equal(to_plane(image)[..., 1], image.astype(np.float32))


def test_nan_and_infinite_values_are_kept_out_of_the_range():
    image = np.linspace(0, 1, 400).reshape(20, 20)
    image[0, 0], image[0, 1], image[0, 2] = np.nan, np.inf, -np.inf
    plane = to_plane(image)
    assert np.isfinite(plane).all()
    assert plane[0, :3, 0].tolist() == [0.0, 1.0, 0.0]
    assert abs(plane.mean() - 0.5) < 0.02


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [[1, 1, 1]]),
        (2, [[1, 0, 0], [0, 1, 0]]),
        (3, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        (4, [[1, 0, 0], [0.5, 1, 0], [0, 1, 1], [0.5, 0, 1]]),
    ],
)
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_channels_are_composed(count, expected, axis):
    channels = np.zeros((count, 4, 8), dtype=np.uint16)
    for index in range(count):
        channels[index, :, index] = 100 * (index + 1)  # each with its own range
    plane = to_plane(np.moveaxis(channels, 0, axis), channel_axis=axis)
    assert plane.shape == (4, 8, 3)
    for index in range(count):
        np.testing.assert_allclose(plane[0, index], expected[index], atol=1e-6)


@pytest.mark.parametrize(
    ("image", "axis", "words"),
    [
        (np.zeros((5, 6, 7)), None, "channel_axis"),
        (np.zeros((2, 5, 6, 3)), None, "plane"),
        (np.zeros(5), None, "plane"),
        (np.zeros((0, 6)), None, "empty"),
        (np.zeros((5, 6), dtype=object), None, "dtype object"),
        (np.zeros((5, 6), dtype=complex), None, "dtype complex128"),
        (np.full((5, 6), np.nan), None, "no finite value"),
        (np.zeros((5, 6)), 0, "needs a 3D image"),
        (np.zeros((5, 6, 7)), 3, "out of range"),
        ([[1, 2], [3]], None, "regular array"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(image, axis, words):
    with pytest.raises(InputError, match=words) as caught:
        to_plane(image, axis)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "dtype", "axis"),
    [((40, 50), np.uint16, None), ((40, 50, 3), np.uint8, None), ((5, 40, 50), np.float32, 0), ((40, 50, 2), bool, 2)],
)
def test_a_part_has_the_colours_that_it_has_in_the_whole(shape, dtype, axis, rng):
    image = (rng.random(shape) * 200).astype(dtype)
    picture = Picture.of(image, axis)
    assert picture.shape == (40, 50)
    part = picture.plane(slice(10, 30), slice(5, 20))
    np.testing.assert_array_equal(part, to_plane(image, axis)[10:30, 5:20])


def test_an_image_is_referred_to_and_not_copied():
    image = np.zeros((20, 20, 3), np.uint8)
    assert np.shares_memory(Picture.of(image).array, image)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_many_integers_are_stretched_as_few_are(dtype):
    limits = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(limits.min, limits.max + 1, (300, 300)).astype(dtype)
    values[0, :2] = limits.min, limits.max
    ends = (limits.min + 11.5, limits.max * 0.8)
    rows = np.stack([stretched(row, ends) for row in values])
    np.testing.assert_array_equal(stretched(values, ends), rows)
    assert rows.min() == 0
    assert rows.max() == 1


def test_what_is_no_number_is_no_number_of_the_network_where_the_overview_did_not_see_it():
    image = np.full((8, 8, 3), 0.5, np.float32)
    image[2, 3], image[4, 5], image[6, 7] = np.nan, np.inf, -np.inf
    seen = Picture(image, None, False).plane()
    assert np.isfinite(seen).all() and seen.min() >= 0 and seen.max() <= 1
    assert (seen[2, 3].max(), seen[4, 5].min(), seen[6, 7].max()) == (0, 1, 0)
