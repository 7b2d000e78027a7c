"""One rule: what is accepted is the mask on the screen, and it is the answer to the object's own clicks.

Where that answer is still to come, or the labels are still to be read, Accept waits and is done then.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning

from napari_ois._napari.inquiry import question_about
from napari_ois._napari.own_label import own_label
from napari_ois._napari.regional import whole_mask
from napari_ois.annotation import Clicks
from napari_ois.annotation.answers import read_cells
from napari_ois.annotation.confidence import mask_score
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels

    from napari_ois._napari.inquiry import Inquiry
    from napari_ois._napari.session import Session
    from napari_ois._napari.worker import Answer
    from napari_ois.annotation import AnnotatedObject

ASK = "ask"
"""The overlap rule that leaves it to the user each time; the others are the document's."""
NOTHING = "There is no object to accept; click on one first."


class Acceptance:
    """Accepts the objects of a session.

    Parameters
    ----------
    session : Session
    inquiry : Inquiry
        Of the session.
    """

    def __init__(self, session: Session, inquiry: Inquiry) -> None:
        self._session, self._inquiry = session, inquiry
        self._waiting: Callable[[], None] | None = None  # an Accept that waits for its mask
        self._unread: int | None = None  # the object whose Accept waits for the labels
        self._held = Clicks()  # made while an Accept waits: on the next object

    @property
    def waiting(self) -> bool:
        """Whether an Accept waits for its mask."""
        return self._waiting is not None

    def drop(self) -> None:
        """Forget the Accept that waits: it was meant for something else."""
        self._waiting = self._unread = None
        if len(self._held):
            self._held = Clicks()
            show_warning("The next object was not begun, since this one is not accepted: click on it again.")

    def waits_for(self, obj: AnnotatedObject) -> bool:
        """Whether an Accept of an object waits, for its mask or for the labels."""
        searching = self._unread == obj.number and self._session.workbook.canvas.searching
        return searching or (self.waiting and self._inquiry.pending is not None)

    def holds(self, obj: AnnotatedObject, clicks: Clicks) -> bool:
        """Whether a new positive click is kept for the next object, since this one is as good as accepted."""
        new = clicks.items[len(obj.clicks) :]
        added = len(new) == 1 and new[0].positive and clicks.first(len(obj.clicks)) == obj.clicks
        if not added or not self.waits_for(obj):
            return False
        self._held = Clicks((*self._held.items, *new))
        self._session.status.emit("That click begins the next object, as soon as this one is accepted.")
        return True

    def resume(self) -> None:
        """Do what waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._try(waiting)

    def accept(self, target: Labels | None, rule: str) -> None:
        """Write the object on the screen into a Labels layer, and start the next one.

        Where the newest click is not answered yet, this happens as soon as it is.

        Parameters
        ----------
        target : Labels or None
            None makes a layer for the whole image.
        rule : str
            What happens to pixels that others have: ``"keep"``, ``"overwrite"``, or ``"ask"``.

        Raises
        ------
        InputError
            If there is no object, no pixel of it is free, or the target does not lie on the image.
        """
        session = self._session
        session.keep_strokes()
        obj = session.object
        self._inquiry.about(question_about(obj), afresh=False)  # a click that is being dragged is none yet
        again = partial(self.accept, target, rule)
        if self._inquiry.pending is not None:
            self._waiting = again
            session.status.emit("Accepted as soon as the last click is answered.")
            return
        session.refresh()  # nor is a threshold that is only tried
        canvas, answer = session.workbook.canvas, self._inquiry.answer
        mask = None if obj is None else whole_mask(obj, answer, session.plane.shape)
        if obj is None or not mask:
            raise InputError(NOTHING)
        if target is None:
            layer = canvas.make()
            session.layers.insert(layer)
        else:
            layer = target
        name = canvas.adopt(layer)
        self._unread = obj.number
        if not canvas.ready(name, partial(self._on_read, obj.number, again)):
            session.status.emit(f'Accepted as soon as the labels of "{layer.name}" are known.')
            return
        self._unread = None
        if rule == ASK:
            overlap = session.document.overlap(obj.number, mask, name)
            if overlap:
                session.overlapping.emit(overlap)
                return
            rule = "keep"
        score = None if answer is None else _score(obj, answer, session.plane.shape)
        held, self._held = self._held, Clicks()
        try:
            with own_label(session.document, [obj], name):
                accepted = session.document.accept(obj.number, mask, rule=rule, target=name, score=score)
        except InputError:
            self._held = held
            raise
        session.document.select(None)
        denied = f", {accepted.denied.area} pixels stay with older objects" if accepted.denied else ""
        session.status.emit(f'Object {accepted.label} is in "{layer.name}"{denied}. Click on the next one.')
        session.accepted.emit(layer)
        if len(held):
            session.document.start(session.place, clicks=held, settings=session.settings)

    def _on_read(self, number: int, again: Callable[[], None]) -> None:
        """The labels are known: accept the object that waited for them, unless that was dropped."""
        obj = self._session.object
        if obj is not None and obj.number == number == self._unread:
            self._try(again)

    def _try(self, verb: Callable[[], None]) -> None:
        """Do what had to wait."""
        if not self._session.active:
            return
        try:
            verb()
        except InputError as error:
            show_warning(str(error))
            self.drop()


def _score(obj: AnnotatedObject, answer: Answer, shape: tuple[int, int]) -> float:
    """Mean probability in the mask as the object reads it, without brush strokes."""
    prediction = answer.prediction
    if obj.settings.read_as_it_is:
        return float(prediction.score)
    return mask_score(prediction.probability, read_cells(prediction, shape, obj))
