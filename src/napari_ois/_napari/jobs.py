"""One rule: long work in the inference thread is done in steps, and between two steps clicks come first.

A job is a generator that takes a predictor of its own on the same network, so that what the user clicks on stays
embedded. Each of its steps is a request of its own; cancelling takes effect after the step that runs.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, Signal, Slot

if TYPE_CHECKING:
    from napari_ois._napari.predictors import PredictorLike
    from napari_ois._napari.worker import InferenceWorker

_END = object()

Steps = Callable[["PredictorLike"], Iterator[Any]]
"""Makes the generator; called in the inference thread, with a predictor that holds no image."""


class Job(QObject):
    """Work in steps; begins when it is made, and ends with its owner: keep it.

    Parameters
    ----------
    worker : InferenceWorker
        With a model loaded.
    steps : callable
        See :data:`Steps`.

    Signals
    -------
    stepped(object)
        What a step gave; in the thread that made the job.
    ended(bool)
        The last signal; whether the job went to its end, and was not cancelled.
    failed(BaseException)
        A step raised this; ``ended(False)`` follows.
    """

    stepped = Signal(object)
    ended = Signal(bool)
    failed = Signal(object)
    _arrived = Signal(object)

    def __init__(self, worker: InferenceWorker, steps: Steps) -> None:
        super().__init__()
        self._worker, self._make = worker, steps
        self._steps: Iterator[Any] | None = None
        self._cancelled = False
        self.running = True
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._go_on()

    def cancel(self) -> None:
        """Do no further step; what the one that runs gives is dropped."""
        self._cancelled = True

    def _go_on(self) -> None:
        owner = weakref.ref(self)  # a step that outlives the widget must not keep a dead QObject alive
        try:
            future = self._worker.lend(self._step)
        except RuntimeError:  # the thread was closed between two steps
            self._end(False)
            return
        future.add_done_callback(lambda done: _post(owner, done))

    def _step(self, predictor: PredictorLike) -> Any:
        """In the inference thread."""
        if self._cancelled:
            return _END
        if self._steps is None:
            self._steps = self._make(predictor.twin())
        return next(self._steps, _END)

    @Slot(object)
    def _deliver(self, future: Future[Any]) -> None:
        if not self.running:
            return
        if self._cancelled or future.cancelled():
            self._end(False)
        elif future.exception() is not None:
            self.failed.emit(future.exception())
            self._end(False)
        elif future.result() is _END:
            self._end(True)
        else:
            self.stepped.emit(future.result())
            self._go_on()

    def _end(self, finished: bool) -> None:
        self.running = False
        self._steps = None
        self.ended.emit(finished)


def _post(owner: weakref.ref[Job], future: Future[Any]) -> None:
    """In the inference thread: send a finished step over to the viewer's thread."""
    job = owner()
    if job is not None:
        job._arrived.emit(future)
