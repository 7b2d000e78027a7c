"""One rule: the layers that show how sure a mask is are made here when they are first wanted, and filled.

They are the session's (:meth:`SessionLayers.add_extra`) and go with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points
from napari.utils import DirectLabelColormap
from numpy.typing import NDArray

from napari_ois._napari import settings
from napari_ois._napari.quiet import set_visible

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.session import Session

PROBABILITY, UNSURE, SUGGESTION = "probability", "unsure", "suggested click"
MARKER = 2.2
"""Size of the marker, in clicks."""


class ConfidenceLayers:
    """Probability, unsure band and suggested click of one session.

    Parameters
    ----------
    viewer : napari.Viewer
    session : Session
    """

    def __init__(self, viewer: napari.viewer.Viewer, session: Session) -> None:
        self._viewer, self._session = viewer, session
        self._layers: dict[str, Layer] = {}

    def fill(self, what: str, values: NDArray[Any]) -> None:
        """Show (H, W) values: probabilities in [0, 1] as ``PROBABILITY``, 0 and 1 as ``UNSURE``."""
        lifted = self._session.plane.lift(values)
        layer = self._there(what)
        if layer is not None:
            layer.data = lifted
            set_visible(layer, True)
            return
        name = f"{self._session.image.name} {what}"
        self._add(what, _probability(lifted, name) if what == PROBABILITY else _unsure(lifted, name))

    def mark(self, row: int, column: int) -> None:
        """Show where a click is suggested; the camera goes there where that place is not on the canvas."""
        session = self._session
        place = session.plane.lift_points([(row, column)])
        layer = self._there(SUGGESTION)
        if layer is not None:
            layer.data = place
            set_visible(layer, True)
        else:
            size = MARKER * float(np.max(session.layers.clicks.current_size))
            self._add(SUGGESTION, _marker(place, f"{session.image.name} {SUGGESTION}", size))
            layers = self._viewer.layers  # over the mask, and under the clicks
            layers.move(layers.index(self._layers[SUGGESTION]), layers.index(session.layers.clicks))
        self._look_at(self._layers[SUGGESTION].data_to_world(place[0]))

    def hide(self, *what: str) -> None:
        """Hide layers, by default all."""
        for name in what or tuple(self._layers):
            layer = self._there(name)
            if layer is not None:
                set_visible(layer, False)

    def _add(self, what: str, layer: Layer) -> None:
        self._layers[what] = layer
        self._session.layers.add_extra(layer)

    def _there(self, what: str) -> Layer | None:
        """The layer, unless there was none or the user has deleted it."""
        layer = self._layers.get(what)
        return layer if layer is not None and layer in self._viewer.layers else None

    def _look_at(self, world: NDArray[np.float64]) -> None:
        preview, axes = self._session.layers.preview, list(self._session.plane.axes)
        low, high = preview.corner_pixels[:, axes]
        place = np.asarray(preview.world_to_data(world))  # its cells may be wider than pixels
        if np.all((place[axes] >= low) & (place[axes] <= high)):
            return
        missing = self._viewer.dims.ndim - preview.ndim
        self._viewer.camera.center = tuple(world[axis - missing] for axis in self._viewer.dims.displayed)


def _probability(values: NDArray[Any], name: str) -> Image:
    return Image(values, name=name, colormap=settings.PROBABILITY_COLORMAP, opacity=0.75, contrast_limits=(0.0, 1.0))


def _unsure(values: NDArray[Any], name: str) -> Labels:
    colours = {None: "transparent", 1: settings.UNSURE_COLOR}
    return Labels(values, name=name, opacity=0.7, colormap=DirectLabelColormap(color_dict=colours))


def _marker(place: NDArray[np.float64], name: str, size: float) -> Points:
    return Points(
        place,
        ndim=place.shape[1],
        name=name,
        symbol="ring",
        face_color=settings.SUGGESTION_COLOR,
        border_color=settings.SUGGESTION_COLOR,
        size=size,
    )
