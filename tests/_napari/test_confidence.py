"""A threshold turns without a new answer and is a step; what is unsure, and the click suggested, are shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_ois._napari.confidence_layers import PROBABILITY, UNSURE
from napari_ois._napari.confidence_panel import ConfidencePanel
from napari_ois._napari.measured import measure
from napari_ois.annotation import Clicks, Document, PlaneKey
from napari_ois.annotation.confidence import suggest_click
from napari_ois.segmentation.frame import Frame, View


@pytest.fixture
def fake(fake: Any) -> Any:
    """Its probability falls from the click outwards: 0.5 at half of 20 pixels."""
    answered = fake.predict

    def predict(self: Any, points: Any, labels: Any, previous: Any = None, **options: Any) -> Any:
        found = answered(self, points, labels, previous, **options)
        rows, columns = np.indices(self.depth.shape)
        distance = np.min([np.hypot(rows - row, columns - column) for row, column in points], axis=0)
        probability = np.clip(1 - distance / 20, 0, 1).astype(np.float32)
        mask = probability > 0.49
        return SimpleNamespace(**{**vars(found), "probability": probability, "mask": mask, "score": 0.7})

    fake.predict = predict
    return fake


@pytest.fixture
def panel(started: Any, viewer: Any, qtbot: Any) -> ConfidencePanel:
    made = ConfidencePanel(viewer, started)
    qtbot.addWidget(made)
    return made


def shown(widget: Any) -> np.ndarray:
    return widget.session.layers.shown_mask()


def calls(widget: Any) -> int:
    return widget._holder.worker._engine._predictor.calls


def test_the_slider_turns_the_mask_at_once_and_is_one_step(started, panel, click, qtbot) -> None:
    click(started, 30, 40)
    asked, history = calls(started), started.session.document.history
    before = shown(started).copy()
    for value in (0.6, 0.7, 0.8):
        panel.threshold.setValue(value)
        np.testing.assert_array_equal(shown(started), started.session.answer.prediction.probability > value)
        assert len(history.done) == 1
    qtbot.waitUntil(lambda: len(history.done) == 2)
    assert started.session.object.settings.threshold == 0.8
    assert calls(started) == asked
    started.undo()
    np.testing.assert_array_equal(shown(started), before)
    qtbot.waitUntil(lambda: panel.threshold.value() == pytest.approx(0.49))
    started.redo()
    assert shown(started).sum() < before.sum()
    started.reset_threshold()
    assert started.session.object.settings.threshold is None
    np.testing.assert_array_equal(shown(started), before)


def test_accept_takes_the_mask_and_the_score_of_the_threshold(started, panel, click, viewer, qtbot) -> None:
    click(started, 30, 40)
    started.set_threshold(0.8)
    probability = started.session.answer.prediction.probability
    panel.threshold.setValue(0.2)  # only tried
    started.accept()
    accepted = started.session.document[1].accepted
    np.testing.assert_array_equal(accepted.written.unpack(), probability > 0.8)
    assert accepted.score == pytest.approx(float(probability[probability > 0.8].mean()))
    qtbot.waitUntil(lambda: started.session.settings.threshold == 0.2)  # it holds for the next object
    assert started.session.document[1].settings.threshold == 0.8


def test_parts_without_a_click_are_left_out_without_a_new_answer(started, panel, click, qtbot) -> None:
    assert panel.connected.isEnabled() and not panel.connected.isChecked()
    click(started, 30, 40)
    click(started, 8, 72, positive=False)  # this network answers each click with a disk
    both, asked = shown(started).copy(), calls(started)
    probability = started.session.answer.prediction.probability
    assert both[30, 40] and both[8, 72]
    panel.connected.click()
    one = shown(started).copy()
    assert one[30, 40] and not one[8, 72] and calls(started) == asked
    qtbot.waitUntil(panel.connected.isChecked)
    started.undo()
    np.testing.assert_array_equal(shown(started), both)
    qtbot.waitUntil(lambda: not panel.connected.isChecked())
    started.redo()
    started.accept()
    accepted = started.session.document[1].accepted
    np.testing.assert_array_equal(accepted.written.unpack(), one)
    assert accepted.score == pytest.approx(float(probability[one].mean()))
    assert started.session.settings.connected  # it holds for the next object


def test_what_was_chosen_for_objects_to_come_outlasts_the_session(started, panel, qtbot) -> None:
    started.set_threshold(0.8)
    started.toggle_connected()
    with qtbot.waitSignal(started.embedded):
        started.start()
    assert started.session.settings.threshold == 0.8 and started.session.settings.connected
    qtbot.waitUntil(lambda: panel.connected.isChecked() and panel.threshold.value() == pytest.approx(0.8))


def test_the_layers_come_when_wanted_and_follow(started, panel, click, viewer, qtbot) -> None:
    assert not [layer for layer in viewer.layers if layer.name.endswith((PROBABILITY, UNSURE))]
    click(started, 30, 40)
    panel.probability.click()
    panel.unsure.click()
    probability, band = viewer.layers["scan probability"], viewer.layers["scan unsure"]
    values = started.session.answer.prediction.probability
    np.testing.assert_array_equal(probability.data, values)
    np.testing.assert_array_equal(band.data, (values >= 0.294) & (values <= 0.694))
    panel.band.setValue(0.05)
    qtbot.waitUntil(lambda: band.data.sum() < 400)
    click(started, 10, 10)
    qtbot.waitUntil(lambda: probability.data[10, 10] == 1)
    panel.probability.click()
    assert not probability.visible and not panel.probability.isChecked()
    started.clear()
    qtbot.waitUntil(lambda: not band.visible)
    viewer.layers.remove(band)
    click(started, 30, 40)
    qtbot.waitUntil(lambda: "scan unsure" in viewer.layers)  # still wanted
    started.shutdown()
    assert not [layer for layer in viewer.layers if layer.name.endswith((PROBABILITY, UNSURE))]


def test_the_suggested_click_is_shown_and_taken_in_the_kind_that_the_user_says(
    started, panel, click, viewer, notes, qtbot
) -> None:
    started.take_suggestion()
    assert "No click is suggested" in notes[-1]
    click(started, 30, 40)
    qtbot.waitUntil(panel.suggest_button.isEnabled)
    panel.suggest_button.click()
    qtbot.waitUntil(lambda: started.confidence.suggestion is not None)
    found = suggest_click(started.session.answer.prediction.probability, started.session.clicks)
    ring = viewer.layers["scan suggested click"]
    assert ring.visible and ring.data.tolist() == [[found.row, found.column]]
    assert panel.on_button.isEnabled()
    with qtbot.waitSignal(started.answered):
        panel.off_button.click()
    assert started.session.clicks.points.tolist()[-1] == [found.row, found.column]
    assert started.session.clicks.labels.tolist() == [1, 0]
    qtbot.waitUntil(lambda: not ring.visible and not panel.on_button.isEnabled())


def test_it_is_said_how_sure_the_mask_is(started, panel, click, qtbot) -> None:
    assert "Click on an object" in panel.sentence.text()
    click(started, 30, 40)
    values = started.session.answer.prediction.probability
    score = values[values > 0.49].mean()
    qtbot.waitUntil(lambda: f"Score {score:.2f}" in panel.sentence.text())
    assert f"{((values >= 0.294) & (values <= 0.694)).sum()} pixels" in panel.sentence.text()
    # The image is noise, and its depth is the image.
    assert "does not separate" in panel.warning.text()


def test_a_flat_depth_map_is_told_when_it_is_embedded(viewer, make, notes, qtbot) -> None:
    viewer.add_image(np.zeros((60, 80)), name="flat")
    widget = make()
    widget.start()
    qtbot.waitUntil(lambda: any("depth map of this image is flat" in note for note in notes))
    qtbot.waitUntil(lambda: "flat" in widget.confidence.warning)


def test_of_a_region_depth_and_clicks_are_compared_in_its_cells() -> None:
    """The answer lies on its frame; clicks and brush strokes are pixels of a plane that is far larger."""
    frame = Frame(View(5_000, 6_000, 5_060, 6_080), (60, 80))
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:50] = True
    depth = np.where(mask, 0.9, 0.1).astype(np.float32)
    clicks = Clicks().added(5_030, 6_040)
    prediction = SimpleNamespace(
        mask=mask, depth=depth, probability=mask * np.float32(0.9), frame=frame, points=clicks.points,
        labels=clicks.labels, score=0.9,
    )  # fmt: skip
    document = Document()
    obj = document.start(PlaneKey(), clicks=clicks)
    found = measure(obj, SimpleNamespace(prediction=prediction), (10_000, 12_000), 0.49, 0.2)
    assert found.area == mask.sum() and found.warning == ""
    flat = SimpleNamespace(**{**vars(prediction), "depth": np.full((60, 80), 0.5, np.float32)})
    assert measure(obj, SimpleNamespace(prediction=flat), (10_000, 12_000), 0.49, 0.2).warning
