"""One thread, newest request wins, errors come back, and it ends quietly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from napari_ois._napari.predictors import make_predictor
from napari_ois._napari.worker import Answer, Embedded, Failure, InferenceWorker, Question
from napari_ois.annotation import Clicks
from napari_ois.errors import InputError, Interrupted, WeightsError

IMAGE = np.arange(400, dtype=np.uint8).reshape(20, 20)
CLICK = Question(Clicks().added(4, 5))


class Heard:
    """What a worker's signals brought, in order."""

    def __init__(self, worker: InferenceWorker) -> None:
        self.all: list[Any] = []
        self.threads: set[int] = set()
        for signal in (worker.embedded, worker.answered, worker.failed):
            signal.connect(self._hear)

    def _hear(self, what: Any) -> None:
        self.all.append(what)
        self.threads.add(threading.get_ident())

    def of(self, kind: type) -> list[Any]:
        return [x for x in self.all if isinstance(x, kind)]


@pytest.fixture
def worker(qapp: Any, fake: Any) -> Iterator[InferenceWorker]:
    made = InferenceWorker(fake)
    yield made
    made.close()
    made.wait()


def test_embeds_then_answers_in_the_caller_s_thread(worker, qtbot) -> None:
    heard = Heard(worker)
    worker.embed("ois-compact", "auto", lambda: IMAGE)
    worker.answer(CLICK)
    assert worker.busy
    qtbot.waitUntil(lambda: len(heard.all) == 2)
    embedded, answer = heard.all
    assert isinstance(embedded, Embedded)
    assert embedded.device == "fake"
    assert embedded.depth.shape == IMAGE.shape
    assert isinstance(answer, Answer)
    assert answer.prediction.mask[4, 5]
    assert answer.order_positive[4, 5] == 0
    assert heard.threads == {threading.get_ident()}
    assert not worker.busy


def test_only_the_newest_of_many_lists_is_answered(worker, fake, qtbot) -> None:
    fake.delay = 0.02
    heard = Heard(worker)
    worker.embed("ois-compact", "auto", lambda: IMAGE)
    for row in range(10):
        worker.answer(Question(Clicks().added(row, 0)))
    qtbot.waitUntil(lambda: not worker.busy)
    qtbot.wait(80)
    assert [a.clicks.items[0].row for a in heard.of(Answer)] == [9]


def test_a_new_image_drops_the_clicks_on_the_old_one(worker, fake, qtbot) -> None:
    fake.delay = 0.02
    heard = Heard(worker)
    worker.embed("ois-compact", "auto", lambda: IMAGE)
    worker.answer(CLICK)
    worker.embed("ois-compact", "auto", lambda: IMAGE[:10])
    qtbot.waitUntil(lambda: not worker.busy)
    qtbot.wait(80)
    assert [e.depth.shape for e in heard.of(Embedded)] == [(10, 20)]
    assert heard.of(Answer) == []


def test_the_model_is_loaded_once_in_the_thread(qapp, fake, qtbot) -> None:
    made: list[Any] = []

    def factory(model: str, device: str) -> Any:
        made.append(fake(model, device))
        return made[-1]

    worker = InferenceWorker(factory)
    heard = Heard(worker)
    for _ in range(2):
        worker.embed("ois-compact", "auto", lambda: IMAGE)
        qtbot.waitUntil(lambda: not worker.busy)
    worker.embed("other", "auto", lambda: IMAGE)
    qtbot.waitUntil(lambda: len(heard.of(Embedded)) == 3)
    assert [p.model for p in made] == ["ois-compact", "other"]
    assert threading.get_ident() not in {p.thread for p in made}
    worker.close()
    worker.wait()


def test_errors_come_back_and_the_thread_goes_on(qapp, fake, qtbot) -> None:
    def factory(model: str, device: str) -> Any:
        if model == "missing":
            raise WeightsError("There is no such model.")
        return fake(model, device)

    worker = InferenceWorker(factory)
    heard = Heard(worker)
    worker.embed("missing", "auto", lambda: IMAGE)
    qtbot.waitUntil(lambda: len(heard.all) == 1)
    assert isinstance(heard.all[0].error, WeightsError)
    assert heard.all[0].embedding
    worker.embed("ois-compact", "auto", lambda: IMAGE)
    worker.answer(Question(Clicks().added(1, 1).added(100, 100)))  # IndexError: a fault, not a wrong use
    qtbot.waitUntil(lambda: len(heard.all) == 3)
    failure = heard.of(Failure)[1]
    assert isinstance(failure.error, IndexError)
    assert not isinstance(failure.error, InputError)
    assert not failure.embedding
    worker.close()
    worker.wait()


def test_closing_says_nothing_more_and_ends_the_thread(qapp, fake, qtbot, no_threads) -> None:
    fake.delay = 0.05
    worker = InferenceWorker(fake)
    heard = Heard(worker)
    worker.embed("ois-compact", "auto", lambda: IMAGE)
    worker.answer(CLICK)
    worker.close()
    worker.wait()
    qtbot.wait(50)
    assert heard.all == []
    assert not [t for t in threading.enumerate() if t.name.startswith("napari-ois")]


def test_a_model_is_warm_when_it_is_handed_over():
    predictor = make_predictor("ois-compact", "cpu")
    assert predictor.has_image  # it has answered a click already
    predictor.set_image(np.zeros((40, 50), np.float32))
    assert predictor.predict([(20, 20)], [1]).mask.shape == (40, 50)


def test_a_request_that_nobody_wants_any_more_stops_between_its_parts(worker, fake, qtbot) -> None:
    begun, go, asked = threading.Event(), threading.Event(), []
    whole = fake.predict

    def predict(self: Any, *arguments: Any, **options: Any) -> Any:
        begun.set()
        go.wait(10)
        asked.append(self.interrupted())
        if asked[-1]:
            raise Interrupted
        return whole(self, *arguments, **options)

    fake.predict = predict
    heard = Heard(worker)
    worker.embed("ois-compact", "auto", lambda: IMAGE)
    worker.answer(CLICK)
    qtbot.waitUntil(begun.is_set)
    newer = Question(CLICK.clicks.moved(0, 6, 6))
    worker.answer(newer)
    go.set()
    qtbot.waitUntil(lambda: bool(heard.of(Answer)))
    assert asked == [True, False]
    assert [answer.question for answer in heard.of(Answer)] == [newer]
    assert not heard.of(Failure)
