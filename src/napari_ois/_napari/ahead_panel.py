"""One rule: the panel shows how far a stack is prepared; it embeds nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.widget import OISWidget

WHAT = (
    "Embeds every slice now, so that Start on any of them is at once. Clicks go first. Of the large models it is "
    "kept on disk for another day; their next slices are also prepared while you think."
)


class AheadPanel(QWidget):
    """Two buttons and a bar.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : OISWidget
    """

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget) -> None:
        super().__init__()
        self._widget = widget
        self.begin_button = QPushButton("Precompute this stack")
        self.begin_button.setToolTip(WHAT)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Embed no further slice; what is done is kept.")
        self.progress = QProgressBar()
        self.progress.setFormat("%v of %m slices")
        self.status = QLabel(WHAT)
        self.status.setWordWrap(True)
        buttons = QHBoxLayout()
        buttons.addWidget(self.begin_button, 1)
        buttons.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        self.begin_button.clicked.connect(lambda checked=False: widget.precompute_stack())
        self.cancel_button.clicked.connect(lambda checked=False: widget.cancel_precompute())
        widget.ahead.changed.connect(self._show)
        widget.begun.connect(self._show)
        widget.ended.connect(self._show)
        self._show()

    def _show(self, *_: object) -> None:
        ahead = self._widget.ahead
        busy = ahead.running and ahead.wanted
        self.begin_button.setEnabled(self._widget.session is not None and not busy)
        self.cancel_button.setEnabled(busy)
        self.progress.setVisible(ahead.wanted and ahead.count > 0)
        self.progress.setMaximum(max(1, ahead.count))
        self.progress.setValue(ahead.done)
