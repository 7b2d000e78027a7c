"""One rule: the panel shows how far an object has come through the stack, and where to look; it fills no slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QSpinBox,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_ois._napari.parts import make_button, make_row, make_table
from napari_ois._napari.stack_work import DIRECTIONS

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.session import Session
    from napari_ois._napari.stack_work import StackWork
    from napari_ois._napari.widget import OISWidget

HEADERS = ("Slice", "Doubt", "Why")
TABLE_HEIGHT = 120


class StackPanel(QWidget):
    """Controls, progress and the list of slices to look at.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : OISWidget
    """

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget) -> None:
        super().__init__()
        self._widget = widget
        self.axis = QComboBox()
        self.axis.setToolTip("The axis that the slices follow each other on.")
        self.direction = QComboBox()
        self.direction.addItems(DIRECTIONS)
        self.direction.setToolTip("Where to go from the slices that you have clicked on.")
        self.reach = QSpinBox()
        self.reach.setRange(0, 99999)
        self.reach.setSpecialValueText("all")
        self.reach.setToolTip("How many slices to go at most, beyond those that you have clicked on.")
        self.propagate_button = make_button("Propagate", "Carry the object through the stack; clicks go between.")
        self.cancel_button = make_button("Cancel", "Fill no further slice; what is filled stays.")
        self.settle_button = make_button(
            "Slice is right", "Settle the slice that you see; only its neighbours follow anew."
        )
        self.end_button = make_button("Ends before", "The object is not on the slice that you see, nor beyond.")
        self.accept_button = make_button(
            "Accept stack", "Write all slices into the labels, with one id and as one step."
        )
        self.discard_button = make_button("Discard", "Forget what was propagated; your clicks stay.")
        self.progress = QProgressBar()
        self.progress.setFormat("%v of %m slices")
        self.table = make_table(HEADERS, TABLE_HEIGHT)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.status = QLabel()
        self.status.setWordWrap(True)
        self._lay_out()
        for button, action in (
            (self.propagate_button, self._propagate),
            (self.cancel_button, widget.cancel_propagation),
            (self.settle_button, widget.settle_slice),
            (self.end_button, widget.end_stack),
            (self.accept_button, widget.accept_stack),
            (self.discard_button, widget.discard_stack),
        ):
            button.clicked.connect(lambda checked=False, action=action: action())
        self.table.cellClicked.connect(self._on_row)
        widget.begun.connect(self._on_begun)
        widget.ended.connect(self._show)
        widget.stack_changed.connect(self._show)
        self._show()

    @property
    def rows(self) -> list[int]:
        """The slices listed, the most doubtful first."""
        return [int(self.table.item(row, 0).data(Qt.ItemDataRole.UserRole)) for row in range(self.table.rowCount())]

    def _lay_out(self) -> None:
        form = QGridLayout()
        for row, (name, control) in enumerate(
            (("Along", self.axis), ("Direction", self.direction), ("Slices", self.reach))
        ):
            form.addWidget(QLabel(name), row, 0)
            form.addWidget(control, row, 1)
        form.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addLayout(make_row(self.propagate_button, self.cancel_button))
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addWidget(self.table)
        layout.addLayout(make_row(self.settle_button, self.end_button))
        layout.addLayout(make_row(self.accept_button, self.discard_button))

    def _propagate(self) -> None:
        reach = self.reach.value() or None
        self._widget.propagate(self.direction.currentText(), self.axis.currentData(), reach)

    def _on_begun(self, session: Session) -> None:
        axes = self._widget.stack_axes()
        if axes != [self.axis.itemData(n) for n in range(self.axis.count())]:
            self.axis.clear()
            for axis in axes:
                label = str(session.image.axis_labels[axis])
                name = f"axis {axis}" if label.lstrip("-").isdigit() else label
                self.axis.addItem(f"{name}, {session.image.data.shape[axis]} slices", axis)
        self._show()

    def _on_row(self, row: int, column: int) -> None:
        self._widget.show_slice(self.rows[row])

    def _show(self) -> None:
        work = self._widget.stack_work
        active = self._widget.session is not None and self.axis.count() > 0
        running = work is not None and work.running
        self.propagate_button.setEnabled(active and not running)
        self.cancel_button.setEnabled(running)
        for button in (self.settle_button, self.end_button, self.discard_button):
            button.setEnabled(work is not None)
        self.accept_button.setEnabled(work is not None and not running)
        self.progress.setVisible(running)
        if work is not None and running:
            self.progress.setMaximum(max(1, work.total))
            self.progress.setValue(work.done)
        self.status.setText(_say(active, work))
        self._show_rows(work)

    def _show_rows(self, work: StackWork | None) -> None:
        found = () if work is None else work.stack.review()
        self.table.setVisible(bool(found))
        self.table.setRowCount(len(found))
        for row, one in enumerate(found):
            for column, text in enumerate((str(one.index), f"{one.doubt:.2f}", one.flagged)):
                item = QTableWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, one.index)
                item.setToolTip(f"Slice {one.index}: {one.flagged}. Click to go there.")
                self.table.setItem(row, column, item)
        self.table.resizeRowsToContents()  # a reason may take two lines


def _say(active: bool, work: StackWork | None) -> str:
    if work is None:
        return "Click on an object on one slice, then press Propagate." if active else "Needs an image with slices."
    known = work.stack.slices
    if not known:
        return f"{work.name}: nothing yet."
    found = [one.index for one in known if not one.is_empty]
    where = f"slices {found[0]} to {found[-1]}" if found else "no slice"
    flagged = len(work.stack.review())
    look = f"{flagged} to look at." if flagged else "None is in doubt."
    return f"{work.name}: {where}, {len(work.stack.keys)} settled. {look} Click on any slice to correct it."
