"""Any image becomes the plane that the network sees; coordinates go both ways."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.segmentation.image import Geometry, resize, to_network_image, to_plane


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
    ("shape", "input_size", "multiple", "expected"),
    [
        ((480, 640), 256, 32, (192, 256)),
        ((640, 480), 1022, 14, (1022, 770)),
        ((100, 100), 256, 32, (256, 256)),  # small images are enlarged
        ((1, 500), 256, 32, (32, 256)),
        ((1, 1), 256, 32, (256, 256)),
        ((3000, 20), 2044, 14, (2044, 14)),
        ((50, 50), 1024, 14, (1022, 1022)),  # rounded to a multiple
    ],
)
def test_longest_side_is_the_input_size_and_sides_are_multiples(shape, input_size, multiple, expected):
    assert Geometry.fit(shape, input_size=input_size, multiple=multiple).input_shape == expected


@pytest.mark.parametrize("shape", [(480, 640), (1, 500), (500, 1), (1, 1), (3000, 17), (64, 64)])
def test_corner_clicks_land_inside_and_come_back(shape):
    geometry = Geometry.fit(shape, input_size=256, multiple=32)
    rows, columns = shape
    corners = [(-0.5, -0.5), (0, 0), (rows - 1, columns - 1), (rows - 0.5, columns - 0.5)]
    placed = geometry.to_input(corners)
    assert (placed >= 0).all() and (placed <= np.array(geometry.input_shape) - 1).all()
    back = geometry.to_image(geometry.to_input([(rows - 1, columns - 1)]))
    # Where the input is coarser than the image, the last pixels share an input pixel.
    tolerance = max(1.0, max(np.array(shape) / geometry.input_shape)) / 2 + 1e-4
    np.testing.assert_allclose(back, [(rows - 1, columns - 1)], atol=tolerance)


def test_coordinates_follow_the_resize(rng):
    """A bright blob's centre of mass moves to where to_input says."""
    image = np.zeros((90, 130), dtype=np.float32)
    image[40:47, 70:77] = 1.0
    geometry = Geometry.fit(image.shape, input_size=64, multiple=32)
    small = resize(image, geometry.input_shape)
    rows, columns = np.indices(small.shape)
    centre = [(small * rows).sum() / small.sum(), (small * columns).sum() / small.sum()]
    np.testing.assert_allclose(centre, geometry.to_input([(43, 73)])[0], atol=0.05)
    np.testing.assert_allclose(geometry.to_image([centre])[0], (43, 73), atol=0.1)


def test_shrinking_is_antialiased(rng):
    stripes = np.zeros((256, 256), dtype=np.float32)
    stripes[::2] = 1.0
    small = resize(stripes, (32, 32))
    np.testing.assert_allclose(small[2:-2], 0.5, atol=0.02)


@pytest.mark.parametrize("shape", [(480, 640, 3), (37, 1, 3), (1, 37, 3), (300, 9)])
def test_network_image_of_any_size(shape, rng):
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    plane, geometry = to_network_image(image, input_size=128, multiple=32)
    assert plane.shape == (*geometry.input_shape, 3) and plane.dtype == np.float32
    assert plane.flags.c_contiguous
    assert plane.min() >= 0 and plane.max() <= 1
    assert max(geometry.input_shape) == 128
