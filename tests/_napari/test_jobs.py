"""Long work goes step by step in the inference thread; clicks come between; it can be cancelled and closed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from napari_ois._napari.jobs import Job
from napari_ois._napari.worker import InferenceWorker, Question
from napari_ois.annotation import Clicks
from napari_ois.errors import InputError

IMAGE = np.arange(400, dtype=np.uint8).reshape(20, 20)


@pytest.fixture
def worker(qapp: Any, fake: Any, qtbot: Any) -> Iterator[InferenceWorker]:
    made = InferenceWorker(fake)
    with qtbot.waitSignal(made.embedded):
        made.embed("ois-compact", "auto", lambda: IMAGE)
    yield made
    made.close()
    made.wait()


class Told:
    """What a job said, in order."""

    def __init__(self, job: Job) -> None:
        self.job = job  # a job ends with its owner
        self.steps: list[Any] = []
        self.ended: list[bool] = []
        self.errors: list[BaseException] = []
        job.stepped.connect(self.steps.append)
        job.ended.connect(self.ended.append)
        job.failed.connect(self.errors.append)


def test_steps_come_in_order_and_from_one_other_thread(worker, qtbot) -> None:
    threads = set()

    def count(predictor: Any) -> Iterator[int]:
        for number in range(4):
            threads.add(threading.get_ident())
            yield number

    told = Told(Job(worker, count))
    qtbot.waitUntil(lambda: bool(told.ended))
    assert told.steps == [0, 1, 2, 3]
    assert told.ended == [True]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_job_has_an_image_of_its_own(worker, qtbot) -> None:
    def other(predictor: Any) -> Iterator[tuple[int, ...]]:
        predictor.set_image(np.zeros((5, 7)))
        yield predictor.depth.shape

    told = Told(Job(worker, other))
    qtbot.waitUntil(lambda: bool(told.ended))
    assert told.steps == [(5, 7)]
    with qtbot.waitSignal(worker.answered) as heard:
        worker.answer(Question(Clicks().added(4, 5)))
    assert heard.args[0].prediction.mask.shape == IMAGE.shape


def test_a_click_is_answered_between_two_steps(worker, qtbot) -> None:
    order = []

    def slow(predictor: Any) -> Iterator[int]:
        for number in range(50):
            time.sleep(0.01)
            yield number

    job = Job(worker, slow)
    job.stepped.connect(order.append)
    worker.answered.connect(lambda _: order.append("click"))
    qtbot.waitUntil(lambda: bool(order))
    worker.answer(Question(Clicks().added(4, 5)))
    qtbot.waitUntil(lambda: not job.running)
    assert order.index("click") < 10
    assert order[-1] == 49


def test_cancelled_it_ends_without_another_step(worker, qtbot) -> None:
    done = []

    def forever(predictor: Any) -> Iterator[int]:
        while True:
            done.append(1)
            time.sleep(0.01)
            yield 1

    job = Job(worker, forever)
    told = Told(job)
    qtbot.waitUntil(lambda: len(told.steps) >= 2)
    job.cancel()
    qtbot.waitUntil(lambda: bool(told.ended))
    assert told.ended == [False]
    shown, made = len(told.steps), len(done)
    qtbot.wait(60)
    assert len(told.steps) == shown
    assert len(done) <= made


def test_an_error_is_told_and_ends_it(worker, qtbot) -> None:
    def broken(predictor: Any) -> Iterator[int]:
        yield 1
        raise InputError("no")

    told = Told(Job(worker, broken))
    qtbot.waitUntil(lambda: bool(told.ended))
    assert told.steps == [1]
    assert str(told.errors[0]) == "no"
    assert told.ended == [False]


def test_without_a_model_it_says_what_to_do(qapp, fake, qtbot) -> None:
    worker = InferenceWorker(fake)
    told = Told(Job(worker, lambda predictor: iter([1])))
    qtbot.waitUntil(lambda: bool(told.ended))
    assert "press Start" in str(told.errors[0])
    worker.close()


def test_closing_the_thread_ends_it_quietly(worker, qtbot) -> None:
    def slow(predictor: Any) -> Iterator[int]:
        while True:
            time.sleep(0.01)
            yield 1

    told = Told(Job(worker, slow))
    qtbot.waitUntil(lambda: bool(told.steps))
    worker.close()
    qtbot.waitUntil(lambda: bool(told.ended))
    assert told.ended == [False]
    assert told.errors == []
