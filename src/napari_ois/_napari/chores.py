"""One rule: what may wait in the viewer's thread is done in order, one piece a turn of its event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer


class Chores(QObject):
    """A queue of small pieces of work, between which the viewer can draw and answer the user.

    Parameters
    ----------
    parent : QObject
        With which it ends.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._waiting: deque[Callable[[], None]] = deque()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._do_one)

    def add(self, chore: Callable[[], None]) -> None:
        """Have a function called after those added before."""
        self._waiting.append(chore)
        if not self._timer.isActive():
            self._timer.start()

    def drop(self) -> None:
        """Forget what was not done yet."""
        self._waiting.clear()

    def _do_one(self) -> None:
        if self._waiting:
            chore = self._waiting.popleft()
            if self._waiting:
                self._timer.start()
            chore()
