"""One rule: how sure the mask on the screen is, is read from its probabilities; the network is not asked again.

What looks at every pixel is counted beside the viewer; the newest wins.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari.confidence_layers import PROBABILITY, SUGGESTION, UNSURE, ConfidenceLayers
from napari_ois._napari.measured import Measured, measure
from napari_ois._napari.regional import shown_part
from napari_ois.annotation.confidence import BAND, THRESHOLD, Suggestion, suggest_click, unsure
from napari_ois.annotation.objects import DEFAULT_SETTINGS
from napari_ois.errors import InputError
from napari_ois.segmentation.depth_use import flat_depth
from napari_ois.segmentation.lazy_plane import is_large

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.errands import Errands
    from napari_ois._napari.session import Session
    from napari_ois._napari.widget import OISWidget
    from napari_ois._napari.worker import Answer, Embedded
    from napari_ois.annotation import Clicks, Settings

WAITING = "Click on an object; then it is said here how sure its mask is."
SURE = "Every pixel away from the clicks is sure, so no click is suggested; a wider band may hold some."
NO_MASK = "There is no mask yet to suggest a click for; click on an object first."
NOT_SUGGESTED = "No click is suggested; press Suggest next click first."


class Confidence(QObject):
    """How sure the mask of a widget's session is.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : OISWidget
    errands : callable
        Gives the thread beside the viewer.

    Attributes
    ----------
    sentence, warning : str
        Of the mask, and of what depth is worth here; for the user.
    suggestion : Suggestion or None
        The one shown.

    Signals
    -------
    changed()
        One of them, or the threshold, is another.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget, errands: Callable[[], Errands | None]) -> None:
        super().__init__(widget)
        self.sentence, self.warning = WAITING, ""
        self.suggestion: Suggestion | None = None
        self._viewer, self._widget, self._errands = viewer, widget, errands
        self._layers: ConfidenceLayers | None = None
        self._band = BAND
        self._flat = ""
        self._asked: tuple[Any, ...] = ()  # what was measured last
        self._wanted: set[str] = set()
        self._suggested_for: Clicks | None = None
        self._count = itertools.count(1)
        self._newest = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._refresh)
        widget.begun.connect(self._on_begun)
        widget.ended.connect(self._on_ended)
        widget.embedded.connect(self._on_embedded)
        widget.answered.connect(self._refresh_soon)

    # -- read -------------------------------------------------------------------------------------

    @property
    def session(self) -> Session | None:
        """The session that runs."""
        return self._widget.session

    @property
    def answer(self) -> Answer | None:
        """What the network said of the object that the user is at."""
        session = self.session
        return None if session is None or session.object is None else session.answer

    @property
    def threshold(self) -> float:
        """That decides about the pixels of the object that the user is at, or of the next one."""
        chosen = self._settings.threshold
        return THRESHOLD if chosen is None else chosen

    @property
    def connected(self) -> bool:
        """Whether parts of the mask without a positive click are left out, on that object."""
        return self._settings.connected

    @property
    def _settings(self) -> Settings:
        session = self.session
        if session is None:
            return DEFAULT_SETTINGS
        return (session if session.object is None else session.object).settings

    @property
    def band(self) -> float:
        """Distance from the threshold within which a pixel is unsure."""
        return self._band

    def shows(self, what: str) -> bool:
        """Whether a layer, ``PROBABILITY`` or ``UNSURE``, is wanted."""
        return what in self._wanted

    # -- verbs ------------------------------------------------------------------------------------

    def try_threshold(self, threshold: float) -> None:
        """Show the mask that another threshold would give; nothing is recorded."""
        session, answer = self.session, self.answer
        if session is None or session.object is None or answer is None:
            return
        session.keep_strokes()
        obj = session.object
        tried = replace(obj, settings=replace(obj.settings, threshold=kept(threshold)))
        mask, frame = shown_part(tried, answer.prediction, session.plane.shape)
        if mask is not None:
            session.layers.show_mask(mask, frame or session.sight.grid(session.look))

    def set_threshold(self, threshold: float | None) -> None:
        """Let another threshold decide, on the object that the user is at and those to come; a step of the history."""
        if self.session is not None:
            self.session.adjust(threshold=None if threshold is None else kept(threshold))
            self._refresh_soon()

    def set_connected(self, connected: bool) -> None:
        """Leave out parts of the mask without a positive click, or do not; a step of the history like the threshold."""
        if self.session is not None:
            self.session.adjust(connected=connected)
            self._refresh_soon()

    def set_band(self, band: float) -> None:
        """Call pixels unsure up to this distance from the threshold."""
        self._band = band
        self._refresh_soon()

    def show(self, what: str, wanted: bool) -> None:
        """Show or hide a layer, ``PROBABILITY`` or ``UNSURE``."""
        (self._wanted.add if wanted else self._wanted.discard)(what)
        self._refresh()

    def suggest(self) -> None:
        """Find the click that would say most, and show it; InputError where there is no mask yet."""
        answer = self.answer
        if answer is None:
            raise InputError(NO_MASK)
        if self.session is not None and is_large(self.session.plane.shape):
            raise InputError("A plane of this size is worked on in regions, where no click is suggested yet.")
        job = partial(suggest_click, answer.prediction.probability, answer.clicks, self.threshold, self._band)
        self._send(job, partial(self._on_suggested, answer.clicks))

    def take_suggestion(self, positive: bool) -> None:
        """Click where it was suggested; InputError where nothing is."""
        found, session = self.suggestion, self.session
        if found is None or session is None:
            raise InputError(NOT_SUGGESTED)
        self._widget.set_polarity(positive)
        session.layers.clicks.add(session.plane.lift_points([(found.row, found.column)]))

    # -- what happens -----------------------------------------------------------------------------

    def _on_begun(self, session: Session) -> None:
        self._layers, self._flat = ConfidenceLayers(self._viewer, session), ""
        session.workbook.happened.connect(self._refresh_soon)
        self._refresh_soon()

    def _on_ended(self) -> None:
        self._layers, self._flat = None, ""  # the layers went with the session
        self._refresh_soon()

    def _on_embedded(self, result: Embedded) -> None:
        self._send(partial(flat_depth, result.depth), self._on_flat)

    def _on_flat(self, sentence: str) -> None:
        self._flat = sentence
        if sentence:
            show_info(sentence)
        self._refresh_soon()

    def _refresh_soon(self, *_: Any) -> None:
        self._timer.start()

    def _refresh(self) -> None:
        """Bring layers and words up to date."""
        answer, layers, session = self.answer, self._layers, self.session
        self._forget_suggestion(answer)
        obj = None if session is None else session.object
        of = None if obj is None else (obj.settings, obj.edits)
        asked = (answer, layers, self._flat, self._band, set(self._wanted), of)
        if asked == self._asked and answer is not None:  # a click is on its way: nothing is known of it yet
            self.changed.emit()
            return
        self._asked = asked
        self._newest = number = next(self._count)
        if layers is None or answer is None or session is None or session.object is None:
            self.sentence, self.warning = WAITING, self._flat
            if layers is not None:
                layers.hide()
            self.changed.emit()
            return
        probability = answer.prediction.probability
        for what in (PROBABILITY, UNSURE):
            if what not in self._wanted or is_large(session.plane.shape):  # not for regions yet
                layers.hide(what)
            elif what == PROBABILITY:
                layers.fill(what, probability)
            else:
                layers.fill(what, unsure(probability, self.threshold, self._band).astype(np.uint8))
        job = partial(measure, session.object, answer, session.plane.shape, self.threshold, self._band)
        self._send(job, partial(self._on_measured, number))
        self.changed.emit()

    def _on_measured(self, number: int, measured: Measured) -> None:
        if number == self._newest:
            self.sentence, self.warning = str(measured), self._flat or measured.warning
            self.changed.emit()

    def _on_suggested(self, clicks: Clicks, found: Suggestion | None) -> None:
        answer, session = self.answer, self.session
        if answer is None or session is None or self._layers is None or answer.clicks != clicks:
            return
        if found is None:
            show_info(SURE)
            return
        self.suggestion, self._suggested_for = found, clicks
        self._layers.mark(found.row, found.column)
        session.status.emit(
            f"At the ring the probability is {found.probability:.2f}. Say whether it is the object: on it, or not."
        )
        self.changed.emit()

    def _forget_suggestion(self, answer: Answer | None) -> None:
        """Take the marker away when there are other clicks."""
        if self.suggestion is not None and (answer is None or answer.clicks != self._suggested_for):
            self.suggestion = None
            if self._layers is not None:
                self._layers.hide(SUGGESTION)

    def _send(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        errands = self._errands()
        if errands is not None:
            errands.send(job, done)


def kept(threshold: float) -> float | None:
    """What is written down of a threshold: two digits, and None for the predictor's own."""
    rounded = round(float(threshold), 2)
    return None if rounded == THRESHOLD else rounded
