"""One rule: a session is one image plane from Start to its end, and shows what the document says - nothing else.

The user's clicks and strokes become commands of the document; whatever happens to the document - a click, an
undo, another object - is then shown: its clicks, its mask, and, where the question is a new one, the worker's
answer to it. So a mask depends on the object alone, and nothing can feed back.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal

from napari_ois._napari import settings
from napari_ois._napari.acceptance import Acceptance
from napari_ois._napari.chores import Chores
from napari_ois._napari.click_reader import ClickReader, nowhere
from napari_ois._napari.dragging import Dragging
from napari_ois._napari.embedding import Embedding
from napari_ois._napari.inquiry import Inquiry, question_about
from napari_ois._napari.layers import SessionLayers
from napari_ois._napari.outline import Outline
from napari_ois._napari.parts import pressed
from napari_ois._napari.plane import displayed_plane
from napari_ois._napari.regional import shown_part
from napari_ois._napari.sight import Sight
from napari_ois._napari.surroundings import Surroundings
from napari_ois.annotation import AnnotatedObject, Clicks, Document, PlaneKey, Prompt
from napari_ois.segmentation.appearance import PLAIN, Appearance
from napari_ois.segmentation.frame import View
from napari_ois.segmentation.lazy_plane import is_large

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from napari.layers import Image, Labels

    from napari_ois._napari.click_reader import Beyond
    from napari_ois._napari.workbook import Workbook
    from napari_ois._napari.worker import Answer, Embedded, InferenceWorker, Inspected
    from napari_ois.annotation import Happened


class Session(QObject):
    """Joins the layers of one plane with the document and the worker.

    Parameters
    ----------
    viewer : napari.Viewer
    image : Image
    worker : InferenceWorker
    workbook : Workbook
        Of the image.
    model, device : str
        As chosen by the user.
    keys : dict of str to callable
        Single keys, bound to the clicks layer for as long as the session lasts.

    Raises
    ------
    InputError
        If the viewer does not show a plane of the image; nothing was made.

    Signals
    -------
    status(str)
        What to do next.
    embedded(Embedded), answered(Answer), inspected(Inspected)
        What the worker gave, after the layers were brought up to date.
    emptied()
        There is nothing to see: no click is positive.
    accepted(Labels)
        An object was written into this layer.
    overlapping(Overlap)
        Accept was to ask: the mask lies on other objects; nothing was written.
    elsewhere(AnnotatedObject)
        The current object is open on another plane.
    ended(str)
        The session is over; why, or an empty string.
    """

    embedded = Signal(object)
    answered = Signal(object)
    inspected = Signal(object)
    emptied = Signal()
    accepted = Signal(object)
    overlapping = Signal(object)
    elsewhere = Signal(object)
    status = Signal(str)
    ended = Signal(str)

    def __init__(
        self,
        viewer: napari.Viewer,
        image: Image,
        worker: InferenceWorker,
        workbook: Workbook,
        *,
        model: str,
        device: str,
        keys: dict[str, Callable[[], None]],
    ) -> None:
        super().__init__()
        self.image = image
        self.plane = displayed_plane(viewer, image)
        self.place = PlaneKey(self.plane.axes, self.plane.index)
        self.workbook = workbook
        self.active = True
        self._chores = Chores(self)
        stroke = partial(self._chores.add, self.keep_strokes)
        self.layers = SessionLayers(viewer, image, self.plane, later=self._chores.add, on_stroke=stroke)
        self.sight = Sight(viewer, image, self.plane, workbook.sight, self.layers.owns)
        self.sight.changed.connect(self._on_look)
        self.settings = replace(workbook.settings, look=self.sight.appearance(), order="")  # of the next object
        self.beyond: Beyond = nowhere  # may take clicks on other planes
        self._reader = ClickReader(viewer, self.layers, lambda: image.name, lambda *click: self.beyond(*click))
        self._inquiry = Inquiry(worker)
        self._keys: dict[str, Callable[[], None]] = {}
        self.acceptance = Acceptance(self, self._inquiry)
        self._dragging = Dragging(self.layers, self._reader, lambda: self._inquiry.pending is not None)
        self._number: int | None = None  # the object on the screen
        self.bind(keys)
        self._reader.changed.connect(self._on_clicks)
        self._dragging.dragged.connect(self._on_dragged)
        self._dragging.dropped.connect(self._on_dropped)
        self._surroundings = Surroundings(viewer, image, self.layers.clicks)
        self._surroundings.lost.connect(self.end)
        worker.embedded.connect(self._on_embedded)
        worker.inspected.connect(self._on_inspected)
        self._inquiry.answered.connect(self._on_answered)
        self._inquiry.unanswered.connect(self.acceptance.drop)
        self._region = Outline(self.layers, image, self.plane, "region", settings.REGION_COLOR)
        self._box = Outline(self.layers, image, self.plane, "box")
        self._embedding = Embedding(worker, model, device, self.sight, workbook.orders)
        self._embedding.need(self.settings)
        if self.object is None:
            self.document.select(None)
        self._detach = self.document.connect(self._on_happened)
        workbook.replaced.connect(self._on_replaced)
        self._sync()

    # -- read -------------------------------------------------------------------------------------

    @property
    def document(self) -> Document:
        """All objects of the image."""
        return self.workbook.document

    @property
    def clicks(self) -> Clicks:
        """The clicks on the screen."""
        return self._reader.clicks

    @property
    def order(self) -> str:
        """Key of the depth map in use, in the workbook's ``orders``; empty for the model's own."""
        return self._embedding.order or ""

    @property
    def look(self) -> Appearance:
        """What is done to the plane before the network sees it."""
        return self._embedding.look or PLAIN

    @property
    def object(self) -> AnnotatedObject | None:
        """The open object on this plane that the user is at."""
        obj = self.document.current
        return obj if obj is not None and obj.accepted is None and obj.plane == self.place else None

    @property
    def answer(self) -> Answer | None:
        """The newest answer of the worker about the object on the screen."""
        return self._inquiry.answer

    @property
    def waiting(self) -> bool:
        """Whether an answer is awaited."""
        return self._inquiry.pending is not None

    # -- verbs ------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the mask that the document has, where something else was tried."""
        self._show(self.object)

    def clear(self) -> None:
        """Take all clicks and strokes of the current object away, and its box; accepted objects stay."""
        self.keep_strokes()
        self.acceptance.drop()
        if (obj := self.object) is not None:
            with self.document.group():
                self.document.set_clicks(obj.number, Clicks())
                if obj.seed is not None and obj.seed.box is not None:
                    self.document.draw(obj.number, Prompt(), "no box")
                self.document.clear_edits(obj.number)
        self.status.emit("Click on an object.")

    def undo(self) -> None:
        """Take the newest step back, whatever it was."""
        self._go(self.document.undo, "There is nothing to undo.")

    def redo(self) -> None:
        """Do the step undone last again."""
        self._go(self.document.redo, "There is nothing to redo.")

    def accept(self, target: Labels | None, rule: str = "keep") -> None:
        """Write the object on the screen into a layer, and start the next; see :meth:`Acceptance.accept`."""
        self.acceptance.accept(target, rule)

    def adjust(self, *, only_next: bool = False, **changes: Any) -> None:
        """Answer the object on the screen, and those to come, with other :class:`~.Settings`; or only those to come."""
        self.keep_strokes()
        self.settings = self.workbook.settings = replace(self.settings, **changes)
        obj = self.object
        if obj is None:
            self._embedding.need(self.settings)
        elif not only_next and not self.document.adjust(obj.number, replace(obj.settings, **changes)):
            self._sync()  # the same, but its map of order may be here now

    def inspect(self) -> bool:
        """Ask what order does to the mask on the screen, which :attr:`inspected` tells; False where there is none."""
        if not self._inquiry.knows(question_about(self.object)):
            return False
        self._inquiry.inspect()
        return True

    def set_polarity(self, positive: bool) -> None:
        """Say what the next click will be."""
        self.layers.set_polarity(positive)

    def bind(self, keys: dict[str, Callable[[], None]]) -> None:
        """Give the clicks layer these keys, and take those before away."""
        for key in self._keys:
            self.layers.clicks.bind_key(key, None, overwrite=True)
        self._keys = keys
        for key, action in keys.items():
            self.layers.clicks.bind_key(key, pressed(action), overwrite=True)

    def keep_strokes(self) -> None:
        """Note what the user has painted on the preview since it was shown."""
        strokes = self.layers.strokes()
        if strokes is None or not self.active:
            return
        with self.document.group():
            obj = self.object or self.document.start(self.place, settings=self.settings)
            self.document.paint_edit(obj.number, *strokes)

    def end(self, reason: str = "", *, remove_layers: bool = True, remove_clicks: bool = False) -> None:
        """Release keys, events and layers; accepted objects, and clicks if there are any, stay.

        Parameters
        ----------
        reason : str
            For the user.
        remove_layers : bool
            False where the viewer itself is going away, and nobody listens any more.
        remove_clicks : bool
            True where another session on the image follows: the document has the clicks.
        """
        if not self.active:
            return
        self.keep_strokes()
        self.active = False
        self._chores.drop()
        self.acceptance.drop()
        self._detach()
        self.workbook.replaced.disconnect(self._on_replaced)
        self._reader.release()
        self._dragging.release()
        self._surroundings.release()
        self.sight.release()
        self._inquiry.close()
        self.bind({})
        self.layers.unbind()
        if remove_layers:
            self.layers.remove(clicks=remove_clicks)
            self.ended.emit(reason)

    # -- the document -----------------------------------------------------------------------------

    def _on_clicks(self, clicks: Clicks) -> None:
        self.keep_strokes()
        obj = self.object
        if obj is not None and self.acceptance.holds(obj, clicks):
            self._reader.show(obj.clicks)
        elif obj is not None:
            self.document.set_clicks(obj.number, clicks)
        elif len(clicks):
            self.document.start(self.place, clicks=clicks, settings=self.settings)

    def _on_dragged(self, clicks: Clicks) -> None:
        """Ask for the mask that the object would have; it has it when the mouse is let go."""
        obj = self.object
        if self.active and obj is not None and len(clicks) == len(obj.clicks):
            self._inquiry.glimpse(question_about(replace(obj, clicks=clicks)))

    def _on_look(self, look: Appearance) -> None:
        self.adjust(look=look)

    def _on_dropped(self) -> None:
        if self.active:
            self._sync()

    def _go(self, step: Callable[[], Any], nothing: str) -> None:
        self.keep_strokes()
        self.acceptance.drop()
        if not step():
            self.status.emit(nothing)

    def _on_happened(self, happened: Happened) -> None:
        if not self.active:
            return
        self._sync()
        current = self.document.current
        if current is not None and current.accepted is None and current.plane != self.place:
            self.elsewhere.emit(current)

    def _on_replaced(self) -> None:
        if not self.active:
            return
        self._detach()
        self._detach = self.document.connect(self._on_happened)
        self._number = -1  # nobody's: whatever comes now is another object
        if self.object is None:
            self.document.select(None)
        self._sync()

    def _sync(self) -> None:
        """Show the current object, and ask for its mask where that is not known."""
        obj = self.object
        before = self._number
        another, self._number = obj is None or obj.number != self._number, None if obj is None else obj.number
        if another and before is not None:
            self.acceptance.drop()  # it was meant for that one
        self._reader.show(Clicks() if obj is None else obj.clicks)
        box = None if obj is None or obj.seed is None else obj.seed.box
        self._box.show(None if box is None else View(*box))
        if self._embedding.need((self if obj is None else obj).settings):
            self._inquiry.forget()
        asked = self._inquiry.about(question_about(obj), afresh=another)
        if another or self._inquiry.pending is None:
            self._show(obj)
        if not asked:
            self.layers.clear_orders()
            self.emptied.emit()
            self._hint(obj)

    def _show(self, obj: AnnotatedObject | None) -> None:
        """Show the mask of an object as far as it is known."""
        answer = self._inquiry.answer
        mask, frame = shown_part(obj, None if answer is None else answer.prediction, self.plane.shape)
        if frame is not None:
            self._region.show(frame.view)
        if mask is None:
            self.layers.clear_mask()
        else:
            self.layers.show_mask(mask, frame or self.sight.grid(self.look))

    def _hint(self, obj: AnnotatedObject | None) -> None:
        if obj is None or not len(obj.clicks):
            self.status.emit("Click on an object.")
            return
        text = "Only negative clicks so far: add a positive click on the object."
        show_info(text)
        self.status.emit(text)

    # -- answers ----------------------------------------------------------------------------------

    def _on_embedded(self, result: Embedded) -> None:
        if not self.active:  # Qt may be half gone by then: slots are muted, not disconnected
            return
        self.workbook.model = result.model
        self.layers.show_depth(result.depth)
        if self._inquiry.pending is None:
            self.status.emit("Click on an object.")
        self._chores.add(partial(self.embedded.emit, result))

    def _on_answered(self, answer: Answer) -> None:
        if not self.active:
            return
        self.keep_strokes()
        self._show(self.object)
        frame = answer.prediction.frame if is_large(self.plane.shape) else None
        self.layers.show_orders(answer.order_positive, answer.order_negative, frame)
        if answer.question != question_about(self.object):  # of a click that is still dragged
            return
        if not answer.prediction.mask.any():
            self.status.emit("The mask is empty: add a positive click, or move one.")
        elif not self.acceptance.waiting:
            self.status.emit("Add clicks where the mask is wrong, or accept it.")
        self.acceptance.resume()
        self._chores.add(partial(self.answered.emit, answer))

    def _on_inspected(self, result: Inspected) -> None:
        if self.active and result.question == question_about(self.object):
            self.inspected.emit(result)
