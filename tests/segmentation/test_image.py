"""What is looked at is resized once; coordinates go both ways."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.segmentation.image import Geometry, resize


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


def test_coordinates_follow_the_resize():
    """A bright blob's centre of mass moves to where to_input says."""
    image = np.zeros((90, 130), dtype=np.float32)
    image[40:47, 70:77] = 1.0
    geometry = Geometry.fit(image.shape, input_size=64, multiple=32)
    small = resize(image, geometry.input_shape)
    rows, columns = np.indices(small.shape)
    centre = [(small * rows).sum() / small.sum(), (small * columns).sum() / small.sum()]
    np.testing.assert_allclose(centre, geometry.to_input([(43, 73)])[0], atol=0.05)
    np.testing.assert_allclose(geometry.to_image([centre])[0], (43, 73), atol=0.1)


def test_shrinking_is_antialiased():
    stripes = np.zeros((256, 256), dtype=np.float32)
    stripes[::2] = 1.0
    small = resize(stripes, (32, 32))
    np.testing.assert_allclose(small[2:-2], 0.5, atol=0.02)


def test_one_plane_seen_three_times_is_resized_as_three_planes_are():
    grey = np.random.default_rng(0).random((90, 130)).astype(np.float32)
    seen = np.broadcast_to(grey[..., None], (90, 130, 3))
    for shape in ((64, 32), (90, 130), (120, 160)):
        np.testing.assert_allclose(resize(seen, shape), resize(seen.copy(), shape), rtol=0, atol=1e-6)
