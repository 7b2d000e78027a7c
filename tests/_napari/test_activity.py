"""What takes long is in napari's activity dock; what does not never is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.utils import progress

from napari_ois._napari import activity
from napari_ois._napari.activity import Activity


@pytest.fixture
def shown(qapp: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Activity]:
    monkeypatch.setattr(activity, "PATIENCE", 30)
    made = Activity()
    yield made
    made.show("")


def test_a_bar_comes_after_a_while_says_what_is_going_on_and_goes(shown, qtbot) -> None:
    shown.show("embedding")
    assert shown.bar is None
    qtbot.waitUntil(lambda: shown.bar is not None)
    bar = shown.bar
    assert isinstance(bar, progress)
    assert "embedding" in bar.desc
    shown.show("answering")
    assert shown.bar is bar and "answering" in bar.desc
    shown.show("")
    assert shown.bar is None


def test_what_is_over_soon_has_no_bar(shown, qtbot) -> None:
    shown.show("embedding")
    shown.show("")
    qtbot.wait(60)
    assert shown.bar is None


def test_the_widget_shows_a_slow_embedding_and_closing_ends_it(viewer, make, fake, qtbot, monkeypatch) -> None:
    monkeypatch.setattr(activity, "PATIENCE", 20)
    viewer.add_image(np.zeros((20, 20)))
    fake.delay = 0.3
    widget = make()
    bar = widget._holder.activity
    widget.start()
    qtbot.waitUntil(lambda: bar.bar is not None)
    assert "embedding" in bar.bar.desc
    widget.shutdown()
    assert bar.bar is None
