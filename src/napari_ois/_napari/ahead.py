"""One rule: planes are embedded before they are asked for, in the inference thread, and clicks go first.

What is embedded is kept (see :mod:`napari_ois.segmentation.embedding_cache`), so that Start on such a plane is at
once. The whole stack is done when the user wants it; the two neighbours of the plane at hand are done by
themselves, while the user thinks, where embedding takes long.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari.jobs import Job
from napari_ois._napari.plane import Plane, image_shape
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from napari_ois._napari.predictors import PredictorLike
    from napari_ois._napari.session import Session
    from napari_ois._napari.worker import Embedded, InferenceWorker

LONG = 0.5
"""Seconds of embedding from which on neighbours are embedded by themselves."""
REST = 300
"""Milliseconds after an embedding before that begins."""


class Ahead(QObject):
    """Embeds planes ahead, one job at a time.

    Signals
    -------
    changed()
        A plane is done, or the work has begun or ended.
    failed(BaseException)
        A plane could not be embedded.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.done = self.count = 0
        self.wanted = False  # whether the user has asked for it: all planes, not the neighbours
        self._job: Job | None = None
        self._of: tuple[Any, Any] = (None, None)  # the image and the worker that the planes are of
        self._slow: set[str] = set()  # models whose embedding takes long
        self._next: Callable[[], None] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST)
        self._timer.timeout.connect(self._on_rest)

    @property
    def running(self) -> bool:
        """Whether planes are being embedded."""
        return self._job is not None and self._job.running

    def stack(self, session: Session, worker: InferenceWorker) -> None:
        """Embed all planes of the session's image, those nearest to the plane at hand first.

        Raises
        ------
        InputError
            If there is no other plane.
        """
        planes = planes_of(session)
        if len(planes) < 2:
            raise InputError("This image has one plane, which is embedded already: a stack has three axes or more.")
        self._begin(session, worker, planes, wanted=True)

    def on_embedded(self, session: Session, worker: InferenceWorker, result: Embedded) -> None:
        """Prepare the neighbours soon, where that is worth it."""
        model = str(result.model.get("name"))
        if result.seconds >= LONG:
            self._slow.add(model)
        if model in self._slow and not (self.running and self.wanted):
            self._next = partial(self._neighbours, session, worker)
            self._timer.start()

    def is_for(self, session: Session, worker: InferenceWorker | None) -> bool:
        """Whether the planes are of this session's image, and its model embeds them."""
        image, own = self._of
        return image == session.image and own is worker

    def cancel(self) -> None:
        """Embed no further plane; what is done is kept."""
        self._timer.stop()
        self._next = None
        if self._job is not None:
            self._job.cancel()

    def _on_rest(self) -> None:
        wanted, self._next = self._next, None
        if wanted is not None:
            wanted()

    def _neighbours(self, session: Session, worker: InferenceWorker) -> None:
        if session.active and not self.running:
            here = session.plane.index
            near = [plane for plane in planes_of(session) if 0 < _distance(plane, here) < 2]
            if near:
                self._begin(session, worker, near, wanted=False)

    def _begin(self, session: Session, worker: InferenceWorker, planes: list[Plane], *, wanted: bool) -> None:
        self.cancel()
        sight, self._of = session.sight, (session.image, worker)
        reads = [sight.reader(sight.appearance(), plane) for plane in planes]
        self.done, self.count, self.wanted = 0, len(reads), wanted
        self._job = Job(worker, partial(_steps, reads, worker))
        self._job.stepped.connect(self._on_step)
        self._job.failed.connect(self.failed)
        self._job.ended.connect(self.changed)
        self.changed.emit()

    def _on_step(self, done: int) -> None:
        self.done = done
        self.changed.emit()


def planes_of(session: Session) -> list[Plane]:
    """All planes along the axes of the session's that are seen, the nearest to its own first."""
    plane, shape = session.plane, image_shape(session.image)
    sides = [range(1) if axis in plane.axes else range(side) for axis, side in enumerate(shape)]
    planes = [Plane(plane.shape, plane.axes, index) for index in itertools.product(*sides)]
    return sorted(planes, key=lambda one: _distance(one, plane.index))


def _distance(plane: Plane, index: tuple[int, ...]) -> int:
    return sum(abs(one - other) for one, other in zip(plane.index, index, strict=True))


def _steps(reads: list[Callable[[], Any]], worker: InferenceWorker, predictor: PredictorLike) -> Iterator[int]:
    """In the inference thread."""
    from napari_ois.segmentation.precompute import precompute

    return precompute(predictor, reads, lambda: worker.busy)
