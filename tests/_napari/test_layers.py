"""Layers of a session lie on the image, hold what they are given, and survive what users do to layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_ois._napari import settings
from napari_ois._napari.layers import SessionLayers
from napari_ois._napari.plane import displayed_plane
from napari_ois.annotation import Clicks

GEOMETRY = {
    "scale": (2.0, 0.5),
    "translate": (10.0, -3.0),
    "rotate": 30.0,
    "shear": [0.2],
    "affine": np.array([[0.9, 0.2, 4], [-0.1, 1.1, 2], [0, 0, 1]]),
    "units": ("um", "um"),
    "axis_labels": ("y", "x"),
}
MASK = np.zeros((20, 30), bool)
MASK[3:9, 4:12] = True
MAP = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)


def make(data: Any = None, **kwargs: Any) -> tuple[ViewerModel, Any, SessionLayers]:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((20, 30)) if data is None else data, name="scan", **kwargs)
    return viewer, image, SessionLayers(viewer, image, displayed_plane(viewer, image))


def fill(layers: SessionLayers, negatives: int = 1) -> None:
    layers.show_mask(MASK)
    layers.show_depth(MAP)
    layers.show_orders(MAP, np.repeat(MAP[None], negatives, axis=0))


def test_every_layer_has_the_image_s_whole_geometry() -> None:
    viewer, image, layers = make(**GEOMETRY)
    fill(layers, negatives=2)
    assert len(viewer.layers) == 7
    assert [layer.name for layer in viewer.layers][3:5] == [
        "scan order negative 1",
        "scan order negative 2",
    ]
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.data_to_world((5, 7)), image.data_to_world((5, 7)))
        np.testing.assert_allclose(layer.scale, image.scale)
        np.testing.assert_allclose(layer.rotate, image.rotate)
        assert layer.units == image.units
        assert layer.axis_labels == image.axis_labels
        assert layer.name.startswith("scan")


def test_layers_follow_the_image() -> None:
    viewer, image, layers = make()
    fill(layers)
    image.scale = (3, 4)
    image.translate = (1, 2)
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.data_to_world((5, 7)), image.data_to_world((5, 7)))
    layers.unbind()
    image.scale = (1, 1)
    assert tuple(layers.preview.scale) == (3, 4)


def test_the_clicks_layer_is_ready_to_click() -> None:
    viewer, _, layers = make()
    fill(layers)
    assert viewer.layers.selection.active == layers.clicks
    assert viewer.layers[-1] == layers.clicks
    assert layers.clicks.mode == "add"


def test_polarity_lives_in_features_and_colours() -> None:
    _, _, layers = make()
    layers.set_polarity(False)
    layers.clicks.add((1, 2))
    layers.set_polarity(True)
    layers.clicks.add((3, 4))
    clicks, inside = layers.read_clicks()
    layers.draw_symbols()
    assert inside
    assert clicks == Clicks().added(1, 2, positive=False).added(3, 4)
    negative, positive = layers.clicks.face_color
    assert negative[0] > negative[1]  # orange
    assert positive[1] > positive[0]  # green
    assert [s.value for s in layers.clicks.symbol] == ["x", "disc"]
    assert list(layers.clicks.features[settings.POLARITY]) == ["negative", "positive"]


def test_a_click_that_is_selected_does_not_say_what_the_next_one_is() -> None:
    _, _, layers = make()
    layers.set_polarity(False)
    layers.clicks.add((1, 2))
    layers.set_polarity(True)
    layers.clicks.mode = "select"
    layers.clicks.selected_data = {0}
    layers.activate()
    layers.clicks.add((3, 4))
    assert list(layers.clicks.features[settings.POLARITY]) == ["negative", "positive"]
    negative, positive = layers.clicks.face_color
    assert negative[0] > negative[1] and positive[1] > positive[0]


def test_clicks_are_written_back_silently() -> None:
    _, _, layers = make()
    said: list[Any] = []
    layers.clicks.events.data.connect(said.append)
    clicks = Clicks().added(1, 2, positive=False).added(3, 4)
    layers.write_clicks(clicks)
    assert layers.read_clicks() == (clicks, True)
    layers.write_clicks(clicks.removed(0))
    assert layers.read_clicks() == (clicks.removed(0), True)
    layers.write_clicks(Clicks())
    assert said == []
    layers.clicks.add((5, 5))
    assert layers.read_clicks() == (Clicks().added(5, 5), True)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 2, 1)])
def test_results_lie_on_the_plane_of_a_volume(order: tuple[int, ...]) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((8, 9, 10)), scale=(3, 1, 1))
    viewer.dims.order = order
    viewer.dims.set_current_step(order[0], 5)
    plane = displayed_plane(viewer, image)
    layers = SessionLayers(viewer, image, plane)
    mask = np.zeros(plane.shape, bool)
    mask[2, 6] = True
    layers.show_mask(mask)
    layers.show_depth(mask.astype(np.float32))
    np.testing.assert_array_equal(layers.shown_mask(), mask)
    pixel = np.argwhere(layers.preview.data)[0]
    whole = np.array(plane.lift_indices(np.array([2]), np.array([6]), whole=True)).ravel()
    np.testing.assert_allclose(layers.preview.data_to_world(pixel), image.data_to_world(whole))
    viewer.dims.set_current_step(order[0], 1)  # the user looks elsewhere when the answer comes
    layers.show_mask(~mask)
    np.testing.assert_array_equal(layers.shown_mask(), ~mask)


def test_negative_order_maps_come_and_go() -> None:
    viewer, _, layers = make()
    for count in (1, 3, 2, 0, 1):
        layers.show_orders(MAP, np.full((count, 20, 30), 0.5, np.float32))
        there = [layer for layer in viewer.layers if "order negative" in layer.name]
        assert there == layers.order_negative
        assert [layer.name for layer in there] == [f"scan order negative {n + 1}" for n in range(len(there))]
        assert all((layer.data == 0.5).all() for layer in there[:count])
        assert all((layer.data == 1).all() for layer in layers.order_negative[count:])
        assert not any(layer.visible for layer in layers.order_negative[count:])
    np.testing.assert_array_equal(layers.order_positive.data, MAP)


def test_emptying_the_maps_waits_without_holding_arrays() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((20, 30)), name="scan")
    waiting: list[Any] = []

    def run() -> None:
        while waiting:
            waiting.pop(0)()

    layers = SessionLayers(viewer, image, displayed_plane(viewer, image), waiting.append)
    run()
    layers.clear_orders()
    assert waiting == []  # they are empty
    layers.show_orders(MAP, MAP[None])
    run()
    for _ in range(3):
        layers.clear_orders()
    assert len(waiting) == 2 and not any(isinstance(given, np.ndarray) for chore in waiting for given in chore.args)
    run()
    assert (layers.order_positive.data == 1).all() and (layers.order_negative[0].data == 1).all()


def test_maps_are_hidden_and_span_zero_to_one() -> None:
    _, _, layers = make()
    fill(layers)
    for layer in (layers.depth, layers.order_positive, *layers.order_negative):
        assert not layer.visible
        assert tuple(layer.contrast_limits) == (0, 1)


def test_napari_s_own_undo_does_not_bring_back_masks_of_ours() -> None:
    _, _, layers = make()
    layers.show_mask(MASK)
    layers.show_mask(np.roll(MASK, 3, axis=0))
    layers.preview.data_setitem((np.array([0, 0]), np.array([0, 1])), 1)  # a stroke of the user's
    layers.preview.undo()
    layers.preview.undo()
    np.testing.assert_array_equal(layers.shown_mask(), np.roll(MASK, 3, axis=0))


def test_large_changes_are_drawn_too(monkeypatch) -> None:
    monkeypatch.setattr("napari_ois._napari.difference.LARGE_CHANGE", 10)
    _, _, layers = make()
    layers.show_mask(MASK)
    np.testing.assert_array_equal(layers.shown_mask(), MASK)


def test_a_hidden_preview_is_drawn_after_the_slider_was_elsewhere() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((8, 20, 30)))
    viewer.dims.set_current_step(0, 5)
    layers = SessionLayers(viewer, image, displayed_plane(viewer, image))
    layers.preview.visible = False
    for step in (6, 5):
        viewer.dims.set_current_step(0, step)
    layers.show_mask(MASK)
    np.testing.assert_array_equal(layers.shown_mask(), MASK)
    layers.preview.visible = True
    assert layers.preview.get_value((5, 4, 5)) == 1


def test_what_failed_halfway_is_no_stroke_of_the_user_s(monkeypatch) -> None:
    _, _, layers = make()

    def fail(indices: Any, value: int) -> None:
        layers.preview.data[indices] = value
        raise IndexError("halfway")

    monkeypatch.setattr(layers.preview, "data_setitem", fail)
    with pytest.raises(IndexError):
        layers.show_mask(MASK)
    assert layers.shown_mask().any() and layers.strokes() is None


def test_a_deleted_preview_comes_back_and_deleted_maps_do_not() -> None:
    viewer, _, layers = make()
    fill(layers)
    for layer in (layers.preview, layers.depth, layers.order_positive, *layers.order_negative):
        viewer.layers.remove(layer)
    fill(layers)
    assert [layer.name for layer in viewer.layers] == ["scan", "scan preview", "scan clicks"]
    np.testing.assert_array_equal(layers.shown_mask(), MASK)


def test_renamed_layers_are_still_ours() -> None:
    viewer, _, layers = make()
    fill(layers)
    for layer in viewer.layers:
        layer.name = "x"
    fill(layers, negatives=2)
    layers.remove()
    assert len(viewer.layers) == 1


def test_removing_keeps_clicks_that_were_made() -> None:
    viewer, image, layers = make()
    fill(layers)
    layers.clicks.add((1, 1))
    layers.remove()
    assert list(viewer.layers) == [image, layers.clicks]


def test_a_layer_that_is_hidden_already_is_not_told_to_hide() -> None:
    _, _, layers = make()
    fill(layers, negatives=2)
    spare, told = layers.order_negative[1], []
    spare.events.visible.connect(lambda event: told.append(spare.visible))
    layers.show_orders(MAP, MAP[None])
    assert told == [] and (spare.data == 1).all()
    fill(layers, negatives=2)
    spare.visible = True
    layers.show_orders(MAP, MAP[None])
    assert told == [True, False]
