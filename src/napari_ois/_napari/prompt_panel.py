"""One rule: this panel chooses what the mouse draws, and says what will become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.widget import OISWidget

EXPLANATION = (
    "A box goes around an object: drag it from corner to corner. A scribble goes along it, or along what does not "
    "belong to it: it is positive or negative as the next click would be. Either becomes clicks, in one step."
)


class PromptPanel(QWidget):
    """Buttons for boxes, scribbles and clicks.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : OISWidget
    """

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget) -> None:
        super().__init__()
        self.box_button = QPushButton("Box")
        self.box_button.setToolTip("Drag a box around the object; then correct it with clicks.")
        self.scribble_button = QPushButton("Scribble")
        self.scribble_button.setToolTip("Draw a line with the mouse held down; + Positive and − Negative say its kind.")
        self.clicks_button = QPushButton("Clicks")
        self.clicks_button.setToolTip("Go back to clicks.")
        buttons = QHBoxLayout()
        for button, verb in (
            (self.box_button, widget.draw_box),
            (self.scribble_button, widget.draw_scribble),
            (self.clicks_button, widget.draw_clicks),
        ):
            button.clicked.connect(lambda _, verb=verb: verb())
            buttons.addWidget(button)
        text = QLabel(EXPLANATION)
        text.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(text)
        self._enable(widget.session is not None)
        widget.begun.connect(lambda _: self._enable(True))
        widget.ended.connect(lambda: self._enable(False))

    def _enable(self, active: bool) -> None:
        for button in (self.box_button, self.scribble_button, self.clicks_button):
            button.setEnabled(active)
