"""One rule: what the model sees is a layer when it is wanted, over the image, of the plane that the viewer shows.

It is marked as the plugin's own, so no choice offers it and no composite takes it in. Drawn beside the viewer; the
newest wish counts. Where the user deletes it, it is not wanted any more.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari import settings
from napari_ois._napari.plane import GEOMETRY, Plane, displayed_plane
from napari_ois._napari.quiet import insert_unselected
from napari_ois.errors import InputError

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.session import Session
    from napari_ois._napari.sight_picture import Picture
    from napari_ois._napari.widget import OISWidget
    from napari_ois.segmentation.appearance import Appearance

SOON = 60
"""Milliseconds that a slider must rest before the plane is drawn."""


class SightLayer(QObject):
    """Keeps the layer where the widget's session is, as long as it is wanted.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : OISWidget

    Attributes
    ----------
    layer : Image or None
        RGB, as fine as :meth:`Sight.picture` is; in the viewer.

    Signals
    -------
    changed()
        It is wanted now, or not any more.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget) -> None:
        super().__init__()
        self.layer: Image | None = None
        self._viewer, self._widget = viewer, widget
        self._session: Session | None = None  # that is followed
        self._shown: tuple[Plane, Picture] | None = None
        self._drawn: Appearance | None = None  # what was asked for last
        self._wanted = self._due = False
        self._asked = 0
        widget.begun.connect(self._on_begun)
        widget.ended.connect(self._leave)
        widget.embedded.connect(self._on_embedded)

    @property
    def wanted(self) -> bool:
        """Whether the user wants to see it."""
        return self._wanted

    def show(self, wanted: bool) -> None:
        """Show or hide it, in this session and those to come."""
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self._leave()
        if wanted and self._widget.session is not None:
            self._on_begun(self._widget.session)
        self.changed.emit()

    # -- what happens -----------------------------------------------------------------------------

    def _on_begun(self, session: Session) -> None:
        self._leave()
        if not self._wanted:
            return
        self._session = session
        for emitter in self._emitters(session):
            emitter.connect(self._draw_soon)
        for name in GEOMETRY:
            getattr(session.image.events, name).connect(self._place)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._draw()

    def _emitters(self, session: Session) -> list[Any]:
        events = self._viewer.dims.events
        shown = [events.current_step, events.order, events.ndisplay]
        return [*shown, session.image.events.data, session.sight.chosen, session.sight.changed]

    def _leave(self) -> None:
        """Follow nothing, and take the layer away."""
        session, self._session = self._session, None
        self._asked += 1  # what is being drawn is for nobody
        if session is not None:
            for emitter in self._emitters(session):
                emitter.disconnect(self._draw_soon)
            for name in GEOMETRY:
                getattr(session.image.events, name).disconnect(self._place)
            self._viewer.layers.events.removed.disconnect(self._on_removed)
        layer, self.layer, self._shown = self.layer, None, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _on_removed(self, event: Any) -> None:
        if event.value == self.layer and self.layer is not None:
            self.layer = None
            QTimer.singleShot(0, partial(self.show, False))  # napari is still removing it

    def _on_embedded(self, *_: Any) -> None:
        """Another look may be in use now."""
        if self._session is not None and self._drawn != self._session.look:
            self._draw()

    def _draw_soon(self, event: Any = None) -> None:
        if not self._due:
            self._due = True
            QTimer.singleShot(SOON, self._draw)

    def _draw(self, *_: Any) -> None:
        """Have the plane drawn that the viewer shows; one that is not the image's leaves the layer as it is."""
        self._due = False
        session = self._session
        if session is None or not session.active:
            return
        self._drawn = None
        try:
            plane = displayed_plane(self._viewer, session.image)
        except InputError:
            return
        try:
            job = session.sight.picture(session.look, plane)
        except InputError as error:
            show_warning(str(error))
            return
        self._asked += 1
        self._drawn = session.look
        done = partial(self._on_drawn, self._asked, plane)
        self._widget.thread("sight").send(job, done, lambda error: show_warning(str(error)))

    def _on_drawn(self, number: int, plane: Plane, picture: Picture) -> None:
        session = self._session
        if number != self._asked or session is None or session.image not in self._viewer.layers:
            return
        before, self._shown = self._shown, (plane, picture)
        if self.layer is None:
            self.layer = self._make(session, plane, picture)
            insert_unselected(self._viewer.layers, self._above(session), self.layer)
            return
        self.layer.data = plane.lift(picture.seen)
        if before is None or (before[0], before[1].frame) != (plane, picture.frame):
            self._place()

    def _make(self, session: Session, plane: Plane, picture: Picture) -> Image:
        return Image(
            plane.lift(picture.seen),
            rgb=True,
            name=f"{session.image.name} as the model sees it",
            metadata={settings.PLUGIN: "what the model sees"},
            **plane.geometry(session.image, picture.frame),
        )

    def _above(self, session: Session) -> int:
        """Over all that the picture is made of, and under labels and clicks."""
        layers = self._viewer.layers
        made_of = [session.image, *(session.sight.layers() if session.look.composite else ())]
        return 1 + max(layers.index(layer) for layer in made_of)

    def _place(self, event: Any = None) -> None:
        """Put the layer where its plane of the image is now."""
        if self.layer is not None and self._shown is not None and self._session is not None:
            plane, picture = self._shown
            for name, value in plane.geometry(self._session.image, picture.frame).items():
                setattr(self.layer, name, value)
