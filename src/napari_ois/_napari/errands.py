"""One rule: files and large arrays are read beside the viewer, one piece at a time, and told in its thread.

What the network needs has a thread of its own (see :mod:`napari_ois._napari.worker`), so that neither waits for
the other.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal, Slot

LOG = logging.getLogger(__name__)


def _log(error: BaseException) -> None:
    LOG.error("napari-ois: an errand failed", exc_info=error)


class Errands(QObject):
    """One thread for what may take a while and is no prediction."""

    _arrived = Signal(object, object, object)

    def __init__(self) -> None:
        super().__init__()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="napari-ois-errands")
        self._closed = False
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def send(
        self,
        job: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None] = _log,
    ) -> None:
        """Do a job beside the viewer, then call a function in the viewer's thread.

        Parameters
        ----------
        job : callable
            Touches no layer and no widget.
        done : callable
            Takes what the job gave.
        failed : callable
            Takes the error instead; by default it is logged.
        """
        if self._closed:
            return
        owner = weakref.ref(self)
        self._thread.submit(job).add_done_callback(lambda future: _post(owner, future, done, failed))

    @property
    def closed(self) -> bool:
        """Whether what runs is for nobody any more."""
        return self._closed

    def close(self) -> None:
        """Do nothing more; what runs is not told. Does not wait."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def wait(self) -> None:
        """Block until the closed thread has ended."""
        self._thread.shutdown(wait=True)

    @Slot(object, object, object)
    def _deliver(self, future: Future[Any], done: Callable[[Any], None], failed: Callable[..., None]) -> None:
        if self._closed:
            return
        error = future.exception()
        if error is None:
            done(future.result())
        else:
            failed(error)


def _post(owner: weakref.ref[Errands], future: Future[Any], done: Any, failed: Any) -> None:
    """In the thread: send what is over to the viewer's thread."""
    errands = owner()
    if errands is not None and not future.cancelled():
        errands._arrived.emit(future, done, failed)
