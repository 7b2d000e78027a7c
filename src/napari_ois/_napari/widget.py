"""One rule: the widget holds controls and passes on; a session does the work, a worker takes the time.

It makes its thread at Start and gives everything back - keys, events, layers, thread - when it is
closed, taken out of its dock or destroyed, whichever comes first.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer
from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QEvent, QTimer, Signal
from qtpy.QtGui import QCloseEvent

from napari_ois._napari.ahead_verbs import AheadVerbs
from napari_ois._napari.controls import WELCOME
from napari_ois._napari.everything_verbs import EverythingVerbs
from napari_ois._napari.holder import Holder
from napari_ois._napari.panels import PANELS
from napari_ois._napari.parts import pressed, reset_kept
from napari_ois._napari.plane import image_shape, show_plane
from napari_ois._napari.predictors import PredictorFactory
from napari_ois._napari.preferences import Store, open_store
from napari_ois._napari.session import Session
from napari_ois._napari.sight_verbs import see_plainly
from napari_ois._napari.worker import Answer, Embedded, Failure, InferenceWorker
from napari_ois.errors import OISError

if TYPE_CHECKING:
    from pathlib import Path

    import napari

    from napari_ois._napari.errands import Errands
    from napari_ois._napari.workbook import Workbook
    from napari_ois.annotation import AnnotatedObject
    from napari_ois.annotation.accepting import Overlap

LOG = logging.getLogger(__name__)


class OISWidget(EverythingVerbs, AheadVerbs):
    """Click on an object of an image, get its mask, its depth and its order maps.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The name makes napari pass the viewer.
    predictor_factory : callable, optional
        Makes a predictor from the names of a model and a device; by default :class:`napari_ois.Predictor`.
    journal_folder : Path, optional
        Where journals lie; by default where the user prefers.
    preferences : Store, optional
        Where the user's preferences lie; by default where this version of napari keeps them.

    Attributes
    ----------
    keep_journal : bool
        Whether what is done from the next image on is written down there.

    Signals
    -------
    embedded(Embedded), answered(Answer), inspected(Inspected), failed(Failure)
        What the worker gave, after the viewer was brought up to date.
    begun(Session), ended()
        A session is there, or is over.
    layers_changed()
        The viewer has other layers, or they are ordered otherwise.
    stack_changed()
        What is known of the object that is carried through a stack.
    """

    embedded = Signal(object)
    answered = Signal(object)
    inspected = Signal(object)
    begun = Signal(object)
    ended = Signal()
    layers_changed = Signal()
    stack_changed = Signal()
    failed = Signal(object)

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        predictor_factory: PredictorFactory | None = None,
        *,
        journal_folder: Path | None = None,
        preferences: Store | None = None,
    ) -> None:
        self._viewer = napari_viewer
        self._holder = Holder(napari_viewer, predictor_factory, preferences or open_store())
        self._holder.journal_folder = journal_folder
        self._docked = False
        self._times: dict[str, str] = {}
        self._hint = WELCOME
        super().__init__(images=self._images, targets=self._targets)
        for button, action in (
            (self.start_button, self.start),
            (self.positive, partial(self.set_polarity, True)),
            (self.negative, partial(self.set_polarity, False)),
            (self.undo_button, self.undo),
            (self.redo_button, self.redo),
            (self.clear_button, self.clear),
            (self.accept_button, self.accept),
            (self.objects.next_button, self.next_object),
            (self.objects.previous_button, self.previous_object),
            (self.objects.reopen_button, self.reopen_object),
            (self.objects.new_button, self.new_object),
            (self.objects.seed_button, self.seed_object),
            (self.objects.colour_button, partial(self.recolor_object, ask=True)),
            (self.objects.delete_button, self.delete_object),
            (self.save_button, self.save_session),
            (self.load_button, self.load_session),
        ):
            button.clicked.connect(pressed(action))
        self.objects.chosen.connect(self.show_object)
        self.objects.reopened.connect(self.reopen_row)
        self.objects.renamed.connect(self.rename_object)
        for title, make in PANELS:
            self.add_panel(title, make(napari_viewer, self))
        self._listen()
        self._begin_preferences()
        for signal, slot in (
            (self.begun, self._join_stack), (self.ended, self._join_stack), (self.answered, self._follow_stack)
        ):  # fmt: skip
            signal.connect(slot)
        # By then the widget's own methods are gone; the holder is a plain object and outlives it.
        self.destroyed.connect(partial(Holder.release, self._holder, remove_layers=False))
        self._show_session()

    # -- verbs ------------------------------------------------------------------------------------

    @property
    def session(self) -> Session | None:
        """The session that runs, if one does."""
        return self._holder.session

    @property
    def keep_journal(self) -> bool:
        """See the class."""
        return self._holder.keep_journal

    @keep_journal.setter
    def keep_journal(self, keep: bool) -> None:
        self._holder.keep_journal = keep

    @property
    def worker(self) -> InferenceWorker | None:
        """The inference thread, once there was a Start."""
        return self._holder.worker

    @property
    def _errands(self) -> Errands | None:
        return self._holder.errands

    def thread(self, topic: str) -> Errands:
        """A thread beside the viewer for what a panel reads; given back with the rest."""
        return self._holder.thread(topic)

    def start(self) -> None:
        """Begin on the plane of the chosen image that the viewer shows; ends the session before."""
        image = self.image.value
        if image is None:
            show_warning("There is no image to segment: open one, or take a sample from File > Open Sample.")
            return
        self._begin(image)

    def _begin(self, image: Image) -> None:
        before = self.session
        again = before is not None and before.image == image
        self._holder.end_session(remove_clicks=again)
        self._times.clear()
        worker = self._holder.open_worker(self._on_failed, self._on_idle)
        book = self._holder.workbook(image, self._on_book)
        model, device = self.model.value, self.device.value
        try:
            session = Session(self._viewer, image, worker, book, model=model, device=device, keys=self.keys())
        except OISError as error:
            self._on_ended(str(error))
            show_warning(str(error))
            return
        self._holder.session = session
        session.layers.set_colours(self._holder.preferences.colours)
        session.embedded.connect(self._on_embedded)
        session.answered.connect(self._on_answered)
        session.inspected.connect(self.inspected)
        session.accepted.connect(self._on_accepted)
        session.status.connect(self._say)
        session.ended.connect(self._on_ended)
        session.elsewhere.connect(self._on_elsewhere)
        session.overlapping.connect(self._on_overlapping)
        book.refresh()
        self._show_offer()
        self._refresh_choices()  # the session's own layers are none of them
        if not again:
            self.target.value = book.target(self.target.value)
        self.set_polarity(True)
        self._say(f"Embedding {image.name}; you can already click.")
        self._show_session()
        self.begun.emit(session)

    def set_polarity(self, positive: bool) -> None:
        """Say whether the next click is on the object or on what is not."""
        self.positive.setChecked(positive)
        self.negative.setChecked(not positive)
        if self.session is not None:
            self.session.set_polarity(positive)

    def toggle_polarity(self) -> None:
        """Switch between positive and negative clicks."""
        self.set_polarity(not self.positive.isChecked())

    def accept(self, rule: str | None = None) -> None:
        """Write the object into the Labels layer chosen, with a new id.

        Parameters
        ----------
        rule : str, optional
            ``"keep"``, ``"overwrite"`` or ``"ask"``; by default what is chosen.
        """
        self.overlap_bar.dismiss()
        self._do(lambda session: session.accept(self.target.value, rule or self.rule.value))

    def clear(self) -> None:
        """Take the clicks and the preview away."""
        if self.session is not None:
            self.session.clear()
            self.set_polarity(True)

    def undo(self) -> None:
        """Take the newest step back: a click, an accept, a name..., of whichever object."""
        self._do(Session.undo)

    def redo(self) -> None:
        """Do the step undone last again."""
        self._do(Session.redo)

    def shutdown(self) -> None:
        """Give back keys, events, layers and the thread; Start works again afterwards."""
        self.discard_stack()
        self._holder.release()
        self._times.clear()
        self._say(WELCOME)

    # -- Qt ---------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """Give everything back."""
        self.shutdown()
        super().closeEvent(event)

    def event(self, event: QEvent) -> bool:
        """Notice being taken out of the dock: napari then sends no close event."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
                self._listen()
            elif self._docked:
                self._docked = False
                self.shutdown()
        return super().event(event)

    def _listen(self) -> None:
        self._holder.listen(self._refresh_choices)
        self._holder.follow(self._on_preferences)
        self._refresh_choices()

    # -- slots ------------------------------------------------------------------------------------

    def _on_embedded(self, result: Embedded) -> None:
        loading = f", model loaded in {result.loading:.1f} s" if result.loading > 0.1 else ""
        self._times = {"device": result.device, "embedding": f"embedded in {result.seconds:.2f} s{loading}"}
        self._show_session()
        self.embedded.emit(result)

    def _on_answered(self, answer: Answer) -> None:
        self._times["click"] = f"last click {answer.seconds:.2f} s"
        self._show_session()
        self.answered.emit(answer)

    def _on_accepted(self, layer: Labels) -> None:
        self._refresh_choices()
        self.target.value = layer
        self.set_polarity(True)

    def _on_elsewhere(self, obj: AnnotatedObject) -> None:
        """Go to the plane of an object that an undo has brought back; later, as its document is still telling."""
        QTimer.singleShot(0, partial(self._go_to, obj.number))

    def _go_to(self, number: int) -> None:
        session = self.session
        current = None if session is None else session.document.current
        if session is None or current is None or current.number != number:
            return  # it was at hand for a moment only, within another step
        place = current.plane
        if place != session.place:
            show_plane(self._viewer, session.image, place.axes, place.index)
            self._begin(session.image)

    def _on_failed(self, failure: Failure) -> None:
        text = str(failure.error)
        if isinstance(failure.error, OISError):
            show_warning(text)
        else:
            LOG.error("napari-ois: a request failed", exc_info=failure.error)
            text = f"Something in napari-ois went wrong ({text}); the log has the details."
            show_error(text)
        if failure.embedding and self.session is not None:
            see_plainly(self.session)
            self.session.end(text)
        else:
            self._say(text)
        self.failed.emit(failure)

    def _on_idle(self, *_: Any) -> None:
        """The worker has embedded, perhaps for an image that is gone."""
        self._show_session()

    def _on_ended(self, reason: str) -> None:
        self._holder.session = None
        self._times.clear()
        self._say(reason or WELCOME)
        self._show_session()
        self.overlap_bar.dismiss()
        self.recovery_bar.dismiss()
        self._show_objects()
        self.ended.emit()

    def _on_overlapping(self, overlap: Overlap) -> None:
        pixels, others = sum(overlap.taken.values()), ", ".join(map(str, overlap.taken))
        self.overlap_bar.ask(
            f"{pixels} pixels of this object belong to label {others}.",
            {
                "Keep theirs": partial(self.accept, "keep"),
                "Take them": partial(self.accept, "overwrite"),
                "Cancel": self.overlap_bar.dismiss,
            },
        )

    def _on_book(self, book: Workbook) -> None:
        book.changed.connect(self._show_objects)
        book.happened.connect(self._show_session)
        book.happened.connect(self.overlap_bar.dismiss)  # it asked about the object as it was then
        book.replaced.connect(self.overlap_bar.dismiss)
        book.recovery.offered.connect(self._show_offer)
        book.recovery.failed.connect(show_warning)
        book.recovery.begin(lambda: book.document)

    def _show_objects(self) -> None:
        """Show the list of objects, and what can be undone."""
        session = self.session
        if session is not None:
            current = session.document.current
            planes = len(image_shape(session.image)) > 2
            self.objects.show_rows(session.workbook.rows, None if current is None else current.number, planes)
        else:
            self.objects.show_rows((), None, False)
        self._show_session()

    def _say(self, hint: str) -> None:
        self._hint = hint
        self._show_session()

    def _show_session(self) -> None:
        """Enable what can be used now, in one place, and write the status line."""
        session, worker = self.session, self._holder.worker
        self.enable(session is not None)
        self.show_history(None if session is None else session.document.history)
        self.progress.setVisible(worker is not None and worker.busy)
        self._holder.activity.show("" if worker is None else worker.doing)
        self.status.setText("\n".join(filter(None, [" · ".join(self._times.values()), self._hint])))

    # -- choices ----------------------------------------------------------------------------------

    def _others(self, kind: type[Layer]) -> list[tuple[str, Any]]:
        """Layers of one kind that are not the session's own, topmost first, with their names."""
        session = self.session
        return [
            (layer.name, layer)
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, kind)
            and not (session and session.layers.owns(layer))
            and "napari-ois" not in layer.metadata  # nor a preview of a stack
        ]

    def _images(self, *_: Any) -> list[tuple[str, Any]]:
        return self._others(Image)

    def _targets(self, *_: Any) -> list[tuple[str, Any]]:
        return [("new layer", None), *self._others(Labels)]

    def _refresh_choices(self, event: Any = None) -> None:
        for part in (self.image, self.target):
            reset_kept(part)
        self.layers_changed.emit()
        if getattr(event, "type", "") == "removed":
            QTimer.singleShot(0, self._check_layers)  # napari may be taking more of them away
