"""One rule: the panel says what each format holds before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ois._napari.export_verbs import HOLDS

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.widget import OISWidget


NAMES = {
    "tiff": "TIFF labels (.tif)",
    "ome-zarr": "OME-Zarr labels (.zarr)",
    "coco": "COCO masks (.json)",
    "imagej": "ImageJ ROIs (.zip)",
    "csv": "Table of objects (.csv)",
}
"""What each format is called, for the user."""


class ExportPanel(QWidget):
    """A choice of formats, and a button.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : OISWidget
    """

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget) -> None:
        super().__init__()
        self._widget = widget
        self.format = QComboBox()
        for row, (name, text) in enumerate(HOLDS.items()):
            self.format.addItem(NAMES[name], name)
            self.format.setItemData(row, text, Qt.ItemDataRole.ToolTipRole)
        self.format.setToolTip("What the file is for.")
        self.holds = QLabel()
        self.holds.setWordWrap(True)
        self.button = QPushButton("Export…")
        self.button.setToolTip("Write the objects of the Labels layer chosen above, with their table, into a file.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.format, self.holds, self.button):
            layout.addWidget(part)
        self.format.currentIndexChanged.connect(self._show)
        self.button.clicked.connect(lambda checked=False: widget.export_objects(to=self.format.currentData()))
        widget.begun.connect(self._show)
        widget.ended.connect(self._show)
        self._show()

    def _show(self, *_: object) -> None:
        self.holds.setText(HOLDS[self.format.currentData()])
        self.button.setEnabled(self._widget.session is not None)
