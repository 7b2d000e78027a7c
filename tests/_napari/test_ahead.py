"""A stack is embedded ahead, nearest slices first; clicks go between; neighbours are prepared where that takes long."""

from __future__ import annotations

import gc
import weakref
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from napari_ois._napari import ahead as module
from napari_ois._napari.ahead import planes_of
from napari_ois._napari.ahead_panel import AheadPanel
from napari_ois._napari.predictors import make_predictor


@pytest.fixture
def opened(viewer: Any, make: Any, fake: Any, qtbot: Any) -> Any:
    """On slice 2 of 5; notes what is embedded, by the slice's own value."""
    seen: list[int] = []

    class Noting(fake):
        def set_image(self, image: Any, *, depth: Any = None) -> None:
            seen.append(int(np.asarray(image).max()))
            super().set_image(image, depth=depth)

        def yielding(self, waiting: Any) -> Any:
            return nullcontext()

    stack = np.zeros((5, 30, 40), np.uint8)
    stack[:, 0, 0] = np.arange(1, 6)
    viewer.add_image(stack, name="stack", contrast_limits=(0, 5))
    viewer.dims.set_current_step(0, 2)
    widget = make(Noting)
    widget.seen = seen
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    return widget


def test_the_nearest_slices_come_first_and_the_panel_follows(opened, qtbot) -> None:
    panel = opened.findChild(AheadPanel)
    assert panel.begin_button.isEnabled() and not panel.cancel_button.isEnabled()
    opened.precompute_stack()
    assert panel.cancel_button.isEnabled()
    qtbot.waitUntil(lambda: not opened.ahead.running)
    assert opened.seen[0] == 3 and opened.seen[1] == 3
    assert set(opened.seen[2:4]) == {2, 4} and set(opened.seen[4:]) == {1, 5}
    assert opened.ahead.done == 5 and panel.progress.value() == 5
    assert panel.begin_button.isEnabled()


def test_a_click_is_answered_while_the_stack_is_prepared(opened, click, fake, qtbot) -> None:
    fake.delay = 0.05
    opened.precompute_stack()
    answer = click(opened, 0, 10, 10)
    assert answer.prediction.mask.any()
    assert opened.ahead.done < 5
    qtbot.waitUntil(lambda: not opened.ahead.running)
    assert opened.ahead.done == 5


def test_it_goes_on_when_another_slice_is_begun_but_not_with_another_image(opened, fake, viewer, qtbot) -> None:
    fake.delay = 0.05
    opened.precompute_stack()
    viewer.dims.set_current_step(0, 4)
    with qtbot.waitSignal(opened.embedded):
        opened.start()
    qtbot.waitUntil(lambda: not opened.ahead.running)
    assert opened.ahead.done == 5
    other = viewer.add_image(np.zeros((30, 40), np.uint8), name="other")
    opened.precompute_stack()
    opened.image.value = other
    with qtbot.waitSignal(opened.embedded):
        opened.start()
    qtbot.waitUntil(lambda: not opened.ahead.running)
    assert opened.ahead.done < 5


def test_cancelled_no_further_slice_is_embedded(opened, fake, qtbot) -> None:
    fake.delay = 0.05
    opened.precompute_stack()
    opened.cancel_precompute()
    qtbot.waitUntil(lambda: not opened.ahead.running)
    assert len(opened.seen) < 6


def test_neighbours_are_prepared_where_embedding_takes_long(opened, monkeypatch, qtbot) -> None:
    assert len(opened.seen) == 1 and not opened.ahead.running  # it was quick
    monkeypatch.setattr(module, "LONG", 0.0)
    with qtbot.waitSignal(opened.embedded):
        opened.start()
    qtbot.waitUntil(lambda: len(opened.seen) == 4)
    assert set(opened.seen[2:]) == {2, 4}


def test_a_single_plane_is_no_stack(started, notes) -> None:
    started.precompute_stack()
    assert "one plane" in notes[-1]
    assert [plane.index for plane in planes_of(started.session)] == [(0, 0)]


def test_the_viewer_s_predictor_keeps_what_it_has_embedded() -> None:
    predictor = make_predictor("ois-compact", "cpu")
    image = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
    predictor.set_image(image)
    twin = predictor.twin()
    predictor._runner.network.embed_image = None  # type: ignore[attr-defined]
    twin.set_image(image)
    assert twin.depth.shape == (40, 50)
    assert predictor._runner._cache.store is None  # type: ignore[attr-defined] # in memory: it is quickly made again


def test_what_has_ended_is_let_go_of(opened, qtbot) -> None:
    opened.precompute_stack()
    qtbot.waitUntil(lambda: not opened.ahead.running)
    ended = weakref.ref(opened.ahead._job)
    opened.precompute_stack()
    qtbot.waitUntil(lambda: not opened.ahead.running)
    gc.collect()
    assert ended() is None
