"""One rule: what the user can draw, each as a method that a button, the palette or a script calls.

None raises for wrong use: what cannot be done is said in a notification.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer

from napari_ois._napari.drawing import Drawing
from napari_ois._napari.object_verbs import ObjectVerbs
from napari_ois.annotation import Prompt
from napari_ois.annotation.objects import Seed
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from napari_ois._napari.session import Session


class PromptVerbs(ObjectVerbs):
    """The part of the widget that takes boxes and scribbles."""

    _drawing: Drawing | None = None

    @property
    def drawing(self) -> Drawing | None:
        """The layer for boxes and scribbles of the session that runs, where one was wanted."""
        drawing = self._drawing
        return drawing if drawing is not None and drawing.session == self.session and drawing.there else None

    def draw_box(self) -> None:
        """Be ready for a box around the object, dragged with the mouse."""
        self._do(partial(self._begin_drawing, "box"))

    def draw_scribble(self) -> None:
        """Be ready for scribbles; they are positive or negative as clicks would be."""
        self._do(partial(self._begin_drawing, "scribble"))

    def draw_clicks(self) -> None:
        """Go back to clicks."""
        self._do(lambda session: session.layers.activate())

    def add_box(self, corners: ArrayLike) -> None:
        """Give the current object a box, as one step.

        Parameters
        ----------
        corners : (N, 2) array
            Two opposite corners or all, row and column in pixels of the plane.
        """
        self._do(lambda session: self._draw(session, "box", own_prompt(session).with_box(corners, session.plane.shape)))

    def add_scribble(self, path: ArrayLike, positive: bool | None = None) -> None:
        """Give the current object a scribble, as one step.

        Parameters
        ----------
        path : (N, 2) array
            Corners of the line, row and column in pixels of the plane.
        positive : bool, optional
            By default as the next click would be.
        """
        kind = self.positive.isChecked() if positive is None else positive
        name = "scribble" if kind else "negative scribble"
        self._do(
            lambda session: self._draw(
                session, name, own_prompt(session).with_scribble(path, session.plane.shape, kind)
            )
        )

    # -- how --------------------------------------------------------------------------------------

    def _begin_drawing(self, kind: str, session: Session) -> None:
        drawing = self.drawing
        if drawing is None:
            drawing = self._drawing = Drawing(self._viewer, session)
            drawing.drawn.connect(self._on_drawn)
            self.positive.toggled.connect(drawing.set_polarity)
            self.preferences_changed.connect(drawing.follow)
        drawing.set_polarity(self.positive.isChecked())
        drawing.begin(kind)

    def _on_drawn(self, kind: str, corners: ArrayLike) -> None:
        if kind == "box":
            self.add_box(corners)
            QTimer.singleShot(0, self._correct)  # what comes next are corrections
        else:
            self.add_scribble(corners)

    def _correct(self) -> None:
        if self.session is not None:
            self.draw_clicks()

    def _draw(self, session: Session, what: str, prompt: Prompt) -> None:
        obj = session.object
        if obj is not None and session.acceptance.waits_for(obj):
            raise InputError(f"{obj.name} is not accepted yet: draw again when it is.")
        if obj is None:
            session.document.start(session.place, clicks=prompt.clicks, seed=prompt.seed, settings=session.settings)
        else:
            session.document.draw(obj.number, prompt, what)


def own_prompt(session: Session) -> Prompt:
    """What the network is asked about the object that the user is at."""
    obj = session.object
    seed: Seed | None = None if obj is None else obj.seed
    return Prompt() if obj is None else Prompt(obj.clicks, seed)
