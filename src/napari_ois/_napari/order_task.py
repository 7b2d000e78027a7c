"""One rule: order is computed beside the viewer, says how far it is, and can be called off; one at a time."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, Signal, Slot

from napari_ois.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ois._napari.errands import Errands
    from napari_ois._napari.order_request import Request


class OrderTask(QObject):
    """Computes requests; a new one calls the one before off.

    Parameters
    ----------
    thread : callable
        Gives the thread to compute in.

    Signals
    -------
    progress(int, int)
        Steps done, and how many there are.
    """

    progress = Signal(int, int)
    _stepped = Signal(int, int, int)

    def __init__(self, thread: Callable[[], Errands]) -> None:
        super().__init__()
        self._thread = thread
        self._stop: threading.Event | None = None
        self._number = 0
        self._stepped.connect(self._step, Qt.ConnectionType.QueuedConnection)

    @property
    def running(self) -> bool:
        """Whether there is something to call off."""
        return self._stop is not None

    def begin(self, request: Request, done: Callable[[Any], None], failed: Callable[[BaseException], None]) -> None:
        """Compute a request.

        Parameters
        ----------
        request : Request
        done : callable
            Takes the DepthMap, in the viewer's thread.
        failed : callable
            Takes the error; not called for what was called off.
        """
        self.cancel()
        self._number += 1
        stop = self._stop = threading.Event()
        errands = self._thread()
        compute = partial(
            request.compute, partial(self._stepped.emit, self._number), lambda: stop.is_set() or errands.closed
        )
        errands.send(compute, partial(self._finish, stop, done), partial(self._finish, stop, failed))

    def cancel(self) -> None:
        """Call off what runs; it ends before its next plane, and tells nobody."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def _finish(self, stop: threading.Event, tell: Callable[[Any], None], result: Any) -> None:
        if stop.is_set() or isinstance(result, Interrupted):
            return
        self._stop = None
        tell(result)

    @Slot(int, int, int)
    def _step(self, number: int, done: int, total: int) -> None:
        if number == self._number and self.running:
            self.progress.emit(done, total)
