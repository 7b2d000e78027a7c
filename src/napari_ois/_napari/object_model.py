"""One rule: the table of objects reads rows that were made before; it asks no layer and no document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor

HEADERS = ("#", "Name", "Area", "Score", "Clicks", "Slice", "")
LABEL, NAME, AREA, SCORE, CLICKS, SLICE, STATE = range(len(HEADERS))
TIPS = (
    "The label in its layer, and its colour.",
    "Double-click to rename.",
    "In the units of the image.",
    "How sure the model is: mean probability over the mask.",
    "How many clicks it took.",
    "The plane that it lies on.",
    "✓: accepted; …: open, not accepted yet.",
)
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True)
class Row:
    """One object as the table shows it.

    Attributes
    ----------
    number : int
        Who it is in the document.
    label : int or None
    name : str
    colour : tuple of float or None
        Red, green, blue in [0, 1].
    area : float or None
        None while it is open.
    unit : str
        Of the area.
    score : float or None
    clicks : int
    plane : str
    state : str
    """

    number: int
    label: int | None
    name: str
    colour: tuple[float, float, float] | None
    area: float | None
    unit: str
    score: float | None
    clicks: int
    plane: str
    state: str

    def text(self, column: int) -> str:
        """What stands in a cell."""
        return (
            "" if self.label is None else str(self.label),
            self.name,
            "" if self.area is None else short(self.area),
            "" if self.score is None else f"{self.score:.2f}",
            str(self.clicks),
            self.plane,
            "✓" if self.state == "accepted" else "…",
        )[column]


def short(area: float) -> str:
    """An area in four digits; a large one in all of its own, which nobody has to read as a power of ten."""
    return f"{area:,.0f}" if 1000 <= area < 1e7 else f"{area:.4g}"


class ObjectModel(QAbstractTableModel):
    """Rows for a table view.

    Signals
    -------
    renamed(int, str)
        The user has written another name.
    """

    renamed = Signal(int, str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.rows: tuple[Row, ...] = ()

    def show(self, rows: Sequence[Row]) -> None:
        """Show other rows; where they are as many, only what differs is drawn anew."""
        new = tuple(rows)
        if len(new) != len(self.rows):
            self.beginResetModel()
            self.rows = new
            self.endResetModel()
            return
        changed = [n for n, (old, row) in enumerate(zip(self.rows, new, strict=True)) if old != row]
        self.rows = new
        if changed:
            self.dataChanged.emit(self.index(changed[0], 0), self.index(changed[-1], len(HEADERS) - 1))

    # -- Qt ---------------------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """How many objects there are."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """How many columns there are."""
        return 0 if parent is not None and parent.isValid() else len(HEADERS)

    def headerData(self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Column titles, with tooltips."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return HEADERS[section]
        return TIPS[section] if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What a cell shows."""
        row, column = self.rows[index.row()], index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return row.text(column)
        if role == Qt.ItemDataRole.DecorationRole and column == LABEL and row.colour is not None:
            return QColor.fromRgbF(*row.colour)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (AREA, SCORE, CLICKS):
            return RIGHT
        if role == Qt.ItemDataRole.ToolTipRole:
            area = "" if row.area is None else f", {row.area:.6g} {row.unit}"
            return f"{row.name}, {row.state}{area}, {row.plane}"
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Names can be written."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == NAME else flags

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Tell of another name; the row follows when the document has it."""
        row = self.rows[index.row()]
        if role != Qt.ItemDataRole.EditRole or index.column() != NAME or str(value) == row.name:
            return False
        self.renamed.emit(row.number, str(value))
        return True
