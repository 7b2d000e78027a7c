"""One rule: a question to the user is a bar in the widget - never a dialog that stops the viewer or a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget


class Bar(QFrame):
    """A sentence and some buttons; hidden while there is nothing to ask."""

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.buttons: dict[str, QPushButton] = {}
        self._row = QWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.label)
        layout.addWidget(self._row)
        QHBoxLayout(self._row).setContentsMargins(0, 0, 0, 0)
        self.hide()

    @property
    def asking(self) -> bool:
        """Whether a question waits for its answer."""
        return bool(self.buttons)

    def ask(self, text: str, answers: Mapping[str, Callable[[], None]], tips: Mapping[str, str] | None = None) -> None:
        """Show a question; one that was there is replaced.

        Parameters
        ----------
        text : str
        answers : dict of str to callable
            What is on each button, and what it does; every one takes the bar away.
        tips : dict of str to str, optional
            Tooltips of the buttons.
        """
        self.dismiss()
        self.label.setText(text)
        for name, action in answers.items():
            button = QPushButton(name)
            button.setToolTip((tips or {}).get(name, ""))
            button.clicked.connect(partial(self._answer, action))
            self._row.layout().addWidget(button)
            self.buttons[name] = button
        self.show()

    def dismiss(self) -> None:
        """Take the question away, unanswered."""
        for button in self.buttons.values():
            self._row.layout().removeWidget(button)
            button.hide()
            button.deleteLater()
        self.buttons.clear()
        self.hide()

    def _answer(self, action: Callable[[], None], checked: bool = False) -> None:
        self.dismiss()
        action()
