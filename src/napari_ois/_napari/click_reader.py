"""One rule: the clicks layer is read after each finished change, and a click that cannot be is taken back.

Whatever changes that layer - a click, a drag, the Delete key, a script - it is read anew; if the list of clicks
is another one, that is told, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois.annotation import Click, Clicks, PlaneKey

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.layers import SessionLayers

Beyond = Callable[[PlaneKey, Click], bool]
"""Is offered a click on another plane of the image; true where it was taken."""

DONE = ("added", "removed", "changed")  # napari also announces each of them before it is done


def nowhere(plane: PlaneKey, click: Click) -> bool:
    """Take no click on another plane."""
    return False


class ClickReader(QObject):
    """Listens to the clicks layer of a session.

    Parameters
    ----------
    viewer : napari.Viewer
    layers : SessionLayers
    image_name : callable
        Gives the image's name now, for messages.
    beyond : callable
        See :data:`Beyond`.

    Attributes
    ----------
    held : bool
        Whether a click is being dragged: no change is finished then. napari tells of the features at each move.

    Signals
    -------
    changed(Clicks)
        The user has other clicks.
    """

    changed = Signal(object)

    def __init__(self, viewer: napari.Viewer, layers: SessionLayers, image_name: Any, beyond: Beyond) -> None:
        super().__init__()
        self._beyond = beyond
        self.clicks = Clicks()
        self.held = False
        self._viewer = viewer
        self._layers = layers
        self._image_name = image_name
        self._restoring = self._telling = False
        self._active = True
        layers.clicks.events.data.connect(self._on_data)
        layers.clicks.events.features.connect(self._on_features)

    def show(self, clicks: Clicks) -> None:
        """Make the layer show a list of clicks; silent."""
        if clicks == self.clicks:
            return
        self.clicks = clicks
        if self._telling:  # whoever was told made something else of them
            self._restore("")
        else:
            self._layers.write_clicks(clicks)

    def release(self) -> None:
        """Stop listening."""
        if self._active:
            self._active = False
            self._layers.clicks.events.data.disconnect(self._on_data)
            self._layers.clicks.events.features.disconnect(self._on_features)

    def _on_data(self, event: Any) -> None:
        if str(getattr(event.action, "value", event.action)) in DONE:
            self._read()

    def _on_features(self, event: Any) -> None:
        if not self.held:
            self._read()

    def _read(self) -> None:
        read = self._layers.read_clicks()
        if read is None or self._restoring:
            return
        clicks, inside = read
        if clicks == self.clicks:
            return
        if self._viewer.dims.ndisplay == 3:
            self._restore("Clicks need the 2D view: press the 2D/3D button (Ctrl+Y) and click again.")
        elif not inside and len(clicks) > len(self.clicks) and self._beyond(*self._layers.newest_click()):
            self._restore("")
        elif not inside:
            self._restore(
                f'That click is outside the plane of "{self._image_name()}" and was taken back: click on the '
                "image, or press Start to work on the plane shown."
            )
        else:
            self.clicks = clicks
            self._layers.draw_symbols()
            self._telling = True
            self.changed.emit(clicks)
            self._telling = False

    def _restore(self, message: str) -> None:
        """Put the clicks layer back, once napari has finished with the change that it is in."""
        self._restoring = True
        QTimer.singleShot(0, self._restore_now)
        if message:
            show_warning(message)

    def _restore_now(self) -> None:
        self._restoring = False
        if self._active:
            self._layers.write_clicks(self.clicks)
