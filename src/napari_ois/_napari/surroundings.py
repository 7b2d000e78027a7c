"""One rule: what happens around a session - a layer deleted, other pixels, the view in 3D - ends it or is said."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari.plane import image_shape

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Points


class Surroundings(QObject):
    """Watches the viewer for a session.

    Parameters
    ----------
    viewer : napari.Viewer
    image : Image
    clicks : Points

    Signals
    -------
    lost(str)
        The session cannot go on, and why; after napari has done what it is at.
    """

    lost = Signal(str)

    def __init__(self, viewer: napari.Viewer, image: Image, clicks: Points) -> None:
        super().__init__()
        self._viewer, self._image, self._clicks = viewer, image, clicks
        self._active = True
        self._shape = image_shape(image)
        viewer.layers.events.removed.connect(self._on_removed)
        image.events.data.connect(self._on_data)
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)

    def release(self) -> None:
        """Watch no more."""
        self._active = False
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._image.events.data.disconnect(self._on_data)
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)

    def _on_removed(self, event: Any) -> None:
        # Told later: napari may be in the middle of removing several layers.
        if event.value == self._image:
            text = f'"{self._image.name}" was deleted, so its session ended. Choose an image and press Start.'
        elif event.value == self._clicks:
            text = "The clicks layer was deleted, so the session ended. Press Start to begin again."
        else:
            return
        QTimer.singleShot(0, partial(self._tell, text))

    def _on_data(self, event: Any) -> None:
        text = f'The pixels of "{self._image.name}" are others now, so its session ended. Press Start to go on.'
        if image_shape(self._image) != self._shape:
            text = (
                f'"{self._image.name}" has another shape now, so its session ended. Its labels stay as they are; press '
                "Start for a new list of objects."
            )
        QTimer.singleShot(0, partial(self._tell, text))

    def _tell(self, text: str) -> None:
        if self._active:
            show_warning(text)
            self.lost.emit(text)

    def _on_ndisplay(self, event: Any) -> None:
        if self._viewer.dims.ndisplay == 3:
            show_warning("Clicks need the 2D view: press the 2D/3D button (Ctrl+Y) to go on.")
