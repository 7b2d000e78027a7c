"""Ten clicks on a 1024 px image: each answered, the viewer alive meanwhile, the labels a script's."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_ois._napari.widget import OISWidget
from napari_ois.annotation import Clicks

SIDE = 1024


WAITED = Path("/proc/thread-self/schedstat")


def own_time() -> float:
    """Seconds, less those in which this thread could have run but the machine was busy with others' work.

    Waiting for Python's lock, which a thread of ours could hold too long, is not subtracted.
    """
    waited = int(WAITED.read_text().split()[1]) * 1e-9 if WAITED.exists() else 0.0
    return time.perf_counter() - waited


class Ticks:
    """A timer in the event loop that remembers its longest pause."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = own_time()
        self._timer = QTimer()
        self._timer.setInterval(10)
        self._timer.timeout.connect(self._tick)

    def __enter__(self) -> Ticks:
        self._last = own_time()
        self._timer.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._tick()
        self._timer.stop()

    def _tick(self) -> None:
        now = own_time()
        self.longest, self._last = max(self.longest, now - self._last), now


def picture() -> np.ndarray:
    """A bright disc and a square on noise, RGB uint8."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((SIDE, SIDE))
    plane = rng.normal(60, 8, (SIDE, SIDE))
    plane[(rows - 350) ** 2 + (columns - 400) ** 2 < 160**2] += 120
    plane[600:850, 550:900] += 70
    return np.clip(np.stack([plane, plane * 0.9, plane * 0.8], axis=-1), 0, 255).astype(np.uint8)


def ten_changes(layer: Any, toggle: Callable[[], None]) -> list[Callable[[], None]]:
    """Add, move and delete clicks, as a user does."""

    def add(row: float, column: float) -> Callable[[], None]:
        return lambda: layer.add((row, column))

    def move(index: int, row: float, column: float) -> Callable[[], None]:
        def act() -> None:
            data = layer.data.copy()
            data[index] = (row, column)
            layer.data = data

        return act

    def delete(index: int) -> Callable[[], None]:
        def act() -> None:
            layer.selected_data = {index}
            layer.remove_selected()

        return act

    def negative(row: float, column: float) -> Callable[[], None]:
        return lambda: (toggle(), layer.add((row, column)), toggle())

    return [
        add(350, 400),
        add(420, 330),
        negative(700, 700),
        add(300.25, 480.75),
        move(1, 400, 350),
        negative(350, 700),
        delete(3),
        add(250, 400),
        move(0, 340, 410),
        delete(2),
    ]


def by_script(predictor: Any, image: np.ndarray, clicks: Clicks) -> Any:
    """What ten lines of a user's script give for the same clicks, one after the other."""
    predictor.set_image(image)
    prediction, previous = None, None
    for count in range(1, len(clicks) + 1):
        points, labels = clicks.points[:count], clicks.labels[:count]
        if labels.any():
            prediction = predictor.predict(points, labels, previous=previous)
            previous = prediction.state
    return prediction


def play(widget: OISWidget, qtbot: Any) -> tuple[Any, Ticks]:
    with qtbot.waitSignal(widget.embedded, timeout=120_000):
        widget.start()
    answer = None
    layer = widget.session.layers.clicks
    qtbot.wait(100)
    with Ticks() as ticks:
        for change in ten_changes(layer, widget.toggle_polarity):
            with qtbot.waitSignal(widget.answered, timeout=120_000) as heard:
                change()
            answer = heard.args[0]
            assert answer.clicks == widget.session.clicks
    return answer, ticks


def test_ten_clicks_with_a_slow_predictor(window, fake, qtbot) -> None:
    fake.delay, fake.radius = 0.15, 120.0
    image = picture()
    window.add_image(image, name="scan")
    widget = OISWidget(window, fake)
    qtbot.addWidget(widget)
    answer, ticks = play(widget, qtbot)
    fake.delay = 0.0
    expected = by_script(fake(), image, answer.clicks)
    np.testing.assert_array_equal(window.layers["scan preview"].data != 0, expected.mask)
    widget.accept()
    np.testing.assert_array_equal(window.layers["scan objects"].data == 1, expected.mask)
    assert ticks.longest < 0.1
    widget.shutdown()


def test_ten_clicks_with_the_real_network(window, qtbot) -> None:
    torch = pytest.importorskip("torch")
    from napari_ois.network import PRESETS, build
    from napari_ois.segmentation.predictor import Predictor

    torch.manual_seed(0)
    preset = PRESETS["ois-compact"]
    network = build(preset).eval()  # random weights: any answer must be the script's answer

    def factory(model: str, device: str) -> Predictor:
        return Predictor.from_network(network, input_size=preset.input_size, multiple=preset.multiple, device="cpu")

    image = picture()
    window.add_image(image, name="scan")
    widget = OISWidget(window, factory)
    qtbot.addWidget(widget)
    answer, ticks = play(widget, qtbot)
    expected = by_script(factory("", ""), image, answer.clicks)
    np.testing.assert_allclose(answer.prediction.probability, expected.probability, atol=1e-5)
    np.testing.assert_allclose(answer.order_positive, expected.positive_order_map, atol=1e-6)
    np.testing.assert_array_equal(window.layers["scan preview"].data != 0, answer.prediction.mask)
    assert np.mean(answer.prediction.mask != expected.mask) < 1e-4
    if expected.mask.any():
        widget.accept()
        accepted = window.layers["scan objects"].data == 1
        np.testing.assert_array_equal(accepted, answer.prediction.mask)
    assert ticks.longest < 0.1
    widget.shutdown()
