"""One rule: a drawing on the image is read when it is finished, told in pixels of the plane, and taken away.

What it became, the clicks, stays to be seen and moved; two records of one thing would contradict each other. The layer
is made when it is first wanted, and has the session's keys.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari import settings
from napari_ois._napari.quiet import set_visible

if TYPE_CHECKING:
    import napari
    from numpy.typing import NDArray

    from napari_ois._napari.session import Session

MODES = {"box": "add_rectangle", "scribble": "add_path"}
"""napari's modes: a rectangle is dragged; a path follows the mouse, or goes from click to click."""
LINES = ("path", "line")


class Drawing(QObject):
    """The Shapes layer of a session.

    Parameters
    ----------
    viewer : napari.Viewer
    session : Session

    Signals
    -------
    drawn(str, array)
        ``"box"`` or ``"scribble"``, and its corners, (N, 2) row and column.
    """

    drawn = Signal(str, object)

    def __init__(self, viewer: napari.viewer.Viewer, session: Session) -> None:
        super().__init__()
        self.session = session
        self._viewer = viewer
        self._positive = True
        plane = session.plane
        self.layer = Shapes(
            ndim=plane.ndim,
            name=f"{session.image.name} boxes and scribbles",
            face_color="transparent",
            edge_width=max(1.0, max(plane.shape) / 250),
        )
        session.layers.add_extra(self.layer)
        self.layer.events.data.connect(self._on_data)
        self.set_polarity(True)

    @property
    def there(self) -> bool:
        """Whether the user has not deleted the layer."""
        return self.layer in self._viewer.layers and self.session.active

    def begin(self, kind: str) -> None:
        """Be ready for a ``"box"`` or a ``"scribble"``."""
        self.bind()
        layers = self._viewer.layers
        layers.move(layers.index(self.layer), len(layers))
        layers.selection.active = self.layer
        set_visible(self.layer, True)
        self.layer.mode = MODES[kind]

    def bind(self) -> None:
        """Have the keys that the clicks have now, but for those that draw, and the user's colours."""
        for key in list(self.layer.keymap):
            self.layer.bind_key(key, None, overwrite=True)
        clicks = self.session.layers.clicks
        for key, action in clicks.keymap.items():
            if str(key) in settings.SHAPES_KEYS:
                continue
            self.layer.bind_key(key, partial(_press, action, clicks), overwrite=True)
        self.set_polarity(self._positive)

    def follow(self, *_: Any) -> None:
        """The user has chosen other keys or colours."""
        if self.there:
            self.bind()

    def set_polarity(self, positive: bool) -> None:
        """Show which kind the next scribble is."""
        self._positive = positive
        name = settings.POSITIVE if positive else settings.NEGATIVE
        self.layer.current_edge_color = self.session.layers.colours[name]

    def _on_data(self, event: Any) -> None:
        # napari is still finishing the shape when it tells of it.
        if str(getattr(event.action, "value", event.action)) == "added":
            QTimer.singleShot(0, self._take)

    def _take(self) -> None:
        if not self.session.active or not self.layer.nshapes:
            return
        found = list(zip(self.layer.shape_type, self.layer.data, strict=True))
        self.layer.selected_data = set(range(len(found)))
        self.layer.remove_selected()
        if self._viewer.dims.ndisplay == 3:
            show_warning("Boxes and scribbles need the 2D view: press the 2D/3D button (Ctrl+Y) and draw again.")
            return
        for kind, data in found:
            corners = self._corners(data)
            if corners is None:
                show_warning(
                    f'That drawing is outside the plane of "{self.session.image.name}" and was taken back: draw on '
                    "the image, or press Start to work on the plane shown."
                )
            else:
                self.drawn.emit("scribble" if kind in LINES else "box", corners)

    def _corners(self, data: NDArray[Any]) -> NDArray[np.float64] | None:
        """Corners in pixels of the plane; None where they lie on another plane, or none of them on this one."""
        plane = self.session.plane
        points, _ = plane.points(data)
        held = plane.lift_points(np.clip(points, 0.0, np.asarray(plane.shape) - 1.0))
        others = [axis for axis in range(plane.ndim) if axis not in plane.axes]
        held[:, others] = np.asarray(data, dtype=np.float64)[:, others]
        low, high = points.min(axis=0), points.max(axis=0)
        apart = (high < 0).any() or (low > np.asarray(plane.shape) - 1).any()
        return points if plane.points(held)[1].all() and not apart else None


def _press(action: Callable[[Any], None], clicks: Any, layer: Any) -> None:
    """Do what the key does on the clicks layer."""
    action(clicks)
