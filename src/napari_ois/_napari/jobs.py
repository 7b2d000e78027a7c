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

    Connect methods, not functions that hold the job or its owner: with PySide6 such a circle is never let go of.

    Parameters
    ----------
    worker : InferenceWorker
        With a model loaded.
    steps : callable
        See :data:`Steps`.

    Signals
    -------
    stepped(object)
        What a step gave; in the thread that made the job. Nothing comes after :meth:`cancel`.
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
        self._worker, self._work = worker, _Work(steps)
        self.running = True
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._go_on()

    def cancel(self) -> None:
        """Do no further step; what the one that runs gives is dropped."""
        self._work.cancelled = True

    def _go_on(self) -> None:
        owner = weakref.ref(self)  # a step that outlives the widget must not keep a dead QObject alive
        try:
            future = self._worker.lend(self._work)
        except RuntimeError:  # the thread was closed between two steps
            self._end(False)
            return
        future.add_done_callback(lambda done: _post(owner, done))

    @Slot(object)
    def _deliver(self, future: Future[Any]) -> None:
        if not self.running:
            return
        if self._work.cancelled or future.cancelled():
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
        self._work.steps = None
        self.ended.emit(finished)


class _Work:
    """What the inference thread is given, so that it never holds the last reference to an object of Qt's."""

    def __init__(self, make: Steps) -> None:
        self.make, self.cancelled = make, False
        self.steps: Iterator[Any] | None = None

    def __call__(self, predictor: PredictorLike) -> Any:
        """Take a step, in the inference thread."""
        if self.cancelled:
            return _END
        if self.steps is None:
            self.steps = self.make(predictor.twin())
        return next(self.steps, _END)


def _post(owner: weakref.ref[Job], future: Future[Any]) -> None:
    """In the inference thread: send a finished step over to the viewer's thread."""
    job = owner()
    if job is not None:
        job._arrived.emit(future)
