"""Where order comes from is chosen, seen, taken, undone and written down; nothing is read in the viewer's thread."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from napari.layers import Image, Labels

from napari_ois._napari import order_request as ask
from napari_ois._napari.order_panel import OrderPanel
from napari_ois._napari.orders import Orders
from napari_ois._napari.plane import same_place
from napari_ois._napari.widget import OISWidget
from napari_ois.annotation import load_session
from napari_ois.errors import InputError
from napari_ois.segmentation.depth import depth_key, prepare_depth
from napari_ois.segmentation.order_files import map_file, read_maps
from napari_ois.segmentation.order_sources import Estimated
from napari_ois.segmentation.stack_depth import DepthMap
from napari_ois.segmentation.stack_sources import Projection

RANGES = np.linspace(5, 1, 60 * 80).reshape(60, 80)
RANGES[:6] = 0  # unknown


@pytest.fixture
def panel(started: OISWidget) -> OrderPanel:
    return started.findChild(OrderPanel)


def choose(panel: OrderPanel, kind: str, **values: Any) -> None:
    panel.form.kind.value = kind
    for name, value in values.items():
        getattr(panel.form, name).value = value


def take(qtbot: Any, panel: OrderPanel, widget: OISWidget) -> None:
    with qtbot.waitSignal(widget.embedded):
        panel.use()


def ranges(viewer: Any, panel: OrderPanel) -> np.ndarray:
    """Add the ranges as a layer, choose it, and give the depth that it means."""
    viewer.add_image(RANGES, name="ranges")
    choose(panel, ask.LAYER, layer=viewer.layers["ranges"], nearer="smaller", unknown="0")
    return prepare_depth(np.where(RANGES == 0, np.nan, -RANGES), RANGES.shape)


def test_a_layer_is_seen_taken_and_undone(started, panel, viewer, click, qtbot) -> None:
    expected = ranges(viewer, panel)
    assert "smaller is nearer" in panel.form.statement.text()
    panel.preview()
    qtbot.waitUntil(lambda: panel.layers.depth is not None)
    shown = panel.layers.depth.data
    assert np.isnan(shown[:6]).all()
    np.testing.assert_array_equal(shown[6:], expected[6:])
    assert "90.0%" in panel.result.text()

    click(started, 20, 30)
    session, own = started.session, started.session.layers.depth
    estimated = started.session.document[1].settings
    with qtbot.waitSignal(started.answered) as heard:
        take(qtbot, panel, started)
    np.testing.assert_array_equal(heard.args[0].prediction.depth, expected)
    assert panel.layers.depth is None and session.document[1].settings.order == depth_key(expected)
    qtbot.waitUntil(lambda: np.array_equal(own.data, expected))
    assert "smaller is nearer" in panel.in_use.text()
    with qtbot.waitSignal(started.answered) as heard:
        started.undo()
    assert session.document[1].settings == estimated and session.order == ""
    assert not np.array_equal(heard.args[0].prediction.depth, expected)
    with qtbot.waitSignal(started.answered) as heard:
        started.redo()
    np.testing.assert_array_equal(heard.args[0].prediction.depth, expected)


def test_none_switches_order_off_and_another_source_on_again(started, panel, viewer, click, qtbot) -> None:
    click(started, 20, 30)
    choose(panel, ask.NONE)
    with qtbot.waitSignal(started.answered):
        panel.use()
    assert started.session.layers.shown_mask().sum() == 1  # the fake's discs are as large as order is strong
    assert panel.in_use.text() == "In use: no order."
    choose(panel, ask.OWN)
    with qtbot.waitSignal(started.answered):
        panel.use()
    assert started.session.layers.shown_mask().sum() == 113


def test_the_session_file_has_the_map_beside_it(started, panel, viewer, click, qtbot, tmp_path: Path, notes) -> None:
    expected = ranges(viewer, panel)
    take(qtbot, panel, started)
    click(started, 20, 30)
    started.accept()
    path = tmp_path / "work.json"
    started.save_session(path)
    beside = map_file(path, depth_key(expected))
    qtbot.waitUntil(path.is_file)
    assert beside.is_file()  # before the file that names it
    written = beside.stat().st_mtime_ns
    said = load_session(path).order["maps"][depth_key(expected)]
    assert (said["source"], said["layer"], said["nearer"], said["invalid"]) == ("given", "ranges", "smaller", 0)

    def again() -> OISWidget:
        widget = OISWidget(viewer, type(started._holder._factory.__name__, (started._holder._factory,), {}))
        qtbot.addWidget(widget)
        widget.image.value = viewer.layers["scan"]
        with qtbot.waitSignal(widget.embedded):
            widget.start()
        widget.load_session(path)
        qtbot.waitUntil(lambda: len(widget.session.document) == 1)
        with qtbot.waitSignal(widget.answered) as heard:
            widget.reopen_object(1)
        np.testing.assert_array_equal(heard.args[0].clicks.points, [(20, 30)])
        widget.answer = heard.args[0]
        return widget

    path.unlink()
    started.save_session(path)
    qtbot.waitUntil(path.is_file)
    assert beside.stat().st_mtime_ns == written  # it lies there already
    started.shutdown()
    widget = again()
    np.testing.assert_array_equal(widget.answer.prediction.depth, expected)
    widget.shutdown()
    beside.unlink()
    widget = again()
    assert not np.array_equal(widget.answer.prediction.depth, expected)
    assert any("not here" in said and "smaller is nearer" in said for said in notes)
    panel = widget.order_panel
    assert panel.in_use.text() == "In use: depth estimated by the model, as the map of this object is not here."
    choose(panel, ask.LAYER, layer=viewer.layers["ranges"], nearer="smaller", unknown="0")
    with qtbot.waitSignal(widget.answered) as heard:  # the same as it was asked for: nothing of the object changes
        panel.use()
    np.testing.assert_array_equal(heard.args[0].prediction.depth, expected)
    assert "smaller is nearer" in panel.in_use.text()
    widget.shutdown()


def test_maps_are_written_whole_or_the_old_ones_stay(tmp_path: Path, monkeypatch) -> None:
    orders, path = Orders(), tmp_path / "work.json"
    key = orders.add(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), {})
    obj = SimpleNamespace(settings=SimpleNamespace(order=key))
    map_file(path, key).write_bytes(b"damaged")

    def full(file: Any, *_: Any, **__: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(InputError, match="cannot be written: No space left"):
        patch.setattr("tifffile.imwrite", full)
        orders.write(path, [obj])
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"damaged"]
    orders.write(path, [obj])
    assert set(read_maps(path, [key])) == {key}


def test_unknown_may_be_called_nan(started, panel, viewer, click, qtbot, tmp_path, notes) -> None:
    values = np.where(RANGES == 0, np.nan, RANGES)
    viewer.add_image(values, name="ranges")
    choose(panel, ask.LAYER, layer=viewer.layers["ranges"], nearer="smaller", unknown="nan")
    take(qtbot, panel, started)
    click(started, 20, 30)
    started.save_session(tmp_path / "work.json")
    qtbot.waitUntil((tmp_path / "work.json").is_file)
    assert "invalid" not in next(iter(load_session(tmp_path / "work.json").order["maps"].values()))
    choose(panel, ask.SURFACE, threshold="nan")
    panel.use()
    assert "finite number" in notes[-1]


@pytest.fixture
def stack(viewer: Any) -> Image:
    """A bright sheet that rises from left to right, in a stack of uneven spacing."""
    values = np.zeros((5, 12, 20), np.float32)
    for column in range(20):
        values[column // 4, :, column] = 100 + column
    return viewer.add_image(values, name="sheet", scale=(4, 1, 0.5), translate=(8, 3, 0))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_stack_gives_the_image_and_its_order(viewer, make, stack, axis, click, qtbot) -> None:
    widget = make()
    panel = widget.findChild(OrderPanel)
    choose(panel, ask.MAX, axis=axis, first="far", threshold="50")
    take(qtbot, panel, widget)
    expected = Projection(axis=axis, first="far", spacing=(4, 1, 0.5), threshold=50).compute(stack.data)
    made = widget.session.image
    assert made.name == "sheet maximum" and widget.session.plane.shape == expected.depth.shape
    np.testing.assert_array_equal(np.squeeze(made.data), expected.image)
    np.testing.assert_array_equal(widget.session.workbook.orders.depth(widget.session.order), expected.depth)
    if axis == 0:
        np.testing.assert_array_equal(made.data_to_world((2, 5)), stack.data_to_world((1, 2, 5))[1:])
        place = (5.0, 9.0)
    else:  # one pixel as thick as the stack, in its middle
        for edge, there in ((-0.5, -0.5), (0, 5.5), (0.5, 11.5)):
            np.testing.assert_allclose(made.data_to_world((2, edge, 5)), stack.data_to_world((2, there, 5)))
        place = (2.0, 0.0, 9.0)
    assert same_place(widget.session.layers.clicks, made)
    answer = click(widget, *place)
    assert answer.prediction.mask.any()


def test_a_projection_that_is_clicked_on_stays(viewer, make, stack, click, qtbot) -> None:
    widget = make()
    panel = widget.findChild(OrderPanel)
    widget.image.value = stack
    choose(panel, ask.MAX)
    panel.preview()
    qtbot.waitUntil(lambda: panel.layers.made is not None)
    made = panel.layers.made
    widget.image.value = made
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    panel.form.threshold.value = "0.2"
    panel.preview()
    qtbot.waitUntil(lambda: panel.layers.made is not None)
    assert made in viewer.layers and panel.layers.made is not made and widget.session.image is made


def test_a_second_projection_takes_the_place_of_the_first(viewer, make, stack, qtbot) -> None:
    panel = make().findChild(OrderPanel)
    choose(panel, ask.MAX)
    panel.preview()
    qtbot.waitUntil(lambda: "sheet maximum" in viewer.layers)
    first = panel.layers.made
    choose(panel, ask.MIN, stack=stack)
    panel.preview()
    qtbot.waitUntil(lambda: "sheet minimum" in viewer.layers)
    assert first not in viewer.layers
    assert sorted(layer.name for layer in viewer.layers) == ["sheet", "sheet minimum", "sheet minimum order preview"]


class Slow:
    """A stack that waits at each plane until it is let go, and says in which thread it was read."""

    shape, dtype, ndim = (5, 12, 20), np.dtype(np.float32), 3

    def __init__(self) -> None:
        self.go, self.threads = threading.Event(), set()

    def __getitem__(self, key: Any) -> np.ndarray:
        self.threads.add(threading.current_thread().name)
        self.go.wait(10)
        return np.ones(self.shape, np.float32)[key]


def test_it_is_read_beside_the_viewer_and_can_be_cancelled(started, panel, stack, monkeypatch, qtbot) -> None:
    slow = Slow()
    choose(panel, ask.MAX)
    monkeypatch.setattr(ask, "image_array", lambda layer: slow)
    panel.preview()
    qtbot.waitUntil(lambda: bool(slow.threads))
    assert panel.cancel_button.isEnabled() and not panel.use_button.isEnabled()
    panel.cancel()
    slow.go.set()
    started.thread("order").close()
    started.thread("order").wait()
    assert panel.layers.made is None and panel.use_button.isEnabled()
    assert all(name.startswith("napari-ois") for name in slow.threads)


def taken(viewer: Any, make: Any, qtbot: Any) -> tuple[OISWidget, OrderPanel, Labels]:
    """A layer of heights is taken for a stack, on its first plane."""
    rng = np.random.default_rng(0)
    viewer.add_image(rng.random((3, 60, 80)), name="scan")
    layer = viewer.add_labels((rng.random((3, 60, 80)) * 200).astype(int), name="heights")
    widget = make()
    widget.image.value = viewer.layers["scan"]
    panel = widget.findChild(OrderPanel)
    choose(panel, ask.LAYER, layer=layer)
    viewer.dims.set_current_step(0, 0)
    take(qtbot, panel, widget)
    return widget, panel, layer


def test_what_was_taken_holds_for_the_next_plane(viewer, make, qtbot) -> None:
    widget, _, layer = taken(viewer, make, qtbot)
    for plane in (0, 2):
        viewer.dims.set_current_step(0, plane)
        if plane:
            widget.start()
        expected = prepare_depth(layer.data[plane], (60, 80))
        qtbot.waitUntil(lambda expected=expected: widget.session.order == depth_key(expected))
        assert widget.session.settings.order == depth_key(expected)


def test_a_layer_is_held_whatever_it_is_called_and_read_anew_after_a_correction(viewer, make, qtbot, notes) -> None:
    widget, panel, layer = taken(viewer, make, qtbot)
    heights = layer.data
    other = viewer.add_labels(heights[::-1].copy(), name="other")
    other.name, layer.name = "something", "measured"
    other.name = "heights"
    assert panel.form.layer.value is layer
    viewer.dims.set_current_step(0, 2)
    widget.start()
    key = depth_key(prepare_depth(heights[2], (60, 80)))
    qtbot.waitUntil(lambda: widget.session.order == key)
    layer.data[2, :30] = 199  # corrected in place, as a brush does
    panel.use()
    corrected = depth_key(prepare_depth(layer.data[2], (60, 80)))
    assert corrected != key
    qtbot.waitUntil(lambda: widget.session.order == corrected)
    layer.data[2, 30:] = 7
    widget.start()  # on the same plane: no less than on another
    again = depth_key(prepare_depth(layer.data[2], (60, 80)))
    qtbot.waitUntil(lambda: widget.session.order == again)


def test_an_object_begun_before_its_map_is_there_is_answered_with_it(viewer, make, qtbot) -> None:
    widget, _, layer = taken(viewer, make, qtbot)
    heights = layer.data
    viewer.dims.set_current_step(0, 2)
    widget.start()
    widget.session.layers.clicks.add((0, 20, 30))  # at once
    key = depth_key(prepare_depth(heights[2], (60, 80)))
    qtbot.waitUntil(lambda: widget.session.document[1].settings.order == key)
    qtbot.waitUntil(lambda: not widget.session.waiting)
    np.testing.assert_array_equal(widget.session.answer.prediction.depth, prepare_depth(heights[2], (60, 80)))


def test_other_pixels_have_another_order(viewer, make, monkeypatch, qtbot) -> None:
    viewer.add_image(RANGES, name="scan")
    widget = make()
    panel = widget.findChild(OrderPanel)
    monkeypatch.setattr(
        Estimated, "compute", lambda self, image, **_: DepthMap(prepare_depth(image, (60, 80)), np.ones((60, 80), bool))
    )
    choose(panel, ask.MODEL)
    take(qtbot, panel, widget)
    first = widget.session.order
    widget.image.value.data = RANGES[::-1].copy()
    qtbot.waitUntil(lambda: widget.session is None)
    widget.start()
    qtbot.waitUntil(lambda: widget.session.order not in ("", first))
    assert widget.session.order == depth_key(prepare_depth(RANGES[::-1], (60, 80)))


def test_on_another_slice_than_the_session_s_it_takes_that_of_the_session(viewer, make, click, qtbot) -> None:
    rng = np.random.default_rng(0)
    viewer.add_image(rng.random((3, 60, 80)), name="scan")
    heights = (rng.random((3, 60, 80)) * 200).astype(int)
    viewer.add_labels(heights, name="heights")
    viewer.dims.set_current_step(0, 0)
    widget = make()
    widget.image.value = viewer.layers["scan"]
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    click(widget, 0, 20, 30)
    panel = widget.findChild(OrderPanel)
    choose(panel, ask.LAYER, layer=viewer.layers["heights"])
    viewer.dims.set_current_step(0, 2)
    take(qtbot, panel, widget)
    key = depth_key(prepare_depth(heights[0], (60, 80)))
    assert widget.session.order == key == widget.session.object.settings.order


def test_what_does_not_fit_is_said(started, panel, viewer, qtbot, notes) -> None:
    viewer.add_image(np.zeros((5, 5)), name="small")
    choose(panel, ask.LAYER)
    assert panel.form.layer.value is None
    panel.use()
    assert "one value for each pixel" in notes[-1]
    viewer.add_image(np.full((60, 80), np.nan), name="empty", contrast_limits=(0, 1))
    panel.form.layer.value = viewer.layers["empty"]
    panel.use()
    qtbot.waitUntil(lambda: "no finite value" in notes[-1])
    panel.form.unknown.value = "nothing"
    panel.preview()
    assert "is no number" in notes[-1]
    choose(panel, ask.MAX)
    panel.use()
    assert "no stack" in notes[-1]
    assert started.session.order == ""


def test_another_model_s_depth_is_taken(started, panel, monkeypatch, qtbot) -> None:
    """The network is a stand-in whose depth is the red channel; its loading is tested on its own floor."""

    class Red(torch.nn.Module):
        def embed_image(self, image: torch.Tensor, depth: torch.Tensor | None = None) -> SimpleNamespace:
            return SimpleNamespace(depth=image[:, :1], raw_depth=image[:, :1])

    asked = []

    def load_model(name: str) -> tuple[torch.nn.Module, SimpleNamespace]:
        asked.append(name)
        return Red(), SimpleNamespace(preset="ois-vits", available=False, note="no weights for masks")

    monkeypatch.setattr("napari_ois.checkpoints.load_model", load_model)
    panel.form.model.choices = ["ois-vits"]
    choose(panel, ask.MODEL, model="ois-vits")
    take(qtbot, panel, started)
    expected = Estimated("ois-vits").compute(started.session.image.data).depth
    assert asked == ["ois-vits", "ois-vits"]
    assert np.ptp(expected) > 0.5
    assert started.session.order == depth_key(expected)


def test_the_record_is_json(viewer, stack) -> None:
    request = ask.about_stack(ask.SURFACE, viewer, stack, 2, first="near", threshold=3.0)
    assert json.loads(json.dumps(request.record))["spacing"] == [4.0, 1.0, 0.5]


def test_the_preview_is_no_part_of_what_the_network_sees(started, panel, viewer, qtbot) -> None:
    ranges(viewer, panel)
    panel.preview()
    qtbot.waitUntil(lambda: panel.layers.depth is not None)
    assert panel.layers.depth.visible and panel.layers.depth in viewer.layers
    assert [layer.name for layer in started.session.sight.layers()] == ["scan", "ranges"]
