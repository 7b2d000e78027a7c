"""One rule: of an object the worker is asked what its mask depends on, and asked again only when that is another thing.

A name, a brush stroke or a threshold is no new question.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari.worker import Question

if TYPE_CHECKING:
    from napari_ois._napari.worker import Answer, Failure, InferenceWorker
    from napari_ois.annotation import AnnotatedObject


class Inquiry(QObject):
    """What a session has asked its worker, and what it knows.

    Parameters
    ----------
    worker : InferenceWorker

    Attributes
    ----------
    pending : Question or None
        What the worker is at.
    answer : Answer or None
        The newest, of the object on the screen.

    Signals
    -------
    answered(Answer)
        To the question that was pending.
    unanswered()
        It could not be answered.

    Notes
    -----
    A glimpse is a question that may never become the object's: about a click that is dragged. If it does, its
    answer is told once more, as that of the object.
    """

    answered = Signal(object)
    unanswered = Signal()

    def __init__(self, worker: InferenceWorker) -> None:
        super().__init__()
        self.pending: Question | None = None
        self.answer: Answer | None = None
        self._worker = worker
        self._active = True
        self._glimpse = False  # whether what is pending is one
        self._untold = False  # whether the answer was only that of one
        worker.answered.connect(self._on_answered)
        worker.failed.connect(self._on_failed)

    def about(self, question: Question | None, *, afresh: bool) -> bool:
        """Ask, where the answer is not known yet.

        Parameters
        ----------
        question : Question or None
        afresh : bool
            Whether it is about another object, so that the answer before has nothing to do with it.

        Returns
        -------
        bool
            False where there is nothing to ask.
        """
        if question is None or not question.answerable:
            self.pending = self.answer = None
            self._worker.drop_clicks()
            return False
        self._glimpse = False
        if self.answer is not None and self.answer.question == question:
            if self._untold:
                self._untold = False
                QTimer.singleShot(0, partial(self._tell_again, self.answer))
            if self.pending is not None:
                self.pending = None
                self._worker.drop_clicks()
        elif self.pending != question:
            if afresh:
                self.answer = None
            self.pending = question
            self._worker.answer(question)
        return True

    def glimpse(self, question: Question | None) -> None:
        """Ask what would be, where nothing else is to be answered."""
        if question is None or not question.answerable or self.pending is not None:
            return
        if self.answer is None or self.answer.question != question:
            self.pending, self._glimpse = question, True
            self._worker.answer(question)

    def knows(self, question: Question | None) -> bool:
        """Whether this is what the newest answer is about."""
        return self.answer is not None and self.answer.question == question

    def inspect(self) -> None:
        """Ask what order did to the newest answer."""
        if self.answer is not None:
            self._worker.inspect(self.answer)

    def forget(self) -> None:
        """Know nothing more: the image is embedded anew."""
        self.pending = self.answer = None

    def close(self) -> None:
        """Ask and hear nothing more."""
        self._active = False
        self._worker.drop_clicks()

    def _on_answered(self, answer: Answer) -> None:
        if self._active and answer.question == self.pending:
            self.pending, self.answer = None, answer
            self._untold, self._glimpse = self._glimpse, False
            self.answered.emit(answer)

    def _tell_again(self, answer: Answer) -> None:
        if self._active and self.answer is answer and self.pending is None:
            self.answered.emit(answer)

    def _on_failed(self, failure: Failure) -> None:
        if not failure.embedding:
            self.pending = None  # the next change asks again
            self.unanswered.emit()


def question_about(obj: AnnotatedObject | None) -> Question | None:
    """What the worker is to be asked about an object."""
    if obj is None:
        return None
    wanted = obj.settings
    return Question(obj.clicks, obj.seed, wanted.order_strength, wanted.order, wanted.look)
