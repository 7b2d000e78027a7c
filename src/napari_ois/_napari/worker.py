"""One rule: everything that takes time runs in one thread, and only the newest request is answered.

A request carries a number. A newer one of its kind drops it if it has not begun, and makes it stop
at its next step if it has; whatever it still gives is not shown. An embedding also drops all clicks
before it, and a new list of clicks the inspection of the one before. The signals are emitted in the
thread that made the worker, the viewer's.
"""

from __future__ import annotations

import itertools
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Qt, Signal, Slot

from napari_ois._napari.predictors import PredictorFactory, PredictorLike, make_predictor
from napari_ois.annotation import Clicks, Replay
from napari_ois.annotation.objects import Seed
from napari_ois.annotation.replay import answerable
from napari_ois.errors import InputError, Interrupted
from napari_ois.segmentation.appearance import PLAIN, Appearance

if TYPE_CHECKING:
    from napari_ois.segmentation.inspection import Inspection, OrderChange, OrderProfile
    from napari_ois.segmentation.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Embedded:
    """An image is ready for clicks.

    Attributes
    ----------
    device : str
        Where it was computed.
    seconds : float
        For reading and embedding; ``loading`` is what the model's loading took before, 0 where it was there.
    depth : (H, W) float32 in [0, 1]
    model : dict
        Name, sha256, precision and device of what answers, as a session file has them.
    """

    device: str
    loading: float
    seconds: float
    depth: NDArray[np.float32]
    model: dict[str, Any]


@dataclass(frozen=True)
class Question:
    """All that a mask depends on: clicks, the mask that the object began from, order's strength and map, the look."""

    clicks: Clicks
    seed: Seed | None = None
    strength: float = 1.0
    order: str = ""
    look: Appearance = PLAIN

    @property
    def answerable(self) -> bool:
        """Whether there is anything to segment."""
        return answerable(self.clicks, self.seed)


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to a question, and how long the computation took.

    ``order_positive`` is (H, W), ``order_negative`` (K, H, W): read in the thread, where they are computed.
    """

    question: Question
    prediction: Prediction
    order_positive: NDArray[np.float32]
    order_negative: NDArray[np.float32]
    seconds: float

    @property
    def clicks(self) -> Clicks:
        """The clicks asked about."""
        return self.question.clicks


@dataclass(frozen=True, eq=False)
class Inspected:
    """What order did to the answer to a question.

    Attributes
    ----------
    question : Question
    inspection : Inspection
        Of the answer, at its own strength.
    without : Prediction
        The same clicks without order.
    change : OrderChange
    profile : OrderProfile
        Counted in the thread, since they look at every pixel.
    """

    question: Question
    inspection: Inspection
    without: Prediction
    change: OrderChange
    profile: OrderProfile


class Kind(Enum):
    """What can be asked of the thread; of each kind only the newest request counts."""

    EMBED = "embed"
    CLICK = "click"
    INSPECT = "inspect"


@dataclass(frozen=True)
class Failure:
    """A request that ended with an error; ``embedding`` tells whether it was one that a session needs."""

    error: BaseException
    embedding: bool


class _Engine:
    """What lives in the thread: the predictor, and the numbers that the viewer's thread counts up."""

    def __init__(self, factory: PredictorFactory) -> None:
        self.newest = dict.fromkeys(Kind, 0)  # written by the viewer's thread only
        self._factory = factory
        self._model: tuple[str, str] | None = None
        self._predictor: PredictorLike | None = None
        self._replay: Replay | None = None
        self._dropped: Callable[[], bool] = lambda: False

    def run(self, kind: Kind, number: int, job: Callable[..., Any], *arguments: Any) -> Any:
        """Do a request, and stop between two parts of it where a newer one of its kind was made: None then."""
        self._dropped = lambda: number != self.newest[kind]
        self._watch(self._dropped)
        try:
            return job(number, *arguments)
        except Interrupted:
            return None
        finally:
            self._watch(lambda: False)

    def _watch(self, dropped: Callable[[], bool]) -> None:
        if self._predictor is not None:
            self._predictor.interrupted = dropped

    def embed(self, number: int, model: str, device: str, read: Callable[[], Any], depth: Any) -> Embedded | None:
        begin = time.perf_counter()
        self._replay = None
        if self._predictor is None or self._model != (model, device):
            self._predictor = None  # the old model's memory is free before the new one's is needed
            self._predictor, self._model = self._factory(model, device), (model, device)
            self._watch(self._dropped)
        loaded = time.perf_counter()
        if number != self.newest[Kind.EMBED]:
            return None
        image = read()
        given = {} if depth is None else {"depth": depth}
        self._predictor.set_image(image if isinstance(image, list) else np.asarray(image), **given)
        used = np.asarray(self._predictor.depth)
        self._replay = Replay(self._predictor)
        done = time.perf_counter()
        made = _model_record(self._predictor, model)
        return Embedded(self._predictor.device, loaded - begin, done - loaded, used, made)

    def answer(self, number: int, question: Question) -> Answer | None:
        if self._replay is None:  # its embedding failed, and said so
            return None
        begin = time.perf_counter()
        prediction = self._replay.answer(
            question.clicks,
            lambda: number != self.newest[Kind.CLICK],
            seed=question.seed,
            order_strength=question.strength,
        )
        if prediction is None:
            return None
        positive, negative = prediction.positive_order_map, prediction.negative_order_maps
        return Answer(question, prediction, positive, negative, time.perf_counter() - begin)

    def inspect(self, number: int, answer: Answer) -> Inspected | None:
        if self._predictor is None or number != self.newest[Kind.INSPECT]:
            return None
        from napari_ois.segmentation.inspection import Inspection  # imports torch

        seen = self._predictor.again(answer.prediction, order_strength=answer.question.strength, inspect=True)
        if number != self.newest[Kind.INSPECT]:
            return None
        without = self._predictor.again(answer.prediction, order_strength=0.0)
        inspection = Inspection(seen)
        return Inspected(answer.question, inspection, without, inspection.change(without), inspection.profile())

    def lend(self, work: Callable[[PredictorLike], Any]) -> Any:
        if self._predictor is None:
            raise InputError("No model is loaded yet; press Start and wait until the image is embedded.")
        return work(self._predictor)


class InferenceWorker(QObject):
    """The one inference thread and its post box.

    Parameters
    ----------
    factory : callable
        Makes the predictor; called in the thread.

    Signals
    -------
    embedded(Embedded), answered(Answer), inspected(Inspected), failed(Failure)
        For the newest requests only.
    """

    embedded = Signal(object)
    answered = Signal(object)
    inspected = Signal(object)
    failed = Signal(object)
    _arrived = Signal(object)

    def __init__(self, factory: PredictorFactory = make_predictor) -> None:
        super().__init__()
        self._engine = _Engine(factory)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="napari-ois")
        self._count = itertools.count(1)
        self._pending: dict[Kind, Future[Any] | None] = dict.fromkeys(Kind)
        # Queued even inside one thread: what is over at once must not be answered before it was sent.
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @property
    def busy(self) -> bool:
        """Whether an image is still to be embedded, or clicks are to be answered."""
        return self._pending[Kind.EMBED] is not None or self._pending[Kind.CLICK] is not None

    @property
    def doing(self) -> str:
        """What it is busy with, in words; empty where it is not."""
        if self._pending[Kind.EMBED] is not None:
            return "napari-ois: embedding the image"
        return "napari-ois: answering the clicks" if self.busy else ""

    def embed(self, model: str, device: str, read: Callable[[], Any], depth: Any = None) -> None:
        """Embed an image; drops every request before.

        Parameters
        ----------
        model, device : str
            The model is loaded where it is not the one of the request before.
        read : callable
            Gives the image's array; called in the thread, so that slow arrays are read there.
        depth : (H, W) float32 in [0, 1], optional
            Order comes from it; by default from what the model estimates.
        """
        self.drop_clicks()
        self._send(Kind.EMBED, self._engine.embed, model, device, read, depth)

    def answer(self, question: Question) -> None:
        """Answer a question; drops the one before."""
        self._withdraw(Kind.INSPECT)
        self._send(Kind.CLICK, self._engine.answer, question)

    def inspect(self, answer: Answer) -> None:
        """Find what order did to an answer, after everything that was asked before.

        Parameters
        ----------
        answer : Answer
            Of the image embedded last.
        """
        self._send(Kind.INSPECT, self._engine.inspect, answer)

    def lend(self, work: Callable[[PredictorLike], Any]) -> Future[Any]:
        """Have a piece of other work done in the thread, after what was asked before; see :mod:`.jobs`."""
        return self._thread.submit(self._engine.lend, work)

    def drop_clicks(self) -> None:
        """Forget the clicks that wait for their answer."""
        self._withdraw(Kind.INSPECT)
        self._withdraw(Kind.CLICK)

    def close(self) -> None:
        """End the thread: at once where it waits, else after the step that it is in. Does not wait."""
        self._withdraw(Kind.EMBED)
        self.drop_clicks()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def wait(self) -> None:
        """Block until a closed thread has ended."""
        self._thread.shutdown(wait=True)

    def _withdraw(self, kind: Kind) -> int:
        """Give the kind a new number, so that no older request of it is answered."""
        number = next(self._count)
        self._engine.newest[kind] = number
        future, self._pending[kind] = self._pending[kind], None
        if future is not None:
            future.cancel()
        return number

    def _send(self, kind: Kind, job: Callable[..., Any], *arguments: Any) -> None:
        number = self._withdraw(kind)
        future = self._thread.submit(self._engine.run, kind, number, job, *arguments)
        self._pending[kind] = future
        owner = weakref.ref(self)  # a job that outlives the widget must not keep a dead QObject alive
        future.add_done_callback(lambda done: _post(owner, done))

    @Slot(object)
    def _deliver(self, future: Future[Any]) -> None:
        """Tell the listeners about a request that is over, if it is still the newest of its kind."""
        kind = next((kind for kind, waiting in self._pending.items() if waiting is future), None)
        if kind is None or future.cancelled():
            return
        self._pending[kind] = None
        error = future.exception()
        if error is not None:
            self.failed.emit(Failure(error, embedding=kind is Kind.EMBED))
            return
        result = future.result()
        if isinstance(result, Embedded):
            self.embedded.emit(result)
        elif isinstance(result, Answer):
            self.answered.emit(result)
        elif isinstance(result, Inspected):
            self.inspected.emit(result)


def _model_record(predictor: PredictorLike, name: str) -> dict[str, Any]:
    info = predictor.model_info
    return {
        "name": name if info is None else info.name,
        "sha256": None if info is None else info.sha256,
        "precision": predictor.precision,
        "input_size": getattr(predictor, "input_size", None),  # a predictor of the user's own may not say
        "device": predictor.device,
    }


def _post(owner: weakref.ref[InferenceWorker], future: Future[Any]) -> None:
    """In the inference thread: send a finished request over to the viewer's thread."""
    worker = owner()
    if worker is not None and not future.cancelled():
        worker._arrived.emit(future)
