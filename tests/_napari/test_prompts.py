"""Drawn with the mouse, a box and a scribble are the object's in one step, wherever the plane lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.utils.colormaps.standardize_color import transform_color

from napari_ois._napari import settings
from napari_ois.annotation import Prompt
from napari_ois.annotation.objects import BOX
from napari_ois.errors import InputError

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
    assert not len(answer.clicks) and answer.prediction.mask.any()
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
    assert widget.session.clicks.labels.tolist() == [0]
    box_then(widget, mouse, qtbot, (10, 20), (18, 33), (30, 50))
    assert widget.session.document.history.undo_text == "Undo box on object 1"
    assert len(widget.session.clicks) == 6
    widget.undo()
    assert len(widget.session.clicks) == 1


def test_the_box_of_the_object_is_seen_until_it_goes(begin, viewer, mouse, click, qtbot) -> None:
    widget = begin((60, 80), scale=(2, 3))
    box_then(widget, mouse, qtbot, (10, 20), (18, 33), (30, 50))
    outline = viewer.layers["scan box"]
    np.testing.assert_allclose(outline.data[0].min(axis=0), (9.5, 19.5), atol=1)
    np.testing.assert_allclose(outline.data[0].max(axis=0), (30.5, 50.5), atol=1)
    assert tuple(outline.scale) == (2, 3) and not outline.editable and not len(widget.session.layers.clicks.data)
    assert viewer.layers.selection.active == widget.session.layers.clicks
    click(widget, 40, 60)
    assert outline.nshapes == 1
    widget.accept()
    qtbot.waitUntil(lambda: outline.nshapes == 0)
    widget.undo()
    assert outline.nshapes == 1
    widget.clear()
    assert outline.nshapes == 0 and not len(widget.session.clicks)
    widget.undo()
    assert outline.nshapes == 1 and len(widget.session.clicks) == 1
    widget.shutdown()
    assert outline not in viewer.layers


def test_the_line_around_a_small_box_is_as_wide_as_the_plane_asks_for(begin, viewer, mouse, qtbot) -> None:
    widget = begin((600, 800))
    box_then(widget, mouse, qtbot, (10, 20), (12, 22), (14, 24))
    assert viewer.layers["scan box"].edge_width == [1.6]


def test_a_click_that_says_the_guess_is_wrong_is_alone_and_undo_brings_the_guess_back(
    begin, mouse, click, qtbot
) -> None:
    widget = begin((60, 80))
    guess = box_then(widget, mouse, qtbot, (10, 20), (18, 33), (30, 50)).prediction.points
    assert len(guess) == 1
    (row, column), layer = guess[0], widget.session.layers.clicks
    widget.set_polarity(False)
    with qtbot.waitSignal(widget.answered) as heard:
        mouse.drag(layer, [(row + 1, column + 1)])
    assert heard.args[0].clicks.labels.tolist() == [0]
    played = heard.args[0].prediction
    assert played.labels.tolist() == [1, 0] and played.points[0].tolist() != guess[0].tolist()
    with qtbot.waitSignal(widget.answered) as heard:
        widget.undo()
    assert heard.args[0].prediction.points.tolist() == guess.tolist()
    answer = click(widget, 12, 22, positive=False)  # far from it: it stays
    assert answer.prediction.labels.tolist() == [1, 0] and answer.prediction.points[0].tolist() == guess[0].tolist()


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
    corners, _ = plane.points(np.stack([start, end]))
    assert widget.session.object.seed.box == (*corners.min(axis=0), *corners.max(axis=0) + 1)
    assert ((corners.min(axis=0) <= answer.prediction.points) & (answer.prediction.points <= corners.max(axis=0))).all()


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
    widget.set_preferences(key_accept="R", key_undo="I", negative_colour="#0000ff")  # which draw, in napari's map
    keys = {str(key) for key in layer.keymap}
    assert not keys & {"R", "I", settings.KEY_ACCEPT, settings.KEY_UNDO} and settings.KEY_NEXT in keys
    widget.set_polarity(False)
    np.testing.assert_allclose(transform_color(layer.current_edge_color), [(0, 0, 1, 1)])
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


def test_what_is_drawn_while_an_accept_waits_is_not_the_old_object_s(begin, fake, qtbot, notes) -> None:
    widget = begin((60, 80))
    widget.session.layers.clicks.add((20, 30))
    qtbot.waitUntil(lambda: widget.session.answer is not None)
    fake.delay = 0.3
    widget.session.layers.clicks.add((22, 30))
    widget.accept()
    widget.add_box([(40, 50), (50, 60)])
    assert "not accepted yet: draw again" in notes[-1]
    fake.delay = 0.0
    qtbot.waitUntil(lambda: widget.session.document[1].accepted is not None)
    assert len(widget.session.document[1].clicks) == 2
    widget.add_box([(40, 50), (50, 60)])
    assert len(widget.session.document) == 2


def test_a_box_larger_than_what_can_be_accepted_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="30001 x 20001 pixels, more than can be written"):
        Prompt().with_box([(100, 100), (30_100, 20_100)], (40_000, 40_000))
