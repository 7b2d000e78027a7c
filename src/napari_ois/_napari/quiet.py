"""One rule: what the plugin does to the viewer's layers changes nothing else that the user sees or has chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Labels, Layer


def insert_unselected(layers: Any, index: int, layer: Layer) -> None:
    """Add a layer to a viewer's, and leave the user's selection as it was."""
    selected, active = set(layers.selection), layers.selection.active
    layers.insert(index, layer)
    layers.selection.clear()
    layers.selection.update(selected)
    layers.selection.active = active


def set_visible(layer: Layer, visible: bool) -> None:
    """Show or hide a layer where it is not so already.

    napari 0.6 makes a layer's overlays anew, a quarter of a second, whenever it is told, though nothing changes.
    """
    if layer.visible != visible:
        layer.visible = visible


def slice_hidden(layer: Labels) -> None:
    """Give a hidden layer the slice of its data that napari puts off, before ``data_setitem`` writes into both.

    Else it writes the data and then fails at the slice, which is empty or of another plane.
    """
    if not layer.visible:
        layer.set_view_slice()
