"""One rule: this panel shows how sure the mask is, and turns the threshold; what it shows it is told.

While the slider moves, the mask follows; where it rests is one step of the history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider
from superqt.utils import qdebounced

from napari_ois._napari.confidence_layers import PROBABILITY, UNSURE
from napari_ois._napari.parts import make_button, make_row
from napari_ois.annotation.confidence import HIGHEST, LOWEST

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.widget import OISWidget

RESTS = 250
"""Milliseconds without a move after which the slider rests."""


class ConfidencePanel(QWidget):
    """Threshold, layers, suggested click and score.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : OISWidget
    """

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget) -> None:
        super().__init__()
        self._widget, self._confidence = widget, widget.confidence
        self._turning = False
        self.threshold = _slider(
            LOWEST, HIGHEST, "Probability above which a pixel belongs to the object. No new answer."
        )
        self.reset_button = make_button("Reset", "The model's own threshold.")
        self.connected = QCheckBox("Only parts with a click")
        self.connected.setToolTip("Leave out parts of the mask that no positive click lies on. No new answer.")
        self.probability = QCheckBox("Probability")
        self.probability.setToolTip("A layer of the probability of each pixel to belong to the object.")
        self.unsure = QCheckBox("Unsure pixels")
        self.unsure.setToolTip("A layer of the pixels whose probability is within the band around the threshold.")
        self.band = _slider(0.01, 0.45, "How near to the threshold a probability is unsure.")
        self.suggest_button = make_button("Suggest next click", "A ring in the middle of the largest unsure region.")
        self.on_button = make_button("It is on the object", "Click there, positive.")
        self.off_button = make_button("It is not", "Click there, negative.")
        self.sentence, self.warning = QLabel(), QLabel()
        for label in (self.sentence, self.warning):
            label.setWordWrap(True)
        self._lay_out()
        self._rest = qdebounced(self._set_threshold, timeout=RESTS)
        self.threshold.valueChanged.connect(self._on_turned)
        self.reset_button.clicked.connect(lambda: widget.reset_threshold())
        self.connected.clicked.connect(lambda: widget.toggle_connected())
        self.probability.clicked.connect(lambda: widget.toggle_probability())
        self.unsure.clicked.connect(lambda: widget.toggle_unsure())
        self.band.valueChanged.connect(self._confidence.set_band)
        self.suggest_button.clicked.connect(lambda: widget.suggest_click())
        self.on_button.clicked.connect(lambda: widget.take_suggestion(True))
        self.off_button.clicked.connect(lambda: widget.take_suggestion(False))
        self._confidence.changed.connect(self._show)
        self._show()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.sentence)
        layout.addWidget(self.warning)
        layout.addWidget(QLabel("Threshold"))
        layout.addLayout(make_row(self.threshold, self.reset_button))
        layout.addWidget(self.connected)
        layout.addLayout(make_row(self.probability, self.unsure))
        layout.addLayout(make_row(QLabel("Band"), self.band))
        layout.addWidget(self.suggest_button)
        layout.addLayout(make_row(self.on_button, self.off_button))

    def _on_turned(self, value: float) -> None:
        self._turning = True
        self._confidence.try_threshold(value)
        self._rest()

    def _set_threshold(self) -> None:
        if self._turning:
            self._turning = False
            self._confidence.set_threshold(self.threshold.value())

    def _show(self) -> None:
        """Show what the confidence says; the slider stays in the user's hand."""
        confidence = self._confidence
        if not self._turning:
            _set(self.threshold, confidence.threshold)
        _set(self.band, confidence.band)
        for box, what in ((self.probability, PROBABILITY), (self.unsure, UNSURE)):
            box.setChecked(confidence.shows(what))
        self.sentence.setText(confidence.sentence)
        self.warning.setText(confidence.warning)
        self.warning.setVisible(bool(confidence.warning))
        active, mask = confidence.session is not None, confidence.answer is not None
        self.threshold.setEnabled(active)
        self.reset_button.setEnabled(active)
        self.connected.setEnabled(active)
        self.connected.setChecked(confidence.connected)
        self.suggest_button.setEnabled(mask)
        for button in (self.on_button, self.off_button):
            button.setEnabled(confidence.suggestion is not None)


def _slider(low: float, high: float, tooltip: str) -> QLabeledDoubleSlider:
    slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setSingleStep(0.01)  # type: ignore[arg-type]  # its stub is that of a slider of integers
    slider.setDecimals(2)
    slider.setToolTip(tooltip)
    return slider


def _set(slider: QLabeledDoubleSlider, value: float) -> None:
    slider.blockSignals(True)
    slider.setValue(value)
    slider.blockSignals(False)
