"""What the model sees, as a layer: over the image whatever its geometry, after choices and sliders, and gone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_ois._napari.plane import displayed_plane, sampled
from napari_ois._napari.sight import AUTO, VISIBLE, Choice, Sight
from napari_ois._napari.sight_panel import SightPanel
from napari_ois.segmentation.appearance import SEEN

GEOMETRY = {
    "scale": (3, 0.5, 0.25),
    "translate": (7, -2, 11),
    "rotate": 20,
    "shear": (0.1, 0, 0.2),
    "affine": np.array([[1, 0, 0, 4], [0, 0.9, 0.2, 5], [0, -0.1, 1.1, 6], [0, 0, 0, 1.0]]),
    "units": ("s", "um", "um"),
}


@pytest.fixture
def see(qtbot: Any) -> Any:
    """Wants the layer and waits for it."""

    def wanted(widget: Any) -> Image:
        if not widget.sight_layer.wanted:
            widget.findChild(SightPanel).as_layer.click()
        qtbot.waitUntil(lambda: widget.sight_layer.layer is not None)
        return widget.sight_layer.layer

    return wanted


def grey(layer: Image) -> np.ndarray:
    """Its colours, 0 to 1, without the axes of one slice."""
    return np.squeeze(np.asarray(layer.data))[..., 0] / 255


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2)])
def test_it_lies_over_the_plane_in_view_whatever_places_the_image(viewer, make, see, qtbot, order) -> None:
    data = np.random.default_rng(0).random((5, 20, 30))
    image = viewer.add_image(data, name="scan", contrast_limits=(0.2, 0.9), **GEOMETRY)
    viewer.dims.order = order
    viewer.dims.set_current_step(order[0], 3)
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    with qtbot.waitSignal(widget.embedded):
        widget.see(Choice(SEEN))
    layer = see(widget)
    plane = widget.session.plane
    expected = np.clip((np.asarray(plane.view(data)) - 0.2) / 0.7, 0, 1)
    np.testing.assert_allclose(plane.lower(layer.data[..., 0]) / 255, expected, atol=0.003)
    for place in ((0, 0), (13, 7)):
        at = plane.lift_points([place])[0]
        whole = np.asarray(plane.index, float)
        whole[list(plane.axes)] = place
        np.testing.assert_allclose(layer.data_to_world(at), image.data_to_world(whole), atol=1e-9)
    assert layer.units == image.units and layer.axis_labels == image.axis_labels
    image.translate = (1, 2, 3)
    np.testing.assert_allclose(layer.data_to_world(at), image.data_to_world(whole), atol=1e-9)


@pytest.fixture
def stack(viewer: Any, make: Any, qtbot: Any) -> Any:
    """A widget on plane 0 of a stack whose planes are brighter and brighter."""
    data = np.linspace(0, 1, 4)[:, None, None] * np.linspace(0.5, 1, 30) * np.ones((1, 20, 1))
    viewer.add_image(data, name="scan", scale=(2, 1, 1), contrast_limits=(0, 1))
    viewer.dims.set_current_step(0, 0)
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    return widget


def test_it_follows_the_sliders_and_the_choices(stack, viewer, see, qtbot) -> None:
    with qtbot.waitSignal(stack.embedded):
        stack.see(Choice(SEEN))
    layer = see(stack)
    assert not layer.data.any() and stack.session.layers.clicks == viewer.layers.selection.active
    viewer.dims.set_current_step(0, 3)
    qtbot.waitUntil(lambda: layer.data.any())
    np.testing.assert_allclose(grey(layer)[0], np.linspace(0.5, 1, 30), atol=0.003)
    assert layer.translate[0] == 6
    assert stack.session.plane.index[0] == 0  # the clicks stay where they are
    with qtbot.waitSignal(stack.embedded):
        stack.session.image.contrast_limits = (0.5, 1)
    qtbot.waitUntil(lambda: layer.data[0, 0, 0, 0] == 0)
    np.testing.assert_allclose(grey(layer)[0], np.linspace(0, 1, 30), atol=0.003)


def test_it_is_never_taken_for_an_image(stack, viewer, see, qtbot) -> None:
    layer = see(stack)
    assert layer not in stack.image.choices and stack.image.value == stack.session.image
    with qtbot.waitSignal(stack.embedded):
        stack.see(Choice(SEEN, source=VISIBLE))
    assert [tint.layer for tint in stack.session.look.tints] == ["scan"]
    assert stack.session.layers.owns(layer)
    stack.session.end()
    assert stack.image.choices == (viewer.layers["scan"],)


def test_a_flat_image_s_picture_is_no_part_of_its_composite(started, see, viewer, qtbot) -> None:
    see(started)  # of the same shape, on the same place
    with qtbot.waitSignal(started.embedded):
        started.see(Choice(SEEN, source=VISIBLE))
    assert [tint.layer for tint in started.session.look.tints] == ["scan"]


@pytest.mark.parametrize("how", ["untick", "delete it", "delete the image", "close", "end"])
def test_it_goes_quietly(started, viewer, see, qtbot, notes, how) -> None:
    layer, panel, dims = see(started), started.findChild(SightPanel), viewer.dims.events
    before = len(dims.current_step.callbacks)
    assert layer in viewer.layers and panel.as_layer.isChecked()
    said = len(notes)
    if how == "untick":
        panel.as_layer.click()
    elif how == "delete it":
        viewer.layers.remove(layer)
    elif how == "delete the image":
        viewer.layers.remove("scan")
    elif how == "close":
        started.shutdown()
    else:
        started.session.end()
    qtbot.waitUntil(lambda: len(dims.current_step.callbacks) == before - 1)
    assert layer not in viewer.layers and started.sight_layer.layer is None
    assert panel.as_layer.isChecked() == (how not in ("untick", "delete it"))
    assert len(notes) - said == (how == "delete the image")  # the session's own word


def test_it_comes_again_with_the_next_start(stack, viewer, see, qtbot) -> None:
    first = see(stack)
    viewer.dims.set_current_step(0, 2)
    with qtbot.waitSignal(stack.embedded):
        stack.start()
    second = see(stack)
    assert first not in viewer.layers and second in viewer.layers and second.translate[0] == 4
    names = [layer.name for layer in viewer.layers]
    assert names.index(second.name) == names.index("scan") + 1


def test_it_is_as_fine_as_the_level_that_was_chosen(viewer, make, click, see, qtbot) -> None:
    fine = np.random.default_rng(0).random((60, 80))
    image = viewer.add_image([fine, fine[::2, ::2], fine[::4, ::4]], multiscale=True, name="scan", scale=(2, 2))
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    layer = see(widget)
    assert widget.session.sight.choice.level == AUTO and layer.data.shape == (60, 80, 3)
    click(widget, 20, 30)
    full = widget.session.layers.shown_mask().copy()
    with qtbot.waitSignal(widget.answered):
        widget.see(Choice(level=2))
    qtbot.waitUntil(lambda: layer.data.shape == (15, 20, 3))
    np.testing.assert_allclose(layer.data_to_world((0, 0)), image.data_to_world((1.5, 1.5)))
    np.testing.assert_allclose(layer.scale, (8, 8))
    preview = widget.session.layers.preview
    assert preview.data.shape == (15, 20)
    np.testing.assert_array_equal(preview.data != 0, sampled(full, (15, 20)))
    np.testing.assert_allclose(preview.data_to_world((0, 0)), layer.data_to_world((0, 0)))
    widget.accept()
    np.testing.assert_array_equal(viewer.layers["scan objects"].data != 0, full)
    assert widget.session.object is None
    widget.undo()
    with qtbot.waitSignal(widget.answered):
        widget.undo()
    assert widget.session.layers.preview.data.shape == (60, 80)


def test_a_stroke_on_a_coarse_preview_is_accepted_as_the_pixels_under_it(viewer, make, click, qtbot) -> None:
    fine = np.random.default_rng(0).random((60, 80))
    viewer.add_image([fine, fine[::4, ::4]], multiscale=True, name="scan")
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    with qtbot.waitSignal(widget.embedded):
        widget.see(Choice(level=1))
    click(widget, 20, 30)
    widget.session.layers.preview.data_setitem((np.array([12]), np.array([17])), 1)
    widget.accept()
    labels = viewer.layers["scan objects"].data
    assert labels[48:52, 68:72].all() and labels.sum() == 113 + 16


def test_without_a_level_a_picture_is_bounded_and_lies_exactly(viewer, monkeypatch) -> None:
    monkeypatch.setattr("napari_ois._napari.sight.CELLS", 30 * 40)
    image = viewer.add_image(np.arange(71 * 90.0).reshape(71, 90), name="scan")
    sight = Sight(viewer, image, displayed_plane(viewer, image), Choice(), lambda layer: False)
    picture = sight.picture(sight.appearance())()
    assert picture.seen.shape == (24, 30, 3) and picture.frame.cell == (3, 3)
    np.testing.assert_allclose(picture.seen[2, 5, 0] / 255, (7 * 90 + 16) / (71 * 90), atol=0.005)
