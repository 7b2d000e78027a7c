"""One rule: the form shows the choices that the chosen source of order has, and makes a request of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, Container, LineEdit
from napari.layers import Image, Labels
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from napari_ois._napari import order_request as ask
from napari_ois._napari.order_request import Request
from napari_ois._napari.parts import reset_kept
from napari_ois._napari.plane import displayed_plane, image_shape
from napari_ois.checkpoints import list_models
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from napari.layers import Layer

KINDS = (
    ("estimated by the model", ask.OWN),
    ("another model's estimate", ask.MODEL),
    ("a layer of mine", ask.LAYER),
    ("stack: brightest plane", ask.MAX),
    ("stack: darkest plane", ask.MIN),
    ("stack: first surface", ask.SURFACE),
    ("stack: sharpest plane", ask.FOCUS),
    ("none (order off)", ask.NONE),
)
NEARER = (("larger values", "larger"), ("smaller values", "smaller"))
FIRST = (("nearest", "near"), ("farthest", "far"))


class OrderForm(QWidget):
    """The choices of a source of order.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    image : callable
        Gives the image to segment, or None.
    own : callable
        Takes a layer; whether it is one of the plugin's own, which is no source.
    changed : callable
        Called when the user has chosen something.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        image: Callable[[], Image | None],
        own: Callable[[Layer], bool],
        changed: Callable[[], None],
    ) -> None:
        super().__init__()
        self._viewer, self._image, self._own = viewer, image, own
        self.kind = ComboBox(label="Order", choices=KINDS, tooltip="Where the depth comes from that guides the mask.")
        self.model = ComboBox(label="Model", choices=_models(), tooltip="Models whose depth is here.")
        self.layer = ComboBox(
            label="Layer",
            choices=self._layers,
            tooltip="A height map, range or disparity image, elevation, distance transform: one value a pixel.",
        )
        self.nearer = ComboBox(label="Nearer are", choices=NEARER, tooltip="Smaller for distances and ranges.")
        self.unknown = LineEdit(label="Unknown", tooltip="A value that means unknown, besides NaN; 0 in many ranges.")
        self.stack = ComboBox(label="Stack", choices=self._stacks, tooltip="The stack to look through.")
        self.axis = ComboBox(label="Along axis", choices=self._axes, tooltip="What is looked along.")
        self.first = ComboBox(label="First plane is", choices=FIRST, tooltip="Seen from the viewer.")
        self.threshold = LineEdit(label="Threshold", tooltip="What counts as signal or matter; empty: found by itself.")
        self._rows = {
            ask.MODEL: (self.model,),
            ask.LAYER: (self.layer, self.nearer, self.unknown),
            ask.FOCUS: (self.stack, self.axis, self.first),
            **{kind: (self.stack, self.axis, self.first, self.threshold) for kind in (ask.MAX, ask.MIN, ask.SURFACE)},
        }
        parts = (
            self.kind, self.model, self.layer, self.nearer, self.unknown, self.stack, self.axis, self.first,
            self.threshold,
        )  # fmt: skip
        for part in parts:
            if isinstance(part.native, QComboBox):  # long names must not widen the dock
                part.native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
                part.native.setMinimumContentsLength(8)
        self._container = Container(widgets=list(parts), labels=True)
        self._container.margins = (0, 0, 0, 0)
        self.statement = QLabel()
        self.statement.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._container.native)
        layout.addWidget(self.statement)
        self._changed = changed
        self._container.changed.connect(self._on_changed)
        self.refresh()

    @property
    def signature(self) -> tuple[Any, ...]:
        """All that is chosen, to tell whether it is another choice."""
        rows = self._rows.get(self.kind.value, ())
        return (self.kind.value, *(row.value for row in rows))

    def refresh(self) -> None:
        """Offer the layers that are there now."""
        with self._container.changed.blocked():
            for part in (self.layer, self.stack, self.axis):
                reset_kept(part)
        self._show()

    def request(self, image: Image | None = None) -> Request:
        """Make a request of the choices.

        Parameters
        ----------
        image : Image, optional
            What to segment; by default what is chosen.

        Raises
        ------
        InputError
            If something is missing, or does not fit.
        """
        kind = self.kind.value
        if kind in ask.STACKS:
            threshold = None if kind == ask.FOCUS else _number(self.threshold, "threshold")
            if threshold is not None and not math.isfinite(threshold):
                raise InputError("The threshold must be a finite number; write one, or leave it empty.")
            return ask.about_stack(
                kind, self._viewer, self.stack.value, self.axis.value, first=self.first.value, threshold=threshold
            )
        image = image or self._image()
        if image is None:
            raise InputError("There is no image to segment; choose one first.")
        plane = displayed_plane(self._viewer, image)
        if kind == ask.LAYER:
            invalid = _number(self.unknown, "value that means unknown")
            if invalid is not None and not math.isfinite(invalid):
                invalid = None  # what is no number is unknown anyway
            return ask.about_layer(image, plane, self.layer.value, nearer=self.nearer.value, invalid=invalid)
        return ask.about_plane(kind, image, plane, model=self.model.value or "")

    def _on_changed(self, *_: Any) -> None:
        with self._container.changed.blocked():
            self.axis.reset_choices()
        self._show()
        self._changed()

    def _show(self) -> None:
        """Show what belongs to the source chosen, and what it means."""
        mine = self._rows.get(self.kind.value, ())
        for part in self._container:
            part.visible = part is self.kind or any(part is row for row in mine)
        try:
            self.statement.setText(self.request().source.statement)
        except InputError as error:
            self.statement.setText(str(error))

    # -- choices ----------------------------------------------------------------------------------

    def _layers(self, *_: Any) -> list[tuple[str, Layer]]:
        """Layers with one value for each pixel of the image, topmost first."""
        image = self._image()
        if image is None:
            return []
        try:
            plane = displayed_plane(self._viewer, image)
        except InputError:
            return []
        whole = image_shape(image)
        return [
            (layer.name, layer)
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Image | Labels)
            and layer != image
            and not self._own(layer)
            and ask.on_plane(layer, plane, whole) is not None
        ]

    def _stacks(self, *_: Any) -> list[tuple[str, Image]]:
        return [(layer.name, layer) for layer in reversed(ask.stacks(self._viewer.layers)) if not self._own(layer)]

    def _axes(self, *_: Any) -> list[tuple[str, int]]:
        stack = self.stack.value
        return [] if stack is None else ask.axes_of(stack)


def _models() -> list[str]:
    return [info.name for info in list_models() if info.depth_available and info.name.count("-") == 1]


def _number(field: LineEdit, what: str) -> float | None:
    text = field.value.strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f'"{text}" is no number for the {what}; write one, or leave it empty.') from error
