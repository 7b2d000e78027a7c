"""One rule: the panel shows the objects and says what the user wants of them; it changes none itself."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QModelIndex, QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QGridLayout, QHeaderView, QTableView, QVBoxLayout, QWidget

from napari_ois._napari.key_button import KeyButton
from napari_ois._napari.object_model import NAME, SLICE, ObjectModel, Row
from napari_ois._napari.parts import make_button

TABLE_HEIGHT = 140


class ObjectsPanel(QWidget):
    """A table of objects and its buttons.

    Signals
    -------
    chosen(int)
        Show this object.
    reopened(int)
        Take it up again.
    renamed(int, str)
    """

    chosen = Signal(int)
    reopened = Signal(int)
    renamed = Signal(int, str)

    def __init__(self) -> None:
        super().__init__()
        self.model = ObjectModel(self)
        self.table = _Table()
        self.table.setModel(self.model)
        self.model.renamed.connect(self.renamed)
        header = self.table.horizontalHeader()
        for column in range(self.model.columnCount()):  # the name takes what the others leave
            fits = QHeaderView.ResizeMode.Stretch if column == NAME else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(column, fits)
        self.table.doubleClicked.connect(self._on_double_click)
        self.table.clicked.connect(self._on_click)
        self.previous_button = KeyButton("◀", "Go to the object before.", "previous_object")
        self.next_button = KeyButton("▶", "Go to the next object.", "next_object")
        self.reopen_button = KeyButton(
            "Reopen",
            "Take the object out of the labels and go on clicking; accepted again, it keeps its label. "
            "A double click on its row, not on the name, does the same.",
            "reopen_object",
        )
        self.new_button = make_button("New", "Begin another object; the one that you are at stays open.")
        self.seed_button = make_button(
            "Seed from the selected label",
            "Begin an object from the label that is selected in the active Labels layer: pick one there "
            "(napari's picker, key L), then press this.",
        )
        self.colour_button = make_button("Colour…", "Give the object another colour.")
        self.delete_button = make_button("Delete", "Delete the object, also from the labels; can be undone.")
        buttons = QGridLayout()
        for place, button in (
            ((0, 0), self.previous_button), ((0, 1), self.next_button), ((0, 2), self.new_button),
            ((1, 0), self.reopen_button), ((1, 1), self.colour_button), ((1, 2), self.delete_button),
            ((2, 0, 1, 3), self.seed_button),
        ):  # fmt: skip
            button.setMinimumWidth(40)
            buttons.addWidget(button, *place)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(buttons)
        self.show_rows((), None, False)

    @property
    def selected(self) -> int | None:
        """The number of the object whose row is selected."""
        rows = self.table.selectionModel().selectedRows()
        return self.model.rows[rows[0].row()].number if rows else None

    def show_rows(self, rows: Sequence[Row], current: int | None, planes: bool) -> None:
        """Show objects.

        Parameters
        ----------
        rows : sequence of Row
        current : int or None
            The number of the object that the user is at; its row is selected.
        planes : bool
            Whether there is more than one plane, so that the objects' own are worth a column.
        """
        self.table.setColumnHidden(SLICE, not planes)
        self.model.show(rows)
        place = next((n for n, row in enumerate(self.model.rows) if row.number == current), None)
        if place is None:
            self.table.clearSelection()
        elif self.selected != current:
            self.table.selectRow(place)
            self.table.scrollTo(self.model.index(place, 0))
        self.enable(True)

    def enable(self, active: bool) -> None:
        """Enable what can be used; ``active`` is whether there is a session."""
        some, one = active and bool(self.model.rows), active and self.selected is not None
        for button, usable in (
            (self.previous_button, some), (self.next_button, some), (self.reopen_button, one),
            (self.colour_button, one), (self.delete_button, one), (self.new_button, active),
            (self.seed_button, active),
        ):  # fmt: skip
            button.setEnabled(usable)

    def _on_click(self, index: QModelIndex) -> None:
        self.chosen.emit(self.model.rows[index.row()].number)

    def _on_double_click(self, index: QModelIndex) -> None:
        if index.column() != NAME:
            self.reopened.emit(self.model.rows[index.row()].number)


class _Table(QTableView):
    def __init__(self) -> None:
        super().__init__()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys are for the viewer; an editor takes the focus itself
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(24)
        header.setResizeContentsPrecision(20)  # rows beyond those seen that are measured
        self.setMinimumHeight(TABLE_HEIGHT)

    def sizeHint(self) -> QSize:
        """As high as a handful of objects; the dock's width is not ours to widen."""
        return QSize(200, TABLE_HEIGHT)
