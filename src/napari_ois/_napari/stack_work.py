"""One rule: of an object through a stack the document holds what the user settled; the rest follows, and follows again.

What the user settles on a slice - clicks, strokes, agreement - is a part of the object in the document, so it is
undone, written down and brought back like all else. Whenever that changes, the slices that depend on it are
filled anew, one a step of a job in the inference thread; they become part of the document when the stack is
accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari.jobs import Job
from napari_ois._napari.plane import Plane, image_shape, read_plane
from napari_ois._napari.regional import whole_mask
from napari_ois.annotation import AnnotatedObject, Click, Clicks, PlaneKey, StackObject, StackSlice
from napari_ois.annotation.propagation import SliceMask
from napari_ois.annotation.stack_answers import SliceAnswers
from napari_ois.annotation.stacks import neighbour_seed
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from napari_ois._napari.session import Session
    from napari_ois._napari.worker import InferenceWorker, PredictorLike
    from napari_ois.segmentation.appearance import Appearance

DIRECTIONS = ("both ways", "forwards", "backwards", "between settled slices")


class StackWork(QObject):
    """One object, on its way through the stack.

    Parameters
    ----------
    session : Session
        In which it begins; it goes on in others on the same image.
    worker : InferenceWorker
    of : int
        The object, see :attr:`AnnotatedObject.whole`.
    axis : int
        Of the image; not one that is seen.

    Attributes
    ----------
    stack : StackObject
        What is known of each slice.

    Signals
    -------
    changed()
        A slice is filled, settled or gone, or the work has begun or paused.
    failed(BaseException)
        A slice could not be answered.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, session: Session, worker: InferenceWorker, of: int, axis: int) -> None:
        super().__init__()
        self.book, self.image, self.of, self.axis = session.workbook, session.image, of, axis
        first = self.book.document.parts(of)[0]
        self.base = first.plane.moved(axis, 0)
        self.slices = image_shape(self.image)[axis]
        self.stack = StackObject(0, self.slices - 1)
        self.done, self.total = 0, 0
        self._worker = worker
        self._session: Session | None = session
        self._job: Job | None = None
        self._bases: dict[int, Any] = {}  # what each key's mask came of
        self._unanswered: dict[int, AnnotatedObject] = {}
        self._stale = False  # whether something is to be filled that is not yet
        self._ends = (0, self.slices - 1)  # beyond which the user has said that it is not
        self._closed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self.follow)
        self.book.happened.connect(self._timer.start)

    # -- read -------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether slices are being filled."""
        return self._job is not None and self._job.running

    @property
    def name(self) -> str:
        """The object's; empty where it was deleted."""
        parts = self.book.document.parts(self.of)
        return parts[0].name if parts else ""

    def index_of(self, plane: PlaneKey) -> int | None:
        """Which slice of this stack a plane is; None where it is none."""
        if plane.axes != self.base.axes or plane.ndim != self.base.ndim or plane.moved(self.axis, 0) != self.base:
            return None
        return plane.index[self.axis]

    def plane_of(self, index: int) -> PlaneKey:
        """The plane of a slice."""
        return self.base.moved(self.axis, index)

    # -- verbs ------------------------------------------------------------------------------------

    def go(self, direction: str, slices: int | None = None) -> None:
        """Fill slices, from what is settled.

        Parameters
        ----------
        direction : str
            One of :data:`DIRECTIONS`.
        slices : int, optional
            How far beyond the outermost settled slices, at most.

        Raises
        ------
        InputError
            If nothing is settled, or no two slices to go between.
        """
        keys = sorted(self._settled())
        if not keys:
            raise InputError("Nothing is settled yet: click on the object on one slice first.")
        if direction == DIRECTIONS[3] and len(keys) < 2:
            raise InputError("Only one slice is settled: click on the object on another slice, or choose a direction.")
        far = self.slices if slices is None else slices
        first = keys[0] - (far if direction in (DIRECTIONS[0], DIRECTIONS[2]) else 0)
        last = keys[-1] + (far if direction in (DIRECTIONS[0], DIRECTIONS[1]) else 0)
        between = direction == DIRECTIONS[3]
        filled = [] if between else [one.index for one in self.stack.slices]  # those of another direction stay
        low, high = self._ends
        self.stack.end_at(max(low, min([first, *filled])), min(high, max([last, *filled])))
        self.follow(anew=True)

    def follow(self, *, anew: bool = False) -> None:
        """Take what is settled from the document, and fill what depends on what has changed."""
        if self._closed:
            return
        self._stale |= self._take_settled() or anew
        if self._waiting():
            self.cancel()
            return
        if self._stale and (self._unanswered or self.stack.pending()):
            self._run()
        self._stale = False
        self.changed.emit()

    def click(self, plane: PlaneKey, click: Click) -> bool:
        """Settle a slice that is not the session's by a click; False where the click is not on this stack.

        Nor where the user is at another object.
        """
        index = self.index_of(plane)
        if index is None or not self.stack.first <= index <= self.stack.last:
            return False
        rows, columns = plane.shape_in(image_shape(self.image))
        if not (-0.5 <= click.row <= rows - 0.5 and -0.5 <= click.column <= columns - 0.5):
            return False
        document = self.book.document
        parts = document.parts(self.of)
        if not parts or document.current not in parts:  # deleted, or not begun any more, or not what is clicked on
            return False
        part = next((part for part in parts if part.plane == plane), None)
        if part is not None:
            with document.group():
                document.reopen(part.number)
                document.set_clicks(part.number, part.clicks.added(click.row, click.column, click.positive))
            return True
        found = self.stack[index] if index in self.stack else None
        if found is None or found.is_empty:
            document.start_part(self.of, plane, clicks=Clicks((click,)))
        else:
            clicks = found.clicks.added(click.row, click.column, click.positive)
            document.start_part(self.of, plane, clicks=clicks, seed=neighbour_seed(found.before))
        return True

    def settle(self, plane: PlaneKey) -> None:
        """Agree with a slice as it is.

        Raises
        ------
        InputError
            If nothing was found there, or it is settled already.
        """
        index = self.index_of(plane)
        found = None if index is None or index not in self.stack else self.stack[index]
        if found is None or found.is_empty:
            raise InputError("Nothing was found on this slice; click on the object there.")
        if found.is_key:
            raise InputError("This slice is settled already.")
        self.book.document.start_part(self.of, plane, clicks=found.clicks, seed=neighbour_seed(found.before))

    def end_at(self, plane: PlaneKey) -> None:
        """Say that the object is no more on a slice, nor beyond.

        Raises
        ------
        InputError
            If the slice is not beyond the settled ones.
        """
        index, keys = self.index_of(plane), self.stack.keys
        if index is None or not keys or keys[0] <= index <= keys[-1]:
            raise InputError("The object can end only beyond the slices that are settled; go to one of those.")
        self.cancel()
        low, high = self._ends
        self._ends = (low, index - 1) if index > keys[-1] else (index + 1, high)
        if index > keys[-1]:
            self.stack.end_at(last=index - 1)
        else:
            self.stack.end_at(first=index + 1)
        self.follow(anew=True)

    def to_accept(self) -> list[StackSlice]:
        """What is to be written; slices that are written as they are already are not among them.

        Raises
        ------
        InputError
            While slices are being filled or answered.
        """
        if self.running or self._waiting() or self._unanswered:
            raise InputError("Slices are still being filled: wait for the end, or cancel.")
        done = {
            part.plane for part in self.book.document.parts(self.of) if part.accepted is not None and _settled(part)
        }
        # Settled and no key: what the user said of it leaves nothing, so that what was carried there is not written.
        empty = set(self._settled()) - set(self.stack.keys)
        found = [StackSlice.of(one, self.plane_of(one.index)) for one in self.stack.slices if one.index not in empty]
        return [one for one in found if one.plane not in done]

    def cancel(self) -> None:
        """Fill no further slice; those that are filled stay."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
            self.changed.emit()

    def join(self, session: Session, worker: InferenceWorker) -> None:
        """Go on in another session on the image; its worker is another one where the model was loaded anew."""
        self._session, self._worker = session, worker
        self._timer.start()

    def close(self) -> None:
        """End; what was filled and not accepted is forgotten."""
        self._closed = True
        self._timer.stop()
        self.cancel()
        self.book.happened.disconnect(self._timer.start)

    # -- how --------------------------------------------------------------------------------------

    def _settled(self) -> dict[int, AnnotatedObject]:
        """The parts that the user settled, by slice."""
        found = {}
        for part in self.book.document.parts(self.of):
            index = self.index_of(part.plane)
            if index is not None and _settled(part) and (len(part.clicks) or part.seed or part.edits):
                found[index] = part
        return found

    def _waiting(self) -> bool:
        """Whether the user's newest click is still to be answered; what follows from it waits."""
        session = self._session
        obj = None if session is None or not session.active else session.object
        return obj is not None and obj.whole == self.of and session is not None and session.waiting

    def _take_settled(self) -> bool:
        """Bring the keys up to date; whether any has changed."""
        moved = False
        settled = self._settled()
        for index in set(self._bases) - set(settled):
            del self._bases[index]
            self._unanswered.pop(index, None)
            self.stack.drop_key(index)
            moved = True
        for index, part in settled.items():
            basis = (part.clicks, part.seed, part.edits, part.settings)
            known = index in self.stack.keys or index in self._unanswered
            if not self.stack.first <= index <= self.stack.last or (known and self._bases.get(index) == basis):
                continue
            found = self._on_screen(part)
            if found is None and self._shows(part):
                if self._session is not None and not self._session.waiting:  # it is answered: nothing is there
                    moved |= index in self.stack.keys
                    self.stack.drop_key(index)
                continue
            self._bases[index] = basis
            moved = True
            if found is None:
                self.stack.drop_key(index)  # what it was is no more; its answer may be that nothing is there
                self._unanswered[index] = part
            else:
                self._unanswered.pop(index, None)
                self.stack.set_key(index, found[0], score=1.0 if found[1] is None else found[1], clicks=part.clicks)
        return moved

    def _shows(self, part: AnnotatedObject) -> bool:
        session = self._session
        shown = None if session is None or not session.active else session.object
        return shown is not None and shown.number == part.number

    def _on_screen(self, part: AnnotatedObject) -> tuple[Any, float | None] | None:
        """Mask and score where they are known without asking."""
        if part.accepted is not None:
            return (part.accepted.written | part.accepted.denied).unpack(), part.accepted.score
        session = self._session
        if session is None or session.waiting or not self._shows(part):
            return None
        mask = whole_mask(part, session.answer, session.plane.shape)
        if not mask:
            return None
        return mask.unpack(), None if session.answer is None else float(session.answer.prediction.score)

    def _run(self) -> None:
        self.cancel()
        self.done, self.total = 0, len(self.stack.pending()) + len(self._unanswered)
        settings = self.book.document.parts(self.of)[0].settings
        try:
            reads = {
                index: self._reader(index, settings.look) for index in range(self.stack.first, self.stack.last + 1)
            }
        except InputError as error:
            self.failed.emit(error)
            return
        steps = partial(
            _fill, self.stack.copy(), dict(self._unanswered), lambda z: reads[z](), settings, self.book.orders.depth
        )
        self._job = Job(self._worker, steps)
        self._job.stepped.connect(self._on_step)
        self._job.failed.connect(self.failed)
        self._job.ended.connect(self._on_ended)

    def _reader(self, index: int, look: Appearance) -> Callable[[], Any]:
        """Something that reads a slice as the object was looked at, in the inference thread."""
        key = self.plane_of(index)
        rows, columns = key.shape_in(image_shape(self.image))
        plane = Plane((rows, columns), key.axes, key.index)
        if self._session is None:
            return partial(read_plane, plane, self.image)
        return self._session.sight.reader(look, plane)

    def _on_step(self, found: SliceMask) -> None:
        if found.is_key:
            self._unanswered.pop(found.index, None)
            self.stack.set_key(found.index, found.mask, score=found.score, clicks=found.clicks)
            self.total = max(self.total, self.done + 1 + len(self.stack.pending()))
        else:
            self.stack.take(found)
        self.done += 1
        self.changed.emit()

    def _on_ended(self, finished: bool) -> None:
        # one that was cancelled ends while the next one runs
        if self._job is not None and not self._job.running:
            self._job = None
            self._unanswered.clear()
            self.changed.emit()


def _settled(part: AnnotatedObject) -> bool:
    return part.part is None or part.part.settled


def _fill(
    stack: StackObject,
    unanswered: dict[int, AnnotatedObject],
    read: Any,
    settings: Any,
    orders: Any,
    predictor: PredictorLike,
) -> Iterator[SliceMask]:
    """In the inference thread: answer keys whose masks are not known, then fill slice by slice."""
    answers = SliceAnswers(predictor, read, settings, orders=orders)
    for index, part in unanswered.items():
        mask, score = answers.mask_of(index, part)
        if mask is not None and mask.any():
            stack.set_key(index, mask, score=score, clicks=part.clicks)
            yield stack[index]
    if stack.keys:
        yield from stack.run(answers, answers.see)
