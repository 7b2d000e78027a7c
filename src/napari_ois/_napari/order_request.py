"""One rule: a request says which source of order is meant, and on which pixels; it is made without reading any.

What a request reads is read in another thread; the layers themselves are touched only where it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ois._napari.plane import Plane, image_array, image_shape
from napari_ois.errors import InputError
from napari_ois.segmentation.lazy_order import order_of_large
from napari_ois.segmentation.lazy_plane import LARGE, is_large
from napari_ois.segmentation.order_sources import Estimated, Given, NoOrder, OrderSource
from napari_ois.segmentation.stack_sources import Focus, FromStack, Projection, Surface

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer

OWN, MODEL, LAYER, MAX, MIN, SURFACE, FOCUS, NONE = (
    "own", "model", "layer", "max", "min", "surface", "focus", "none",
)  # fmt: skip
STACKS = (MAX, MIN, SURFACE, FOCUS)
"""The kinds that look along an axis of a stack and make the image to segment."""

MOST_PIXELS = 4 * LARGE
"""Of a plane whose depth a layer gives, 8192 x 8192: the map is hashed, kept, and written beside a session."""


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be computed.

    Attributes
    ----------
    kind : str
        One of those above.
    source : OrderSource
    layer : Image
        What is segmented; for a stack, what is looked through.
    read : callable
        Gives what the source takes; called in a thread.
    plane : Plane or None
        Of the layer; None for a stack.
    axis : int or None
        Of the layer, for a stack: what is looked along.
    record : dict
        What a session file says of the order.
    given : Layer or None
        The layer whose values are the depth, whatever it is called by now.
    """

    kind: str
    source: OrderSource
    layer: Image
    read: Callable[[], Any]
    plane: Plane | None = None
    axis: int | None = None
    record: dict[str, Any] = field(default_factory=dict)
    given: Layer | None = None

    def compute(self, progress: Callable[[int, int], None], interrupted: Callable[[], bool]) -> Any:
        """Read and compute, in a thread; gives a :class:`~napari_ois.segmentation.stack_depth.DepthMap`.

        Raises
        ------
        InputError
            If the source does not suit what is read; of a large plane, if another model should estimate its depth.
        """
        if self.kind in (OWN, NONE, MODEL) and self.plane is not None and is_large(self.plane.shape):
            return order_of_large(self.source, self.plane.shape)  # nothing of the plane is read for it
        return self.source.compute(self.read(), progress=progress, interrupted=interrupted)


def stacks(layers: Any) -> list[Image]:
    """The layers that can be looked through: images of three axes or more, colour not counted."""
    from napari.layers import Image

    return [layer for layer in layers if isinstance(layer, Image) and layer.ndim >= 3]


def axes_of(stack: Image) -> list[tuple[str, int]]:
    """Names and numbers of the axes that a stack can be looked along: its last three."""
    first = stack.ndim - 3
    named = [str(label) for label in stack.axis_labels][first:]
    lengths = image_shape(stack)[first:]
    return [
        (f"{axis if label.lstrip('-').isdigit() else label} ({length} planes)", axis)
        for axis, label, length in zip(range(first, stack.ndim), named, lengths, strict=True)
        if length > 1
    ]


def on_plane(layer: Layer, plane: Plane, whole: tuple[int, ...]) -> Any | None:
    """The values of a layer on a plane of an image, not computed; None where it has none for each pixel.

    Parameters
    ----------
    layer : Image or Labels
        As large as the whole image, or as one plane of it.
    plane : Plane
    whole : tuple of int
        The image's shape, without colour.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    shape = tuple(data.shape)
    if getattr(layer, "rgb", False):
        return None
    if shape == whole:
        return plane.view(data)
    flat = tuple(size for axis, size in enumerate(whole) if axis in plane.axes)
    if shape == (1,) * (len(shape) - 2) + flat and len(shape) >= 2:
        last = (len(shape) - 2, len(shape) - 1)
        return Plane(plane.shape, last if plane.axes[0] < plane.axes[1] else last[::-1], (0,) * len(shape)).view(data)
    lifted = tuple(size if axis in plane.axes else 1 for axis, size in enumerate(whole))
    return Plane(plane.shape, plane.axes, (0,) * plane.ndim).view(data) if shape == lifted else None


def about_plane(kind: str, image: Image, plane: Plane, *, model: str = "", device: str = "auto") -> Request:
    """Ask for the order of a plane that needs no other layer: the model's own, another model's, none."""
    read = partial(_read, plane, image_array(image))
    if kind == MODEL:
        if not model:
            raise InputError(
                "No other model's depth is on this machine; the command napari-ois models --fetch ois-vits gets one."
            )
        source: OrderSource = Estimated(model, device)
        return Request(kind, source, image, read, plane, record=_record(source, model=model))
    source = NoOrder() if kind == NONE else Estimated()
    return Request(kind, source, image, read, plane, record=_record(source))


def about_layer(image: Image, plane: Plane, layer: Layer | None, *, nearer: Any, invalid: float | None) -> Request:
    """Ask for the order that a layer of the user's gives.

    Raises
    ------
    InputError
        If there is no such layer, or it does not have one value for each pixel of the plane; or if the plane is so
        large that its map could not be kept with the objects.
    """
    if np.prod(plane.shape, dtype=np.int64) > MOST_PIXELS:
        raise InputError(
            f'"{image.name}" has more than {MOST_PIXELS / 1e6:.0f} million pixels, and a map that objects are answered '
            "with is held whole: take a part of the image, or give the depth to napari-ois segment --depth, which "
            "reads windows of it."
        )
    if layer is None:
        raise InputError(f'No other layer has one value for each pixel of "{image.name}"; add your depth as a layer.')
    values = on_plane(layer, plane, image_shape(image))
    if values is None:
        raise InputError(
            f'"{layer.name}" does not have one value for each pixel of the plane shown of "{image.name}" '
            f"({plane.shape[0]} rows, {plane.shape[1]} columns); choose another layer."
        )
    source = Given(_Lazy(values), nearer, invalid)
    record = _record(source, layer=layer.name, nearer=nearer, invalid=invalid)
    return Request(LAYER, source, image, partial(np.empty, plane.shape, np.uint8), plane, record=record, given=layer)


def about_stack(
    kind: str,
    viewer: napari.viewer.Viewer,
    stack: Image | None,
    axis: int | None,
    *,
    first: Any,
    threshold: float | None,
) -> Request:
    """Ask for the order and the image that a stack gives along one of its axes.

    Further axes in front (time, say) are taken where the viewer shows them.

    Raises
    ------
    InputError
        If there is no stack, or it does not suit the source.
    """
    if stack is None or axis is None:
        raise InputError("There is no stack to look through: open an image of three axes or more.")
    front = stack.ndim - 3
    data, spacing = image_array(stack), tuple(abs(float(s)) for s in stack.scale[front:])
    shown = np.round(stack.world_to_data(viewer.dims.point)).astype(int)[:front]
    here = tuple(int(np.clip(i, 0, size - 1)) for i, size in zip(shown, data.shape, strict=False))
    common: dict[str, Any] = {
        "axis": axis - front, "first": first, "spacing": spacing, "channel_axis": 3 if stack.rgb else None,
    }  # fmt: skip
    source: FromStack
    if kind == FOCUS:
        source = Focus(**common)
    elif kind == SURFACE:
        source = Surface(**common, threshold=threshold)
    else:
        source = Projection(**common, extreme="max" if kind == MAX else "min", threshold=threshold)
    record = _record(source, stack=stack.name, axis=axis, first=first, spacing=spacing, threshold=threshold)
    if here:
        record["index"] = here
    read: Callable[[], Any] = partial(_cut, data, here)
    source.planes(_Shape(data.shape[front:], data.dtype))  # refuses what does not fit, before anything is read
    return Request(kind, source, stack, read, axis=axis, record=record)


def _record(source: OrderSource, **more: Any) -> dict[str, Any]:
    said = {name: value for name, value in more.items() if value is not None}
    return {"source": source.name, "statement": source.statement, **said}


def _read(plane: Plane, data: Any) -> Any:
    return np.asarray(plane.view(data))


def _cut(data: Any, index: tuple[int, ...]) -> Any:
    return data[index] if index else data


@dataclass(frozen=True)
class _Lazy:
    """Values that are read when they are turned into an array."""

    values: Any

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.values, dtype=dtype)  # a copy: the layer is the viewer's thread's


@dataclass(frozen=True)
class _Shape:
    """As much of an array as can be checked without reading it."""

    shape: tuple[int, ...]
    dtype: Any
