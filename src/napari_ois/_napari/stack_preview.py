"""One rule: of an object through a stack the viewer shows the plane that the user is at, in one small layer.

A layer as large as the stack would cost as much as the stack. This one is as large as a plane, and is filled and
moved when the slider is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils import DirectLabelColormap

from napari_ois._napari import settings
from napari_ois._napari.plane import GEOMETRY, Plane
from napari_ois._napari.quiet import insert_unselected

if TYPE_CHECKING:
    import napari
    from napari.layers import Image
    from numpy.typing import NDArray


class StackPreview:
    """The layer; it is made when there is something to show, and again where the user has deleted it.

    Parameters
    ----------
    viewer : napari.Viewer
    image : Image
    """

    def __init__(self, viewer: napari.Viewer, image: Image) -> None:
        self.layer: Labels | None = None
        self._viewer, self._image = viewer, image
        self._plane: Plane | None = None
        self._mask: NDArray[np.bool_] | None = None
        for name in GEOMETRY:
            getattr(image.events, name).connect(self._place)

    def show(self, plane: Plane, mask: NDArray[np.bool_] | None) -> None:
        """Show a (H, W) mask on a plane, or that there is none."""
        if self.layer in self._viewer.layers and plane == self._plane and mask is self._mask:
            return  # another slice was filled
        self._mask = mask
        values = np.zeros(plane.shape, np.uint8) if mask is None else mask.astype(np.uint8)
        if self.layer is None or self.layer not in self._viewer.layers:
            if mask is None:
                return
            self.layer = self._make(plane)
            insert_unselected(self._viewer.layers, self._viewer.layers.index(self._image) + 1, self.layer)
        self.layer.data = plane.lift(values)
        if plane != self._plane:
            self._plane = plane
            self._place()

    def remove(self) -> None:
        """Take the layer away and follow the image no more."""
        for name in GEOMETRY:
            getattr(self._image.events, name).disconnect(self._place)
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = self._plane = None

    def _make(self, plane: Plane) -> Labels:
        return Labels(
            plane.lift(np.zeros(plane.shape, np.uint8)),
            name=f"{self._image.name} stack preview",
            opacity=settings.PREVIEW_OPACITY,
            colormap=DirectLabelColormap(color_dict={None: "transparent", 1: settings.STACK_COLOR}),
            metadata={settings.PLUGIN: "stack preview"},
            **plane.geometry(self._image),
        )

    def _place(self) -> None:
        """Put the layer where its plane of the image is now."""
        if self.layer is not None and self._plane is not None:
            for name, value in self._plane.geometry(self._image).items():
                setattr(self.layer, name, value)
