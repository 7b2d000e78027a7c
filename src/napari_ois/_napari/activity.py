"""One rule: what has taken over half a second is shown in napari's activity dock until it is over."""

from __future__ import annotations

from napari.utils import progress
from qtpy.QtCore import QObject, QTimer

PATIENCE = 500
"""Milliseconds after which waiting is worth a bar."""


class Activity(QObject):
    """One bar, for what is going on now.

    Attributes
    ----------
    bar : napari.utils.progress or None
        What the dock shows; there is no end to be foreseen, so it only moves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar: progress | None = None
        self._doing = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PATIENCE)
        self._timer.timeout.connect(self._open)

    def show(self, doing: str) -> None:
        """Say what is going on; an empty text where nothing is."""
        if doing == self._doing:
            return
        self._doing = doing
        if self.bar is not None and doing:
            self.bar.set_description(doing)
        elif doing:
            self._timer.start()
        else:
            self._timer.stop()
            if self.bar is not None:
                self.bar.close()
                self.bar = None

    def _open(self) -> None:
        self.bar = progress(total=0, desc=self._doing, leave=False)
