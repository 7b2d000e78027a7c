"""One rule: what a source of order has found is shown where it lies in the world: its depth, and the image it made.

A projection has no extent along the axis that was looked along. Where that axis is in front of the other two, the
projection has it no more; otherwise it is one thick pixel there, so that it lies on the whole stack whatever the
sliders say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap, ensure_colormap
from napari.utils.transforms import Affine

from napari_ois._napari import settings
from napari_ois._napari.plane import image_shape, show_plane
from napari_ois._napari.quiet import set_visible

if TYPE_CHECKING:
    import napari
    from numpy.typing import NDArray

    from napari_ois._napari.order_request import Request
    from napari_ois.segmentation.stack_depth import DepthMap

NAMES = {"max": "maximum", "min": "minimum", "surface": "surface", "focus": "in focus"}
UNKNOWN_COLOR = (0.0, 0.75, 0.95, 0.8)
"""Of pixels whose depth is not known: cyan, which the colours of depth do not have."""


class OrderLayers:
    """The layers that a panel has made.

    Parameters
    ----------
    viewer : napari.Viewer

    Attributes
    ----------
    depth : Image or None
        The preview: the depth where it is known, NaN elsewhere.
    made : Image or None
        The projection made last, to be segmented.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self.depth: Image | None = None
        self.made: Image | None = None

    def show_depth(self, image: Image, lifted: NDArray[np.float32], name: str, geometry: dict[str, Any]) -> None:
        """Show a depth with NaN where it is not known; the preview before it goes."""
        self.clear_depth()
        self.depth = Image(
            lifted,
            name=f"{name} order preview",
            metadata={settings.PLUGIN: "order preview"},  # so no composite takes it in
            colormap=depth_colormap(),
            contrast_limits=(0.0, 1.0),
            opacity=0.85,
            **geometry,
        )
        layers = self._viewer.layers
        place = layers.index(image) + 1 if image in layers else len(layers)
        active = layers.selection.active
        layers.insert(place, self.depth)
        layers.selection.active = active

    def clear_depth(self) -> None:
        """Take the preview away."""
        if self.depth is not None and self.depth in self._viewer.layers:
            self._viewer.layers.remove(self.depth)
        self.depth = None

    def show_projection(self, request: Request, found: DepthMap) -> Image:
        """Add the image that was made of a stack, and bring it to the eye."""
        assert request.axis is not None and found.image is not None
        stack, axis = request.layer, request.axis
        name = f"{stack.name} {NAMES[request.kind]}"
        rgb = found.image.ndim == 3
        if axis < stack.ndim - 2:
            made = Image(found.image, name=name, rgb=rgb, **_flat_geometry(stack))
        else:
            made = Image(np.expand_dims(found.image, axis - stack.ndim + 3), name=name, rgb=rgb, **_thick(stack, axis))
        if stack.colormap is not None and not rgb:
            made.colormap = stack.colormap
        layers = self._viewer.layers
        layers.insert(layers.index(stack) + 1 if stack in layers else len(layers), made)
        set_visible(stack, False)
        rows, columns = (a for a in range(made.ndim) if made.ndim == 2 or a != axis - stack.ndim + 3)
        show_plane(self._viewer, made, (rows, columns), (0,) * made.ndim)
        self._viewer.reset_view()
        self.made = made
        return made

    def forget_projection(self) -> None:
        """Take the projection away that nobody has begun to click on."""
        if self.made is not None and self.made in self._viewer.layers:
            self._viewer.layers.remove(self.made)
        self.made = None


def depth_colormap() -> Colormap:
    """The colours of depth, with one more for what is not known."""
    colours = ensure_colormap(settings.DEPTH_COLORMAP)
    return Colormap(
        colours.colors,
        controls=colours.controls,
        interpolation=colours.interpolation,
        nan_color=UNKNOWN_COLOR,
        name="depth with unknown",
    )


def shown_depth(found: DepthMap, depth: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """The depth where it is known, (H, W) float32, NaN elsewhere; ``depth`` where the source left it to the model."""
    values = found.depth if found.depth is not None else depth
    assert values is not None
    return np.where(found.known, values, np.nan).astype(np.float32)


def _flat_geometry(stack: Image) -> dict[str, Any]:
    """Where a layer of a stack's last two axes lies."""
    last = slice(stack.ndim - 2, None)
    placed: dict[str, Any] = {
        "scale": stack.scale[last],
        "translate": stack.translate[last],
        "affine": stack.affine.set_slice([stack.ndim - 2, stack.ndim - 1]).affine_matrix,
        "units": stack.units[last],
        "axis_labels": stack.axis_labels[last],
    }
    if stack.ndim >= 3:
        placed["rotate"] = np.asarray(stack.rotate)[last, last]
    return placed


def _thick(stack: Image, axis: int) -> dict[str, Any]:
    """Where a layer of a stack's last three axes lies that has one pixel along ``axis``, as thick as the stack."""
    last = slice(stack.ndim - 3, None)
    planes, place = image_shape(stack)[axis], axis - stack.ndim + 3
    scale, rotate = np.array(stack.scale[last]), np.asarray(stack.rotate)[last, last]
    middle = np.zeros(3)
    middle[place] = (planes - 1) / 2
    shift = Affine(scale=scale, translate=stack.translate[last], rotate=rotate, ndim=3)(middle)
    scale[place] *= planes
    keep = list(range(stack.ndim - 3, stack.ndim))
    return {
        "scale": scale,
        "translate": shift,
        "rotate": rotate,
        "affine": stack.affine.set_slice(keep).affine_matrix,
        "units": stack.units[last],
        "axis_labels": stack.axis_labels[last],
    }
