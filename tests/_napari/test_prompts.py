"""Drawn with the mouse, a box and a scribble become clicks in one step, wherever the plane lies; then they are gone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_ois.annotation import Prompt
from napari_ois.annotation.objects import BOX

TRANSFORMS = {
    "plain": {},
    "scaled": {"scale": (2, 0.5), "translate": (30, -7)},
    "turned": {"rotate": 30, "scale": (3, 3)},
    "sheared": {"shear": (0.4,), "affine": [[0, -2, 5], [2, 0, 1], [0, 0, 1]]},
}


@pytest.fixture
def begin(viewer: Any, make: Any, qtbot: Any) -> Any:
    def start(shape: tuple[int, ...], **geometry: Any) -> Any:
        viewer.add_image(np.random.default_rng(0).random(shape), name="scan", **geometry)
        widget = make()
        with qtbot.waitSignal(widget.embedded):
            widget.start()
        return widget

    return start


def box_then(widget: Any, mouse: Any, qtbot: Any, *corners: Any) -> Any:
    widget.draw_box()
    with qtbot.waitSignal(widget.answered) as heard:
        mouse.drag(widget.drawing.layer, corners)
    return heard.args[0]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_dragged_box_is_the_object_s_whatever_the_transform(begin, mouse, qtbot, transform) -> None:
    widget = begin((60, 80), **TRANSFORMS[transform])
    answer = box_then(widget, mouse, qtbot, (10, 20), (18, 33), (30, 50))
    expected = Prompt().with_box([(10, 20), (30, 50)], (60, 80))
    np.testing.assert_allclose(answer.clicks.points, expected.clicks.points, atol=1e-6)
    obj = widget.session.object
    assert obj.seed.source == BOX
    difference = obj.seed.mask.unpack() ^ expected.seed.mask.unpack()
    assert difference.sum() <= 4  # rounding of the corners on their way through the world
    assert [command.title for command in widget.session.document.history.done] == ["start object 1"]


def test_after_a_box_the_mouse_clicks_again_and_the_drawing_is_gone(begin, viewer, mouse, click, qtbot) -> None:
    widget = begin((60, 80))
    box_then(widget, mouse, qtbot, (10, 20), (18, 33), (30, 50))
    layers = widget.session.layers
    qtbot.waitUntil(lambda: viewer.layers.selection.active == layers.clicks and layers.clicks.mode == "add")
    layer = widget.drawing.layer
    assert layer.nshapes == 0
    click(widget, 40, 60, positive=False)
    assert widget.session.clicks.labels.tolist() == [1, 0]
    box_then(widget, mouse, qtbot, (10, 20), (18, 33), (30, 50))
    assert widget.session.document.history.undo_text == "Undo box on object 1"
    assert len(widget.session.clicks) == 7
    widget.undo()
    assert len(widget.session.clicks) == 2


def test_a_click_that_says_the_middle_is_wrong_takes_the_boxs_guess_off_the_layer(begin, mouse, click, qtbot) -> None:
    widget = begin((60, 80))
    box_then(widget, mouse, qtbot, (10, 20), (18, 33), (30, 50))
    layer = widget.session.layers.clicks
    assert len(layer.data) == 1
    widget.set_polarity(False)
    with qtbot.waitSignal(widget.answered) as heard:
        mouse.drag(layer, [(21, 36)])
    assert heard.args[0].clicks.labels.tolist() == [0]
    qtbot.waitUntil(lambda: len(layer.data) == 1)
    np.testing.assert_allclose(layer.data, [[21, 36]], atol=0.6)
    assert heard.args[0].prediction.mask.any()
    widget.undo()
    np.testing.assert_allclose(layer.data, [[20, 35]], atol=1e-6)
    click(widget, 12, 22, positive=False)  # far from the middle: it stays
    assert widget.session.clicks.labels.tolist() == [1, 0]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 2, 1)])
def test_on_any_plane_of_a_stack(begin, viewer, mouse, qtbot, order) -> None:
    viewer.dims.ndim = 3
    viewer.dims.order = order
    widget = begin((7, 60, 80), scale=(5, 1, 2), translate=(3, 0, 0))
    plane = widget.session.plane
    start, end = (plane.lift_points([place])[0] for place in ((1, 20), (5, 40)))
    if 0 not in plane.axes:
        start, end = (plane.lift_points([place])[0] for place in ((10, 20), (30, 40)))
    answer = box_then(widget, mouse, qtbot, start, (start + end) / 2, end)
    middle = plane.points(((start + end) / 2)[None])[0][0]
    np.testing.assert_allclose(answer.clicks.points, [middle], atol=1e-6)


def test_a_scribble_follows_the_mouse_in_the_kind_chosen(begin, mouse, qtbot) -> None:
    widget = begin((60, 80))
    widget.draw_scribble()
    with qtbot.waitSignal(widget.answered) as heard:
        mouse.drag(widget.drawing.layer, [(20, column) for column in range(10, 60, 5)])
    assert heard.args[0].clicks == Prompt().with_scribble([(20, 10), (20, 55)], (60, 80)).clicks
    widget.set_polarity(False)
    assert widget.drawing.layer.mode == "add_path"  # one line after the other
    with qtbot.waitSignal(widget.answered) as heard:
        mouse.drag(widget.drawing.layer, [(50, column) for column in range(10, 60, 5)])
    labels = heard.args[0].clicks.labels
    assert labels.tolist() == sorted(labels, reverse=True) and labels.min() == 0
    assert widget.session.document.history.undo_text == "Undo negative scribble on object 1"
    assert widget.drawing.layer.nshapes == 0


def test_what_is_drawn_beside_the_plane_is_taken_back(begin, viewer, mouse, qtbot, notes) -> None:
    widget = begin((7, 60, 80))
    widget.draw_box()
    layer = widget.drawing.layer
    viewer.dims.set_current_step(0, viewer.dims.current_step[0] + 2)
    mouse.drag(layer, [(2, 10, 20), (2, 20, 30), (2, 30, 40)])
    qtbot.waitUntil(lambda: layer.nshapes == 0)
    assert any("outside the plane" in note for note in notes)
    layer.add_rectangles([[(0, -9, -9), (0, -9, -2), (0, -2, -2), (0, -2, -9)]])
    qtbot.waitUntil(lambda: len(notes) == 2)
    assert len(widget.session.document) == 0


def test_the_layer_is_the_session_s(begin, viewer, qtbot) -> None:
    widget = begin((60, 80))
    assert widget.drawing is None
    widget.draw_box()
    layer, image = widget.drawing.layer, widget.session.image
    assert layer not in [choice for _, choice in widget._targets()]
    assert {str(key) for key in layer.keymap} == {str(key) for key in widget.session.layers.clicks.keymap}
    image.scale = (2, 3)
    assert tuple(layer.scale) == (2, 3)
    viewer.layers.remove(layer)  # wanted again, it is made again
    widget.draw_scribble()
    assert widget.drawing.layer in viewer.layers and widget.drawing.layer != layer
    made = widget.drawing.layer
    widget.shutdown()
    assert made not in viewer.layers and widget.drawing is None


def test_a_script_gives_boxes_and_scribbles_and_hears_what_is_wrong(begin, qtbot, notes) -> None:
    widget = begin((60, 80))
    widget.add_box([(1, 1), (1, 9)])
    assert "no extent" in notes[-1]
    with qtbot.waitSignal(widget.answered):
        widget.add_scribble([(20, 10), (20, 60)], positive=True)
    assert widget.session.clicks.has_positive
    widget.shutdown()
    widget.draw_box()
    assert "Start" in notes[-1]
