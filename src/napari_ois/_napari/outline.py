"""One rule: what was marked on the plane by its extent alone is seen as a thin rectangle, which says nothing more.

A session has two: around the region of a large plane that it works on, and where the user drew a box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Shapes

from napari_ois._napari import settings
from napari_ois.segmentation.frame import MOST

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_ois._napari.layers import SessionLayers
    from napari_ois._napari.plane import Plane
    from napari_ois.segmentation.frame import View


class Outline:
    """A thin rectangle on the plane.

    Parameters
    ----------
    layers : SessionLayers
        Of the session; they take the rectangle away.
    image : Image
    plane : Plane
    what : str
        Its layer's name, behind the image's.
    color : str, optional
        By default that of positive clicks.
    """

    def __init__(self, layers: SessionLayers, image: Image, plane: Plane, what: str, color: str | None = None) -> None:
        self._layers, self._image, self._plane = layers, image, plane
        self._what, self._color = what, color
        self.layer: Shapes | None = None
        self._shown: View | None = None

    def show(self, view: View | None) -> None:
        """Draw it around a view, or nothing; the first makes the layer, which the user may hide or delete."""
        if view == self._shown:
            return
        self._shown = view
        if view is None:
            if self.layer is not None:
                self.layer.data = []
            return
        made, color = self.layer is None, self._color or self._layers.colours[settings.POSITIVE]
        if self.layer is None:
            self.layer = Shapes(
                ndim=self._plane.ndim,
                name=f"{self._image.name} {self._what}",
                edge_color=color,
                face_color="transparent",
            )
        low, high = np.array([view.top, view.left]) - 0.5, np.array([view.bottom, view.right]) - 0.5
        corners = self._plane.lift_points(np.array([low, (low[0], high[1]), high, (high[0], low[1])]))
        self.layer.data = []
        # around a small box in a wide plane a line in its own measure would be thinner than the screen's pixels
        width = max(max(view.shape) / 300, min(max(self._plane.shape), MOST) / 500)
        self.layer.add_rectangles(corners, edge_width=width, edge_color=color, face_color="transparent")
        if made:
            self._layers.add_extra(self.layer)
            self.layer.editable = False  # dragged, it would say what is not so
