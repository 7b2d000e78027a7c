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


def _logged(job: Callable[[], Any]) -> Any:
    """In the thread: do a job whose failure somebody may read of in the log alone."""
    try:
        return job()
    except Exception as error:
        LOG.warning("napari-ois: a file was not written: %s", error)
        raise


class Errands(QObject):
    """One thread for what may take a while and is no prediction."""

    _arrived = Signal(object, object, object)

    def __init__(self) -> None:
        super().__init__()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="napari-ois-errands")
        self._closed = False
        self._idle: set[Future[Any]] = set()  # what nobody misses when all is closed
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def send(
        self,
        job: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None] = _log,
        *,
        must: bool = False,
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
        must : bool
            Whether the job is done all the same when nobody is there any more to be told: a file that the user
            wanted.
        """
        if self._closed:
            return
        owner = weakref.ref(self)
        future = self._thread.submit(_logged, job) if must else self._thread.submit(job)
        if not must:
            self._idle.add(future)
            future.add_done_callback(self._idle.discard)
        future.add_done_callback(lambda future: _post(owner, future, done, failed))

    @property
    def closed(self) -> bool:
        """Whether what runs is for nobody any more."""
        return self._closed

    def close(self) -> None:
        """Do nothing more but what must be done; nothing is told. Does not wait."""
        self._closed = True
        for future in tuple(self._idle):
            future.cancel()
        self._thread.shutdown(wait=False)

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
