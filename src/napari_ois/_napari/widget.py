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
from qtpy.QtCore import QEvent, Signal
from qtpy.QtGui import QCloseEvent

from napari_ois._napari import settings
from napari_ois._napari.controls import WELCOME, Controls
from napari_ois._napari.session import Session
from napari_ois._napari.worker import (
    Answer,
    Embedded,
    Failure,
    InferenceWorker,
    PredictorFactory,
    make_predictor,
)
from napari_ois.errors import OISError

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

LOG = logging.getLogger(__name__)


class OISWidget(Controls):
    """Click on an object of an image, get its mask, its depth and its order maps.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The name makes napari pass the viewer.
    predictor_factory : callable, optional
        Makes a predictor from the names of a model and a device; by default :class:`napari_ois.Predictor`.

    Signals
    -------
    embedded(Embedded), answered(Answer), inspected(Inspected), failed(Failure)
        What the worker gave, after the viewer was brought up to date.
    begun(Session), ended()
        A session is there, or is over.
    """

    embedded = Signal(object)
    answered = Signal(object)
    inspected = Signal(object)
    begun = Signal(object)
    ended = Signal()
    failed = Signal(object)

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        predictor_factory: PredictorFactory | None = None,
    ) -> None:
        self._viewer = napari_viewer
        self._holder = _Holder(napari_viewer.layers, predictor_factory or make_predictor)
        self._docked = False
        self._times: dict[str, str] = {}
        self._hint = WELCOME
        super().__init__(images=self._images, targets=self._targets)
        for button, action in (
            (self.start_button, self.start),
            (self.positive, partial(self.set_polarity, True)),
            (self.negative, partial(self.set_polarity, False)),
            (self.undo_button, self.undo),
            (self.clear_button, self.clear),
            (self.accept_button, self.accept),
        ):
            button.clicked.connect(partial(_press, action))
        self._holder.listen(self._refresh_choices)
        self._refresh_choices()
        # By then the widget's own methods are gone; the holder is a plain object and outlives it.
        self.destroyed.connect(partial(_Holder.release, self._holder, remove_layers=False))
        self._show_session()

    # -- verbs ------------------------------------------------------------------------------------

    @property
    def session(self) -> Session | None:
        """The session that runs, if one does."""
        return self._holder.session

    def start(self) -> None:
        """Begin on the plane of the chosen image that the viewer shows; ends the session before."""
        image = self.image.value
        if image is None:
            show_warning("There is no image to segment: open one, or take a sample from File > Open Sample.")
            return
        self._holder.end_session()
        self._times.clear()
        worker = self._holder.open_worker(self._on_failed)
        keys = {
            settings.KEY_POLARITY: self.toggle_polarity,
            settings.KEY_ACCEPT: self.accept,
            settings.KEY_UNDO: self.undo,
            settings.KEY_CLEAR: self.clear,
        }
        model, device = self.model.value, self.device.value
        try:
            session = Session(self._viewer, image, worker, model=model, device=device, keys=keys)
        except OISError as error:
            self._on_ended(str(error))
            show_warning(str(error))
            return
        self._holder.session = session
        session.embedded.connect(self._on_embedded)
        session.answered.connect(self._on_answered)
        session.inspected.connect(self.inspected)
        session.accepted.connect(self._on_accepted)
        session.status.connect(self._say)
        session.ended.connect(self._on_ended)
        self._refresh_choices()  # the session's own layers are none of them
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

    def accept(self) -> None:
        """Write the object into the Labels layer chosen, with a new id."""
        if self.session is None:
            show_warning(WELCOME)
            return
        try:
            self.session.accept(self.target.value)
        except OISError as error:
            show_warning(str(error))

    def clear(self) -> None:
        """Take the clicks and the preview away."""
        if self.session is not None:
            self.session.clear()
            self.set_polarity(True)

    def undo(self) -> None:
        """Take the newest click away."""
        if self.session is not None:
            self.session.undo()

    def shutdown(self) -> None:
        """Give back keys, events, layers and the thread; Start works again afterwards."""
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
                self._holder.listen(self._refresh_choices)
                self._refresh_choices()
            elif self._docked:
                self._docked = False
                self.shutdown()
        return super().event(event)

    # -- slots ------------------------------------------------------------------------------------

    def _on_embedded(self, result: Embedded) -> None:
        loading = f", model loaded in {result.loading:.1f} s" if result.loading > 0.1 else ""
        self._times = {
            "device": result.device,
            "embedding": f"embedded in {result.seconds:.2f} s{loading}",
        }
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

    def _on_failed(self, failure: Failure) -> None:
        text = str(failure.error)
        if isinstance(failure.error, OISError):
            show_warning(text)
        else:
            LOG.error("napari-ois: a request failed", exc_info=failure.error)
            text = f"Something in napari-ois went wrong ({text}); the log has the details."
            show_error(text)
        if failure.embedding and self.session is not None:
            self.session.end(text)
        else:
            self._say(text)
        self.failed.emit(failure)

    def _on_ended(self, reason: str) -> None:
        self._holder.session = None
        self._times.clear()
        self._say(reason or WELCOME)
        self._show_session()
        self.ended.emit()

    def _say(self, hint: str) -> None:
        self._hint = hint
        self._show_session()

    def _show_session(self) -> None:
        """Enable what can be used now, in one place, and write the status line."""
        session, worker = self.session, self._holder.worker
        self.enable(session is not None)
        self.progress.setVisible(worker is not None and worker.busy)
        self.status.setText("\n".join(filter(None, [" · ".join(self._times.values()), self._hint])))

    # -- choices ----------------------------------------------------------------------------------

    def _others(self, kind: type[Layer]) -> list[tuple[str, Any]]:
        """Layers of one kind that are not the session's own, topmost first, with their names."""
        session = self.session
        return [
            (layer.name, layer)
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, kind) and not (session and session.layers.owns(layer))
        ]

    def _images(self, *_: Any) -> list[tuple[str, Any]]:
        return self._others(Image)

    def _targets(self, *_: Any) -> list[tuple[str, Any]]:
        return [("new layer", None), *self._others(Labels)]

    def _refresh_choices(self, event: Any = None) -> None:
        self.image.reset_choices()
        self.target.reset_choices()


class _Holder:
    """What must be given back even when the widget is already destroyed: session, worker, events."""

    def __init__(self, layers: Any, factory: PredictorFactory) -> None:
        self.session: Session | None = None
        self.worker: InferenceWorker | None = None
        self._factory = factory
        self._events = [getattr(layers.events, n) for n in ("inserted", "removed", "reordered")]
        self._listener: Callable[..., None] | None = None

    def listen(self, callback: Callable[..., None]) -> None:
        """Have a function called when layers come or go."""
        if self._listener is None:
            self._listener = callback
            for emitter in self._events:
                emitter.connect(callback)

    def open_worker(self, on_failed: Callable[[Failure], None]) -> InferenceWorker:
        """Give the worker; one that runs is kept, and with it its model."""
        if self.worker is None:
            self.worker = InferenceWorker(self._factory)
            self.worker.failed.connect(on_failed)
        return self.worker

    def end_session(self, *, remove_layers: bool = True) -> None:
        """End the session, if one runs."""
        session, self.session = self.session, None
        if session is not None:
            session.end(remove_layers=remove_layers)

    def release(self, *_: Any, remove_layers: bool = True) -> None:
        """Give everything back; harmless when done twice."""
        self.end_session(remove_layers=remove_layers)
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.close()
        listener, self._listener = self._listener, None
        if listener is not None:
            for emitter in self._events:
                emitter.disconnect(listener)


def _press(action: Callable[[], None], checked: bool = False) -> None:
    """Call an action without what Qt says of a button."""
    action()
