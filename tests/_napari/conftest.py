"""A viewer, and a predictor that answers at once by rules that a test can compute itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks

from napari_ois._napari.preferences import FileStore
from napari_ois._napari.widget import OISWidget
from napari_ois.errors import InputError

PATIENCE = 60_000
"""Milliseconds that a test waits for what is to come, if it says nothing else."""


class FakePredictor:
    """Discs around positive clicks less discs around negative ones, as large as order is strong.

    The state is all that the answer goes on from. Each click takes ``delay`` seconds of sleep, as torch does outside
    of Python's lock.
    """

    radius = 6.0
    delay = 0.0
    device = "fake"
    precision = "fp32"
    model_info = None

    def __init__(self, model: str = "ois-compact", device: str = "auto") -> None:
        self.model = model
        self.thread = threading.get_ident()
        self.calls = 0

    def set_image(self, image: Any, *, depth: Any = None) -> None:
        time.sleep(self.delay)
        self.image = np.asarray(image)
        if depth is not None:
            self.depth = np.asarray(depth)
            return
        plane = self.image.mean(-1) if self.image.ndim == 3 else self.image.astype(float)
        self.depth = ((plane - plane.min()) / (np.ptp(plane) or 1)).astype(np.float32)

    def twin(self) -> FakePredictor:
        other = type(self)(self.model)
        other.thread = self.thread
        return other

    def state_from_mask(self, mask: Any, bound: Any = None) -> Any:
        return ("mask", int(np.sum(mask)))

    def predict(
        self, points: Any, labels: Any, previous: Any = None, *, order_strength: float = 1.0
    ) -> SimpleNamespace:
        assert threading.get_ident() == self.thread
        time.sleep(self.delay)
        self.calls += 1
        if not np.any(labels):
            raise InputError("There are only negative clicks.")
        rows, columns = np.indices(self.depth.shape)
        mask = np.zeros(self.depth.shape, bool)
        for (row, column), positive in zip(points, labels, strict=True):
            mask[(rows - row) ** 2 + (columns - column) ** 2 <= (self.radius * order_strength) ** 2] = bool(positive)
        at = [self.depth[round(float(r)), round(float(c))] for r, c in points]
        chosen = np.asarray(labels) == 1
        return SimpleNamespace(
            mask=mask,
            depth=self.depth,
            probability=mask.astype(np.float32),
            score=0.75,
            positive_order_map=np.abs(self.depth - np.mean(np.asarray(at)[chosen])),
            negative_order_maps=np.abs(self.depth[None] - np.asarray(at, np.float32)[~chosen][:, None, None]),
            state=(previous, tuple(map(tuple, np.asarray(points).tolist()))),
            points=np.asarray(points, np.float32),
            labels=np.asarray(labels, np.int64),
        )


@pytest.fixture(autouse=True)
def journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for this test's journals: none is ever written into the user's own."""
    folder = tmp_path / "journals"
    monkeypatch.setattr("napari_ois.annotation.journal.default_folder", lambda: folder)
    return folder


@pytest.fixture(autouse=True)
def preferences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    """Preferences of this test: the user's own are neither read nor written."""
    store = FileStore(tmp_path / "config" / "preferences.json")
    monkeypatch.setattr("napari_ois._napari.widget.open_store", lambda: store)
    return store


@pytest.fixture
def fake() -> type[FakePredictor]:
    """A fresh class, so that a test may change its delay."""
    return type("Fake", (FakePredictor,), {})


@pytest.fixture
def notes() -> Iterator[list[str]]:
    """The messages of the notifications shown during a test."""
    from napari.utils.notifications import notification_manager

    said: list[str] = []

    def hear(notification: Any) -> None:
        said.append(notification.message)

    notification_manager.notification_ready.connect(hear)
    yield said
    notification_manager.notification_ready.disconnect(hear)


@pytest.fixture
def qtbot(qtbot: Any) -> Any:
    """pytest-qt's, more patient by default: a slow or busy machine takes its time, and nothing is measured by it."""
    for wait in ("waitSignal", "waitSignals", "waitUntil"):
        setattr(qtbot, wait, partial(getattr(qtbot, wait), timeout=PATIENCE))
    return qtbot


@pytest.fixture
def no_threads(qtbot: Any) -> None:
    """Begin when the threads of earlier tests, which closing does not wait for, have ended."""
    qtbot.waitUntil(lambda: not any(thread.name.startswith("napari-ois") for thread in threading.enumerate()))


@pytest.fixture
def viewer(qapp: Any) -> ViewerModel:
    """All of a viewer but its window: enough for most, and made in no time."""
    return ViewerModel()


@pytest.fixture
def window(make_napari_viewer_proxy: Callable[..., Any]) -> Any:
    """A viewer with its window, given as napari gives it to a plugin."""
    return make_napari_viewer_proxy(show=False)


@pytest.fixture
def make(viewer: Any, fake: Any, qtbot: Any) -> Iterator[Callable[..., OISWidget]]:
    """Makes widgets, which are closed after the test."""
    made: list[OISWidget] = []

    def widget(factory: Any = fake) -> OISWidget:
        made.append(OISWidget(viewer, factory))
        qtbot.addWidget(made[-1])
        return made[-1]

    yield widget
    for each in made:
        each.shutdown()


@pytest.fixture
def started(viewer: Any, make: Any, qtbot: Any) -> OISWidget:
    """A widget that has embedded a random image "scan" of 60 x 80 pixels."""
    viewer.add_image(np.random.default_rng(0).random((60, 80)), name="scan")
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    return widget


@pytest.fixture
def click(qtbot: Any) -> Callable[..., Any]:
    """Clicks at a place and waits for the answer."""

    def at(widget: OISWidget, *place: float, positive: bool = True) -> Any:
        widget.set_polarity(positive)
        with qtbot.waitSignal(widget.answered) as heard:
            widget.session.layers.clicks.add(place)
        return heard.args[0]

    return at


@pytest.fixture
def moved_on(viewer: Any, make: Any, click: Any, qtbot: Any) -> OISWidget:
    """An object was accepted on plane 4 of a stack; the session goes on on plane 1."""
    viewer.add_image(np.random.default_rng(0).random((7, 60, 80)), name="scan", scale=(5, 1, 1))
    viewer.dims.set_current_step(0, 4)
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    click(widget, 0, 20, 30)
    widget.accept()
    viewer.dims.set_current_step(0, 1)
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    return widget


class Mouse:
    """Presses, drags and lets go on a layer as the canvas does, at data coordinates of the layer."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer

    def _event(self, kind: str, layer: Any, place: Any, modifiers: tuple[str, ...] = ()) -> Any:
        position = tuple(layer.data_to_world(place))
        missing = self.viewer.dims.ndim - len(position)
        return ReadOnlyWrapper(
            SimpleNamespace(
                type=kind,
                is_dragging=kind == "mouse_move",
                position=(*self.viewer.dims.point[:missing], *position),
                pos=np.asarray(place, float)[list(layer._slice_input.displayed)] * 20.0,  # in pixels of the canvas
                modifiers=modifiers,
                view_direction=None,
                up_direction=None,
                dims_displayed=list(self.viewer.dims.displayed),
                handled=False,
                button=1,
            ),
            exceptions=("handled",),
        )

    def press(self, layer: Any, place: Any) -> None:
        mouse_press_callbacks(layer, self._event("mouse_press", layer, place))

    def move(self, layer: Any, place: Any) -> None:
        mouse_move_callbacks(layer, self._event("mouse_move", layer, place))

    def release(self, layer: Any, place: Any) -> None:
        mouse_release_callbacks(layer, self._event("mouse_release", layer, place))

    def drag(self, layer: Any, places: Any) -> None:
        """From the first place over all others to the last."""
        self.press(layer, places[0])
        for place in places[1:]:
            self.move(layer, place)
        self.release(layer, places[-1])


@pytest.fixture
def mouse(viewer: ViewerModel) -> Mouse:
    """A mouse over the canvas of the viewer without a window."""
    return Mouse(viewer)
