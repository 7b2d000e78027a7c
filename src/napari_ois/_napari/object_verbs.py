"""One rule: what the user can do with objects, each as a method that a button, a key, the palette or a script calls.

None raises for wrong use: what cannot be done is said in a notification.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QColorDialog

from napari_ois._napari.controls import WELCOME
from napari_ois._napari.label_canvas import finest
from napari_ois._napari.plane import displayed_plane, show_plane
from napari_ois._napari.session import Session
from napari_ois._napari.sight_verbs import SightVerbs
from napari_ois.annotation import PlaneKey
from napari_ois.errors import InputError, OISError

if TYPE_CHECKING:
    import napari

NONE_CHOSEN = "No object is chosen; click on one in the list of objects first."


class ObjectVerbs(SightVerbs):
    """The part of the widget that goes from object to object."""

    _viewer: napari.viewer.Viewer

    @property
    def session(self) -> Session | None:
        """The session that runs, if one does."""
        raise NotImplementedError

    def show_object(self, number: int) -> None:
        """Go to an object: an open one with its clicks, an accepted one without being reopened."""
        self._do(lambda session: self._show(session, lambda: session.document.select(number)))

    def next_object(self) -> None:
        """Go to the object with the next number, from the last to the first."""
        self._do(lambda session: self._show(session, session.document.next))

    def previous_object(self) -> None:
        """Go to the object with the number before, from the first to the last."""
        self._do(lambda session: self._show(session, session.document.previous))

    def new_object(self) -> None:
        """Begin another object with the next click; the one that is open stays open, in the list."""
        self._do(lambda session: self._show(session, lambda: session.document.select(None)))

    def reopen_object(self, number: int | None = None) -> None:
        """Take an accepted object out of the labels and go on with its clicks.

        Parameters
        ----------
        number : int, optional
            By default the chosen one, and of one through a stack the slice that is seen.
        """

        def reopen(session: Session) -> None:
            session.document.reopen(self._seen_part(session, self._which(None)) if number is None else number)

        self._do(lambda session: self._show(session, lambda: reopen(session)))

    def reopen_row(self, number: int) -> None:
        """Reopen what a row of the list stands for: of an object through a stack the slice that is seen."""
        self._do(lambda session: self._show(session, lambda: session.document.reopen(self._seen_part(session, number))))

    def delete_object(self, number: int | None = None) -> None:
        """Delete an object, from the labels too and on all its slices; by default the chosen one."""

        def delete(session: Session) -> None:
            session.document.delete_stack(session.document[self._which(number)].whole)

        self._do(lambda session: self._show(session, lambda: delete(session)))

    def rename_object(self, number: int, name: str) -> None:
        """Give an object another name."""
        self._do(lambda session: session.document.rename(number, name))
        self.objects.model.layoutChanged.emit()  # where it was refused, the old name is shown again

    def recolor_object(self, number: int | None = None, color: str | None = None, *, ask: bool = False) -> None:
        """Give an object another colour.

        Parameters
        ----------
        number : int, optional
            By default the chosen one.
        color : str, optional
            ``"#rrggbb"``; None for the layer's own.
        ask : bool
            Open the colour dialog instead; it does not block.
        """
        if not ask:
            self._do(lambda session: session.document.recolor(self._which(number), color))
            return
        chosen = number if number is not None else self._chosen()
        if chosen is None:
            show_warning(NONE_CHOSEN)
            return
        dialog = QColorDialog(self)
        dialog.colorSelected.connect(lambda colour: self.recolor_object(chosen, colour.name()))
        dialog.open()

    def seed_object(self, layer: Labels | None = None, label: int | None = None) -> None:
        """Begin an object from a label, to be refined by clicks.

        Parameters
        ----------
        layer : Labels, optional
            By default the active one, else the one that objects are written into. Where it is the latter, the
            label is refined in place and keeps its number; where the label is an object, that is reopened.
        label : int, optional
            By default the one that is selected in the layer.
        """
        self._do(lambda session: self._seed(session, layer, label))

    # -- how --------------------------------------------------------------------------------------

    def _do(self, verb: Callable[[Session], Any]) -> None:
        """Call a verb of the session that runs, and say what it refuses."""
        if self.session is None:
            show_warning(WELCOME)
            return
        try:
            self.session.keep_strokes()  # and what napari's own undo took of them back
            verb(self.session)
        except OISError as error:
            show_warning(str(error))

    def _chosen(self) -> int | None:
        """The object that the user is at, else the one whose row is selected."""
        current = None if self.session is None else self.session.document.current
        return self.objects.selected if current is None else current.number

    def _which(self, number: int | None) -> int:
        found = self._chosen() if number is None else number
        if found is None:
            raise InputError(NONE_CHOSEN)
        return found

    def _seen_part(self, session: Session, number: int) -> int:
        """Of an object through a stack the part on the slice in view; the one named where it has none there."""
        parts = session.document.parts(session.document[number].whole)
        if len(parts) < 2:
            return number
        try:
            plane = displayed_plane(self._viewer, session.image)
        except InputError:  # the view is 3D, or beside the image
            return number
        seen = PlaneKey(plane.axes, plane.index)
        return next((part.number for part in parts if part.plane == seen), number)

    def _show(self, session: Session, go: Callable[[], Any]) -> None:
        """Do what leads to another object; then the viewer shows where it is."""
        go()
        obj = session.document.current
        if obj is None or obj.accepted is None:
            return
        if obj.plane != session.place:
            show_plane(self._viewer, session.image, obj.plane.axes, obj.plane.index)
        layer = session.workbook.canvas.layers.get(obj.accepted.target)
        if layer is not None:
            layer.selected_label = obj.accepted.label

    def _seed(self, session: Session, layer: Labels | None, label: int | None) -> None:
        active = self._viewer.layers.selection.active
        if layer is None:
            layer = active if isinstance(active, Labels) and not session.layers.owns(active) else self.target.value
        if layer is None:
            raise InputError("There is no label to begin from; make a Labels layer active and pick a label in it.")
        canvas, document = session.workbook.canvas, session.document
        canvas.check(layer, write=False)
        source = canvas.adopt(layer) if layer == self.target.value else canvas.name_of(layer) or layer.name
        label = int(layer.selected_label) if label is None else int(label)
        known = document.with_label(label, source, session.place)
        if known is not None:
            document.reopen(known.number)
        else:
            document.start_from_label(session.place, session.plane.view(finest(layer)), label, source=source)
        session.layers.activate()
