"""The inspector on a small real network: what it shows is what the scripted API gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_ois._napari.inspector import HOVER, WAITING, OrderInspector
from napari_ois._napari.widget import OISWidget
from napari_ois.segmentation.inspection import Inspection
from napari_ois.segmentation.predictor import Predictor

CLICKS = [((20, 30), True), ((50, 70), False)]


@pytest.fixture
def small_predictor(tiny_network: Any) -> Callable[..., Predictor]:
    """Make the same predictor for the worker, which names a model and a device, and for a script."""

    def make(model: str = "", device: str = "") -> Predictor:
        network = tiny_network(dense_order=True)
        with torch.no_grad():
            network.dense.convolution.weight.mul_(2.0)  # order must be seen in the mask
        return Predictor.from_network(network, input_size=64, multiple=32, device="cpu")

    return make


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).random((60, 80)).astype(np.float32)


@pytest.fixture
def widget(viewer: Any, picture: np.ndarray, small_predictor: Any, qtbot: Any) -> Iterator[OISWidget]:
    viewer.add_image(picture, name="scan", scale=(2, 2), translate=(10, 0))
    made = OISWidget(viewer, small_predictor)
    qtbot.addWidget(made)
    with qtbot.waitSignal(made.embedded):
        made.start()
    yield made
    made.shutdown()


@pytest.fixture
def inspector(viewer: Any, widget: OISWidget, qtbot: Any) -> Iterator[OrderInspector]:
    made = OrderInspector(viewer, widget)
    qtbot.addWidget(made)
    yield made
    made.release()


def click(qtbot: Any, widget: OISWidget, place: tuple[int, int], positive: bool = True) -> None:
    widget.set_polarity(positive)
    with qtbot.waitSignal(widget.inspected):
        widget.session.layers.clicks.add(place)


def script(predictor: Predictor, picture: np.ndarray, strength: float = 1.0) -> Inspection:
    """The same clicks by the scripted API, each answered with the strength."""
    predictor.set_image(picture)
    first = predictor.predict([CLICKS[0][0]], [1], order_strength=strength)
    places = [place for place, _ in CLICKS]
    second = predictor.predict(places, [1, 0], previous=first, order_strength=strength)
    return Inspection(predictor.again(second, order_strength=strength, inspect=True))


def test_the_panel_shows_what_a_script_gets(inspector, widget, viewer, picture, small_predictor, qtbot) -> None:
    assert inspector.sentence.text() == WAITING
    for place, positive in CLICKS:
        click(qtbot, widget, place, positive)
    expected = script(small_predictor(), picture)
    assert inspector.click.value == 1  # the newest
    shown, order = viewer.layers["scan attention"], viewer.layers["scan order as used"]
    np.testing.assert_allclose(shown.data, expected.attention(1), atol=1e-6)
    np.testing.assert_allclose(order.data, expected.order_used(1), atol=1e-6)
    np.testing.assert_array_equal(shown.scale, (2, 2))
    inspector.click.value, inspector.kind.value = 0, "plain"
    np.testing.assert_allclose(order.data, expected.order_used(0), atol=1e-6)
    inspector.block.value, inspector.head.value = 2, 3
    np.testing.assert_allclose(shown.data, expected.attention(0, kind="plain", block=2, head=3), atol=1e-6)
    assert inspector.sentence.text().startswith("Order changed")
    assert f"block 1: {expected.sigma[0, 0]:.1f}" in inspector.sigma.text()


def test_the_mask_follows_the_strength_and_comes_back(inspector, widget, picture, qtbot, small_predictor) -> None:
    for place, positive in CLICKS:
        click(qtbot, widget, place, positive)
    trained = widget.session.layers.shown_mask()
    with qtbot.waitSignal(widget.inspected):
        inspector.strength.setValue(0.0)
    np.testing.assert_array_equal(
        widget.session.layers.shown_mask(), script(small_predictor(), picture, 0.0).prediction.mask
    )
    assert inspector.sentence.text().startswith("Order changed 0.0 %")
    with qtbot.waitSignal(widget.inspected):
        inspector.strength.setValue(1.0)
    np.testing.assert_array_equal(widget.session.layers.shown_mask(), trained)


def test_the_user_s_strokes_survive_the_inspection(inspector, widget, qtbot) -> None:
    with qtbot.waitSignal(widget.answered):
        widget.session.layers.clicks.add((20, 30))
    widget.session.layers.preview.data[0, 0] = 1
    with qtbot.waitSignal(widget.inspected):
        inspector._ask()
    assert widget.session.layers.shown_mask()[0, 0]


def test_change_and_band_are_layers(inspector, widget, viewer, qtbot) -> None:
    click(qtbot, widget, (20, 30))
    seen = inspector.inspected
    change = seen.inspection.change(seen.without)
    np.testing.assert_array_equal(viewer.layers["scan changed by order"].data == 1, change.gained)
    np.testing.assert_array_equal(viewer.layers["scan changed by order"].data == 2, change.lost)
    inspector.plot.band.emit((0.2, 0.4))
    depth = seen.inspection.prediction.depth
    np.testing.assert_array_equal(viewer.layers["scan depth band"].data == 1, (depth >= 0.2) & (depth <= 0.4))
    inspector.plot.band.emit(None)
    assert not viewer.layers["scan depth band"].data.any()


def test_the_cursor_reads_the_maps(inspector, widget, viewer, qtbot) -> None:
    viewer.cursor.position = (10 + 2 * 5, 2 * 7)
    assert inspector.under_cursor.text() == HOVER
    click(qtbot, widget, (20, 30))
    viewer.cursor.position = (10 + 2 * 6, 2 * 7)
    depth = inspector.inspected.inspection.prediction.depth[6, 7]
    assert inspector.under_cursor.text().startswith(f"Row 6, column 7: depth {depth:.2f}")
    viewer.cursor.position = (-500, 0)
    assert inspector.under_cursor.text() == HOVER


def test_without_clicks_there_is_nothing_to_see(inspector, widget, viewer, qtbot) -> None:
    click(qtbot, widget, (20, 30))
    widget.clear()
    assert inspector.sentence.text() == WAITING and inspector.inspected is None
    assert inspector.attention() is None
    click(qtbot, widget, (30, 30))
    assert inspector.inspected is not None


def test_its_layers_go_with_it_and_with_the_session(inspector, widget, viewer, qtbot) -> None:
    click(qtbot, widget, (20, 30))
    assert "scan attention" in viewer.layers
    inspector.release()
    assert "scan attention" not in viewer.layers
    assert "scan preview" in viewer.layers
    with qtbot.waitSignal(widget.answered):
        widget.session.layers.clicks.add((30, 30))  # nothing is asked for an inspector that is closed
    other = OrderInspector(viewer, widget)
    qtbot.addWidget(other)
    with qtbot.waitSignal(widget.inspected):
        widget.session.layers.clicks.add((31, 30))
    widget.shutdown()
    assert [layer.name for layer in viewer.layers] == ["scan", "scan clicks"]
    assert other.sentence.text() == WAITING
    other.release()


def test_the_figure_is_written(inspector, widget, qtbot, tmp_path: Path, notes) -> None:
    inspector.save_figure(str(tmp_path / "early.png"))
    assert not list(tmp_path.iterdir()) and notes[-1] == WAITING
    click(qtbot, widget, (20, 30))
    inspector.save_figure(str(tmp_path / "order.png"))
    from skimage.io import imread

    assert imread(tmp_path / "order.png").std() > 10
    inspector.save_figure(str(tmp_path / "missing" / "order.png"))
    assert "could not be written" in notes[-1]


@pytest.mark.usefixtures("large_from_a_megapixel")
def test_of_a_large_image_it_reads_the_region(viewer, small_predictor, monkeypatch, qtbot, tmp_path: Path) -> None:
    # Random weights see no end of an object; the region stays the first one all the same.
    monkeypatch.setattr("napari_ois.segmentation.regions.cut_off", lambda *_: False)
    fine = np.random.default_rng(0).random((1100, 1100)).astype(np.float32)
    viewer.add_image([fine, fine[::2, ::2]], multiscale=True, name="slide", scale=(2, 2))
    widget = OISWidget(viewer, small_predictor)
    qtbot.addWidget(widget)
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    inspector = OrderInspector(viewer, widget)
    qtbot.addWidget(inspector)
    for place in ((900, 800), (300, 200)):
        widget.clear()
        click(qtbot, widget, place)
        prediction = inspector.inspected.inspection.prediction
        view = prediction.frame.view
        assert view.top > 0 or view.bottom < 1100
        for name in ("order as used", "attention", "changed by order"):
            layer = viewer.layers[f"slide {name}"]
            assert layer.data.shape == prediction.mask.shape
            np.testing.assert_allclose(layer.data_to_world((0, 0)), (2 * view.top, 2 * view.left))
        viewer.cursor.position = (2 * place[0], 2 * place[1])
        depth = prediction.depth[place[0] - view.top, place[1] - view.left]
        said = f"Row {place[0]}, column {place[1]}: depth {depth:.2f}"
        assert inspector.under_cursor.text().startswith(said)
        outside = 0 if view.top > 0 else 1099
        viewer.cursor.position = (2 * outside, 2 * outside)
        assert inspector.under_cursor.text() == f"Row {outside}, column {outside}: not looked at"
    inspector.save_figure(str(tmp_path / "order.png"))
    assert (tmp_path / "order.png").exists()
    inspector.release()
    widget.shutdown()


def test_opening_it_leaves_order_as_it_is(viewer, widget, qtbot) -> None:
    widget.session.adjust(only_next=True, order_strength=0.0)
    made = OrderInspector(viewer, widget)
    qtbot.addWidget(made)
    assert made.strength.value() == 0 and widget.session.settings.order_strength == 0
    made.release()


def test_each_image_has_a_strength_of_its_own(viewer, widget, inspector, qtbot) -> None:
    inspector.strength.setValue(0.0)
    qtbot.waitUntil(lambda: widget.session.settings.order_strength == 0)
    first = widget.image.value
    widget.image.value = viewer.add_image(np.zeros((60, 80)), name="other")
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    assert inspector.strength.value() == 1 == widget.session.settings.order_strength
    widget.image.value = first
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    assert inspector.strength.value() == 0 == widget.session.settings.order_strength


def test_the_cursor_reads_the_maps_of_a_stack_on_its_slice(viewer, picture, small_predictor, qtbot) -> None:
    viewer.add_image(np.stack([picture[::-1], picture, picture]), name="scan", scale=(3, 2, 2))
    viewer.dims.set_current_step(0, 2)
    widget = OISWidget(viewer, small_predictor)
    qtbot.addWidget(widget)
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    inspector = OrderInspector(viewer, widget)
    qtbot.addWidget(inspector)
    with qtbot.waitSignal(widget.inspected):
        widget.session.layers.clicks.add((0, 20, 30))
    viewer.cursor.position = (6, 40, 60)
    assert inspector.under_cursor.text().startswith("Row 20, column 30: depth")
    viewer.cursor.position = (0, 40, 60)
    assert inspector.under_cursor.text() == HOVER
    inspector.release()
    widget.shutdown()


def test_it_finds_the_widget_that_is_docked(window: Any, qtbot: Any, small_predictor: Any) -> None:
    widget = OISWidget(window, small_predictor)
    window.window.add_dock_widget(widget, name="Order-aware segmentation")
    inspector = OrderInspector(window)
    assert inspector._source is widget
    inspector.release()
    widget.shutdown()


def test_it_turns_to_the_widget_that_is_opened_after_the_first_was_closed(window, qtbot, small_predictor, picture):
    window.add_image(picture, name="scan")
    first = OISWidget(window, small_predictor)
    window.window.add_dock_widget(first, name="Order-aware segmentation")
    inspector = OrderInspector(window)
    window.window.remove_dock_widget(first)
    second = OISWidget(window, small_predictor)
    window.window.add_dock_widget(second, name="Order-aware segmentation")
    with qtbot.waitSignal(second.embedded):
        second.start()
    click(qtbot, second, (20, 30))
    assert inspector._source is second
    qtbot.waitUntil(lambda: inspector.sentence.text() != WAITING)
    inspector.release()
    second.shutdown()
