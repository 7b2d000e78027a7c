"""One rule: while a click is dragged its newest place is told, as fast as it is answered and no faster.

napari tells of a moved point when the mouse is let go; that is the change that the document records. What is told
here before is for the eye only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.layers import Points

    from napari_ois._napari.click_reader import ClickReader
    from napari_ois._napari.layers import SessionLayers

AGAIN = 10
"""Milliseconds after which it is looked again whether the place before is answered."""


class Dragging(QObject):
    """Listens to the mouse on the clicks layer of a session.

    Parameters
    ----------
    layers : SessionLayers
    reader : ClickReader
        Told that a click is held.
    busy : callable
        Whether the place before is still to be answered.

    Signals
    -------
    dragged(Clicks)
        Where the clicks are while the mouse is down.
    dropped()
        The mouse was let go, and napari has told of the change.
    """

    dragged = Signal(object)
    dropped = Signal()

    def __init__(self, layers: SessionLayers, reader: ClickReader, busy: Callable[[], bool]) -> None:
        super().__init__()
        self._layers, self._reader, self._busy = layers, reader, busy
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._tell)
        self._layer = layers.clicks
        self._layer.mouse_drag_callbacks.append(self._follow)

    def release(self) -> None:
        """Stop listening."""
        self._timer.stop()
        if self._follow in self._layer.mouse_drag_callbacks:
            self._layer.mouse_drag_callbacks.remove(self._follow)

    def _follow(self, layer: Points, event: Any) -> Iterator[None]:
        yield
        moved = False
        while event.type == "mouse_move":
            if layer.mode == "select" and len(layer.selected_data):
                moved = self._reader.held = True
                if not self._timer.isActive():
                    self._timer.start(0)  # after napari has moved the point, which may come after this
            yield
        self._reader.held = False
        if moved:
            self._timer.stop()
            QTimer.singleShot(0, self.dropped.emit)

    def _tell(self) -> None:
        if self._busy():
            self._timer.start(AGAIN)
            return
        read = self._layers.read_clicks()
        if read is not None and read[1]:
            self.dragged.emit(read[0])
