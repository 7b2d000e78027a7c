"""Rule: several methods meet the same objects, and only what is not in the journal yet is run.

With one job everything happens here. With more, each process has its own predictors and one thread, and
takes one image for one method at a time; results are the same, but for the time they took.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from napari_ois.errors import OISError
from napari_ois.evaluation.journal import Journal
from napari_ois.evaluation.methods import Method
from napari_ois.evaluation.run import ClickPredictor, ObjectResult, evaluate_image
from napari_ois.evaluation.samples import Collection

Objects = list[tuple[str, str]]
"""Some objects of an image: their set and name."""


@dataclass(frozen=True)
class Task:
    """One image for one method: those of its objects that have no result yet."""

    method: int
    image: int
    objects: Objects


@dataclass(frozen=True)
class Campaign:
    """What is run: methods on a collection.

    Attributes
    ----------
    methods : sequence of Method
    collection : Collection
    max_clicks : int
    measured_depth : bool
    """

    methods: Sequence[Method]
    collection: Collection
    max_clicks: int = 20
    measured_depth: bool = False

    def missing(self, journal: Journal) -> list[Task]:
        """Tasks without results, image by image, so that the methods keep abreast."""
        tasks = []
        for image in range(len(self.collection)):
            entries = self.collection.entries_of(image)
            for number, method in enumerate(self.methods):
                left = [
                    (entry.set, entry.object)
                    for entry in entries
                    if (method.name, entry.set, entry.image, entry.object) not in journal.results
                ]
                if left:
                    tasks.append(Task(number, image, left))
        return tasks

    def run(
        self,
        journal: Journal,
        predictors: dict[int, ClickPredictor],
        *,
        jobs: int = 1,
        progress: Callable[[int], Any] | None = None,
    ) -> None:
        """Run everything that the journal lacks.

        Parameters
        ----------
        journal : Journal
            Takes the results.
        predictors : dict
            Number of a method to its predictor, where there is one already; others are made and put in.
        jobs : int
            Processes; 1 = none beside this one.
        progress : callable, optional
            Called with 1 after each object.

        Raises
        ------
        InputError, WeightsError
            From files and methods; what was done by then is in the journal.
        OISError
            If a process died.
        """
        step = progress or (lambda count: None)
        tasks = self.missing(journal)
        if jobs > 1 and len(tasks) > 1:
            self._run_in_processes(tasks, journal, min(jobs, len(tasks)), step)
            return
        for task in tasks:
            if task.method not in predictors:
                predictors[task.method] = self.methods[task.method].make()
            sample = self.collection.read(task.image, task.objects)
            predictor = predictors[task.method]
            for result in evaluate_image(
                predictor, sample, max_clicks=self.max_clicks, measured_depth=self.measured_depth
            ):
                journal.add(self.methods[task.method].name, result)
                step(1)

    def _run_in_processes(self, tasks: list[Task], journal: Journal, jobs: int, step: Callable[[int], Any]) -> None:
        # Not forked: a fork of a process in which torch has started its threads may hang.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread)
        try:
            waiting: dict[Future[list[ObjectResult]], Task] = {}
            for task in tasks:
                # A process gets its image's entries only: the whole list would travel with every task.
                part = Collection(self.collection.entries_of(task.image))
                method = self.methods[task.method]
                future = pool.submit(_work, method, part, task.objects, self.max_clicks, self.measured_depth)
                waiting[future] = task
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    name = self.methods[waiting.pop(future).method].name
                    for result in future.result():
                        journal.add(name, result)
                        step(1)
        except BrokenProcessPool as error:
            raise OISError(
                "A process of the run died, perhaps for lack of memory; run it again with fewer jobs."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    """Prepare a process: one thread for every library that would take more."""
    import torch

    torch.set_num_threads(1)
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(1)


@lru_cache(maxsize=32)
def _predictor(method: Method) -> ClickPredictor:
    """Make a method's predictor, once in a process."""
    return method.make()


def _work(
    method: Method, part: Collection, objects: Objects, max_clicks: int, measured_depth: bool
) -> list[ObjectResult]:
    """Run one image for one method, in a process."""
    sample = part.read(0, objects)
    return list(evaluate_image(_predictor(method), sample, max_clicks=max_clicks, measured_depth=measured_depth))
