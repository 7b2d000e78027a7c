"""Wherever an image lies in the world, a click lands on its pixel, and the mask and the labels lie on the object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

TURN = np.array([[0.9, 0.2, -1.0], [-0.1, 1.1, 2.0], [0.0, 0.0, 1.0]])
PLACED = {
    "as it is": {},
    "scale": {"scale": (0.5, 2.0)},
    "translate": {"translate": (-30.0, 7.5)},
    "rotate": {"rotate": 25.0},
    "shear": {"shear": [0.4]},
    "affine": {"affine": TURN},
    "units": {"scale": (0.2, 0.3), "units": ("um", "um"), "axis_labels": ("y", "x")},
    "all": {"scale": (0.5, 2.0), "translate": (4.0, -9.0), "rotate": -15.0, "shear": [0.2], "affine": TURN},
}
ROW, COLUMN = 17, 31
"""The pixel that is clicked on."""
RADIUS = 5.7
"""No pixel is just as far from another, so that rounding does not count."""
DISC = sum(row**2 + column**2 <= RADIUS**2 for row in range(-6, 7) for column in range(-6, 7))


@pytest.fixture(autouse=True)
def disc(fake: Any) -> None:
    fake.radius = RADIUS


def stack(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def click_there(viewer: Any, widget: Any, image: Any, qtbot: Any, axes: tuple[int, int]) -> tuple[Any, Any]:
    """Click in the world where the pixel lies, and accept; the pixel in data of the image, and the session."""
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    session = widget.session
    place = np.array(session.plane.index, float)
    place[list(axes)] = ROW, COLUMN
    world = np.asarray(image.data_to_world(place))
    clicks = session.layers.clicks
    with qtbot.waitSignal(widget.answered):
        clicks.add(np.asarray(clicks.world_to_data(world)))
    return place, session


def lies_at(layer: Any, image: Any, place: np.ndarray) -> None:
    """What a labels layer shows lies around a pixel of the image, in the world."""
    found = np.argwhere(np.asarray(layer.data))
    assert len(found) == DISC
    here = np.array([image.world_to_data(layer.data_to_world(pixel)) for pixel in found])
    np.testing.assert_allclose(here.mean(axis=0), place, atol=1e-6)
    assert (np.linalg.norm(here - place, axis=1) <= RADIUS).all()


@pytest.mark.parametrize("placed", PLACED)
def test_each_transform(viewer, make, qtbot, placed: str) -> None:
    image = viewer.add_image(stack(40, 50), name="scan", **PLACED[placed])
    widget = make()
    place, session = click_there(viewer, widget, image, qtbot, (0, 1))
    np.testing.assert_allclose(session.clicks.points, [[ROW, COLUMN]], atol=1e-5)
    lies_at(session.layers.preview, image, place)
    widget.accept()
    labels = viewer.layers["scan objects"]
    assert labels.data.shape == (40, 50) and labels.data[ROW, COLUMN] == 1
    lies_at(labels, image, place)
    assert labels.units == image.units and labels.axis_labels == image.axis_labels


def test_layers_follow_an_image_that_is_moved(viewer, make, qtbot) -> None:
    image = viewer.add_image(stack(40, 50), name="scan")
    widget = make()
    place, session = click_there(viewer, widget, image, qtbot, (0, 1))
    image.scale, image.translate, image.rotate = (2.0, 0.5), (5.0, -5.0), 30.0
    lies_at(session.layers.preview, image, place)
    world = session.layers.clicks.data_to_world(session.layers.clicks.data[0])
    np.testing.assert_allclose(world, image.data_to_world(place))


@pytest.mark.parametrize(
    ("shape", "order", "step", "options"),
    [
        ((5, 40, 50), None, {0: 3}, {"scale": (4.0, 0.5, 2.0), "translate": (10.0, 1.0, 2.0)}),
        ((40, 5, 50), (1, 0, 2), {1: 2}, {"scale": (1.0, 3.0, 0.5)}),
        ((50, 40, 4), (2, 1, 0), {2: 1}, {"rgb": False}),
        ((3, 4, 40, 50), None, {0: 1, 1: 2}, {"axis_labels": ("t", "z", "y", "x"), "units": ("s", "um", "um", "um")}),
        ((1, 1, 40, 50), None, {}, {}),
        ((40, 50, 3), None, {}, {"rgb": True, "scale": (0.5, 0.5)}),
        ((40, 50, 4), None, {}, {"rgb": True}),
        ((3, 40, 50, 3), None, {0: 2}, {"rgb": True, "translate": (1.0, 2.0, 3.0)}),
    ],
    ids=["stack", "turned", "transposed", "time", "singletons", "rgb", "rgba", "rgb stack"],
)
def test_each_number_of_axes(viewer, make, qtbot, shape, order, step, options) -> None:
    image = viewer.add_image(stack(*shape, dtype=np.uint8), name="scan", **options)
    if order is not None:
        viewer.dims.order = order
    for axis, index in step.items():
        viewer.dims.set_current_step(axis, index)
    axes = tuple(viewer.dims.displayed)
    widget = make()
    place, session = click_there(viewer, widget, image, qtbot, axes)
    for axis, index in step.items():
        assert place[axis] == index
    lies_at(session.layers.preview, image, place)
    widget.accept()
    labels = viewer.layers["scan objects"]
    assert labels.data.shape == shape[: image.ndim]
    lies_at(labels, image, place)


def test_clicks_stay_on_their_slice(viewer, make, qtbot) -> None:
    image = viewer.add_image(stack(5, 40, 50), name="scan")
    viewer.dims.set_current_step(0, 3)
    widget = make()
    click_there(viewer, widget, image, qtbot, (1, 2))
    clicks = widget.session.layers.clicks
    viewer.dims.set_current_step(0, 1)
    world = image.data_to_world((1, ROW, COLUMN))
    clicks.add(np.asarray(clicks.world_to_data(world)))  # on a slice that the session is not about
    qtbot.waitUntil(lambda: len(clicks.data) == 1)
    assert clicks.data_to_world(clicks.data[0])[0] == 3
    assert len(widget.session.clicks) == 1


def test_a_pyramid_is_accepted_at_full_resolution(viewer, make, qtbot) -> None:
    full = stack(80, 100)
    image = viewer.add_image([full, full[::2, ::2], full[::4, ::4]], name="scan", multiscale=True, scale=(0.5, 0.5))
    widget = make()
    place, session = click_there(viewer, widget, image, qtbot, (0, 1))
    lies_at(session.layers.preview, image, place)
    widget.accept()
    assert viewer.layers["scan objects"].data.shape == (80, 100)
    lies_at(viewer.layers["scan objects"], image, place)


def test_labels_that_are_a_pyramid_of_views_are_written_once(viewer, make, qtbot) -> None:
    full = stack(80, 100)
    image = viewer.add_image([full, full[::2, ::2]], name="scan", multiscale=True)
    empty = np.zeros((80, 100), np.int32)
    labels = viewer.add_labels([empty, empty[::2, ::2]], name="mine", multiscale=True)
    widget = make()
    _, session = click_there(viewer, widget, image, qtbot, (0, 1))
    mask = session.layers.shown_mask().copy()
    widget.target.value = labels
    with qtbot.waitSignal(session.accepted):
        widget.accept()
    np.testing.assert_array_equal(empty, mask)
    np.testing.assert_array_equal(labels.data[1], mask[::2, ::2])


class Counted:
    """An array that counts which of its planes are read."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim, self.size = array.shape, array.dtype, array.ndim, array.size
        self.read = np.zeros(array.shape[0], int)

    def __getitem__(self, key: Any) -> np.ndarray:
        first = key[0] if isinstance(key, tuple) else key
        self.read[first] += 1
        return self._array[key]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        self.read += 1
        return self._array if dtype is None else self._array.astype(dtype)


def test_of_an_array_on_disk_only_the_plane_is_read(viewer, make, qtbot, preferences) -> None:
    preferences.save(keep_journal=False)  # it reads a sample of the image, to know it again
    data = Counted(stack(6, 40, 50))
    image = viewer.add_image(data, name="scan", contrast_limits=(0, 200))
    viewer.dims.set_current_step(0, 4)
    widget = make()
    data.read[:] = 0
    click_there(viewer, widget, image, qtbot, (1, 2))
    assert data.read[4] > 0 and not np.delete(data.read, 4).any()


def test_of_a_dask_and_a_zarr_array_only_the_plane_is_computed(tmp_path) -> None:
    da, zarr = pytest.importorskip("dask.array"), pytest.importorskip("zarr")
    from napari.components import ViewerModel

    from napari_ois._napari.plane import displayed_plane
    from napari_ois._napari.sight import Choice, Sight

    touched: list[Any] = []

    def block(block_info: Any = None) -> np.ndarray:
        touched.append(block_info[None]["chunk-location"])
        return np.full((1, 40, 50), block_info[None]["chunk-location"][0], float)

    lazy = da.map_blocks(block, chunks=((1,) * 5, (40,), (50,)), dtype=float)
    stored = zarr.open_array(str(tmp_path / "scan.zarr"), mode="w", shape=(5, 40, 50), chunks=(1, 40, 50), dtype="f4")
    stored[:] = np.arange(5, dtype=np.float32)[:, None, None]
    for data in (lazy, stored):
        viewer = ViewerModel()
        image = viewer.add_image(data, contrast_limits=(0, 5))
        viewer.dims.set_current_step(0, 3)
        for choice in (Choice(), Choice("seen"), Choice("percentiles", (1.0, 99.0))):
            sight = Sight(viewer, image, displayed_plane(viewer, image), choice, lambda layer: False)
            touched.clear()
            seen = np.asarray(sight.reader(sight.appearance())())
            assert seen.shape[:2] == (40, 50)
            assert set(touched) <= {(3, 0, 0)}
            sight.release()
        assert data is stored or touched  # it was counted at all
