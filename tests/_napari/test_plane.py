"""A plane reads only itself, and what it lifts lies on the image in the world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_ois._napari.plane import Plane, displayed_plane, same_place
from napari_ois.errors import InputError

SKEW = {
    "scale": (4.0, 0.5, 2.0),
    "translate": (10.0, -3.0, 7.0),
    "rotate": 20.0,
    "shear": [0.0, 0.0, 0.3],
    "affine": np.array([[1, 0, 0, 5.0], [0, 0.9, 0.2, -1], [0, -0.1, 1.1, 2], [0, 0, 0, 1]]),
    "units": ("um", "um", "um"),
    "axis_labels": ("z", "y", "x"),
}


def shown(data: Any, order: tuple[int, ...] | None = None, **kwargs: Any) -> tuple[Any, Image]:
    viewer = ViewerModel()
    image = viewer.add_image(data, **kwargs)
    if order is not None:
        viewer.dims.order = order
    return viewer, image


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1)])
def test_the_plane_is_what_the_viewer_shows(order: tuple[int, ...]) -> None:
    data = np.random.default_rng(0).random((5, 6, 7))
    viewer, image = shown(data, order)
    hidden = order[0]
    viewer.dims.set_current_step(hidden, 3)
    plane = displayed_plane(viewer, image)
    seen = np.take(data, 3, axis=hidden)
    if order[1] > order[2]:
        seen = seen.T
    np.testing.assert_array_equal(plane.view(data), seen)
    np.testing.assert_array_equal(plane.lower(plane.lift(seen)), seen)
    assert plane.lift(seen).shape[hidden] == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 2, 1)])
def test_lifted_pixels_lie_on_the_image_s_pixels(order: tuple[int, ...]) -> None:
    data = np.zeros((5, 6, 7))
    geometry = SKEW if order == (0, 1, 2) else {**SKEW, "rotate": 0.0, "shear": [0.0, 0.0, 0.0]}
    viewer, image = shown(data, order, **geometry)
    plane = displayed_plane(viewer, image)
    layer = Labels(plane.lift(np.zeros(plane.shape, np.uint8)), **plane.geometry(image))
    row, column = 4, 2
    whole = np.array(plane.lift_indices(np.array([row]), np.array([column]), whole=True)).ravel()
    own = plane.lift_points([[row, column]])[0]
    np.testing.assert_allclose(layer.data_to_world(own), image.data_to_world(whole))
    assert layer.units == image.units
    assert layer.axis_labels == image.axis_labels


def test_a_world_click_lands_on_its_pixel() -> None:
    viewer, image = shown(np.zeros((5, 40, 50)), **SKEW)
    viewer.dims.set_current_step(0, 3)
    plane = displayed_plane(viewer, image)
    layer = Labels(plane.lift(np.zeros(plane.shape, np.uint8)), **plane.geometry(image))
    world = image.data_to_world((plane.index[0], 12, 33))
    points, inside = plane.points([layer.world_to_data(world)])
    np.testing.assert_allclose(points, [[12, 33]], atol=1e-6)
    assert inside.all()


def test_points_off_the_plane_are_told() -> None:
    plane = Plane((6, 7), (1, 2), (3, 0, 0))
    data = [[0, -0.5, 6.5], [0, -0.6, 0], [0, 0, 6.6], [1, 2, 2]]
    assert plane.points(data)[1].tolist() == [True, False, False, False]


def test_only_the_plane_of_a_lazy_array_is_computed() -> None:
    da = pytest.importorskip("dask.array")
    touched: list[Any] = []

    def block(block_info: Any = None) -> np.ndarray:
        touched.append(block_info[None]["chunk-location"])
        return np.full((1, 6, 7), block_info[None]["chunk-location"][0], float)

    data = da.map_blocks(block, chunks=((1,) * 5, (6,), (7,)), dtype=float)
    plane = Plane((6, 7), (1, 2), (3, 0, 0))
    cut = plane.view(data)
    touched.clear()
    assert (np.asarray(cut) == 3).all()
    assert touched == [(3, 0, 0)]


def test_an_array_that_is_read_by_cutting_is_not_cut() -> None:
    class Remote:
        shape, dtype, ndim = (5, 6, 7), np.dtype(float), 3

        def __getitem__(self, key: Any) -> np.ndarray:
            read.append(key)
            return np.arange(210.0).reshape(5, 6, 7)[key]

    read: list[Any] = []
    for axes in ((1, 2), (2, 1)):
        shape = (6, 7) if axes == (1, 2) else (7, 6)
        cut = Plane(shape, axes, (3, 0, 0)).view(Remote())
        assert not read
        expected = np.arange(210.0).reshape(5, 6, 7)[3]
        np.testing.assert_array_equal(np.asarray(cut), expected if axes == (1, 2) else expected.T)
        read.clear()


def test_colour_goes_along() -> None:
    data = np.random.default_rng(0).integers(0, 255, (4, 6, 7, 3), dtype=np.uint8)
    viewer, image = shown(data, rgb=True)
    viewer.dims.set_current_step(0, 2)
    plane = displayed_plane(viewer, image)
    np.testing.assert_array_equal(plane.view(data), data[2])


def test_what_has_no_plane_is_refused_in_a_sentence() -> None:
    viewer, image = shown(np.zeros((5, 6, 7)))
    viewer.add_image(np.zeros((9, 5, 6, 7)))
    viewer.dims.order = (1, 2, 0, 3)
    with pytest.raises(InputError, match="does not have"):
        displayed_plane(viewer, image)
    viewer.dims.order = (0, 1, 2, 3)
    viewer.dims.ndisplay = 3
    with pytest.raises(InputError, match="2D view"):
        displayed_plane(viewer, image)


def test_a_view_beside_the_image_is_refused() -> None:
    viewer, image = shown(np.zeros((5, 6, 7)))
    viewer.add_image(np.zeros((9, 6, 7)))
    viewer.dims.set_current_step(0, 8)
    with pytest.raises(InputError, match="outside"):
        displayed_plane(viewer, image)


def test_places_are_compared_in_the_world() -> None:
    one = Labels(np.zeros((4, 5), np.uint8), scale=(2, 3))
    assert same_place(one, Labels(np.zeros((4, 5), np.uint8), scale=(2, 3)))
    assert not same_place(one, Labels(np.zeros((4, 5), np.uint8)))
    assert not same_place(one, Labels(np.zeros((4, 5, 6), np.uint8)))
