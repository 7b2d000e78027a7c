"""One rule: the small parts that the widget and its panels are made of look and act alike, and are made here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QTableWidget,
    QVBoxLayout,
    QWidget,
)


def make_button(text: str, tooltip: str) -> QPushButton:
    """A button that says what it does."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    return made


def make_row(*parts: QWidget) -> QHBoxLayout:
    """Parts side by side."""
    made = QHBoxLayout()
    for part in parts:
        made.addWidget(part)
    return made


def scrolled(owner: QWidget) -> QVBoxLayout:
    """A layout inside of a widget that scrolls where the dock is lower than its parts, which are never squeezed.

    Parameters
    ----------
    owner : QWidget
        Without a layout; it gets one.
    """
    inner, area = QWidget(), QScrollArea()
    area.setWidget(inner)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    outer = QVBoxLayout(owner)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(area)
    return QVBoxLayout(inner)


def reset_kept(part: ComboBox) -> None:
    """Ask for the choices of a box anew; what was chosen stays chosen, whatever it is called by now."""
    held = part.value
    with part.changed.blocked():
        part.reset_choices()
        if part.value is not held and any(choice is held for choice in part.choices):
            part.value = held
    if part.value is not held:
        part.changed.emit(part.value)


def make_table(headers: Sequence[str], height: int) -> QTableWidget:
    """An empty list of rows to choose from; it takes no keys, which are for the viewer.

    Parameters
    ----------
    headers : sequence of str
    height : int
        At least so many pixels.
    """
    made = QTableWidget(0, len(headers))
    made.setHorizontalHeaderLabels(list(headers))
    made.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    made.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.verticalHeader().hide()
    made.verticalHeader().setDefaultSectionSize(22)
    made.setMinimumHeight(height)
    return made


def pressed(action: Callable[[], Any]) -> Callable[..., None]:
    """An action without what Qt or napari say of the button or key that asks for it."""
    return partial(_act, action)


def _act(action: Callable[[], Any], *_: Any) -> None:
    action()
