"""One rule: the panel says what the network is to see and shows what it sees; it makes no pixels itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, Container, FloatSpinBox, Label, SpinBox
from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ois._napari.plane import image_shape
from napari_ois._napari.sight import AUTO, CHANNELS, LAYER, VISIBLE, Choice
from napari_ois.errors import InputError
from napari_ois.segmentation.appearance import NETWORK, PERCENTILE, SEEN
from napari_ois.segmentation.lazy_plane import is_large

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.session import Session
    from napari_ois._napari.sight_picture import Picture
    from napari_ois._napari.widget import OISWidget

SIDE = 260
"""Pixels of the picture's longest side."""
NONE = -1
"""A colour that shows no channel."""
AUTOMATIC = "automatic"
"""What the user reads of the level that is taken where none is chosen."""


class SightPanel(QWidget):
    """Stretch, channels, level, and a picture of the plane as the network gets it.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : OISWidget
    """

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget) -> None:
        super().__init__()
        self._widget = widget
        self._session: Session | None = None
        self._asked = 0  # pictures
        self.stretch = ComboBox(
            label="Contrast",
            choices=[("the network's own", NETWORK), ("as seen", SEEN), ("percentiles", PERCENTILE)],
            tooltip="The network's own stretches the image between percentiles 0.1 and 99.9; as seen follows the "
            "layer's contrast limits and gamma.",
        )
        self.low = FloatSpinBox(label="Lower %", min=0.0, max=99.0, step=0.5, value=0.1, tooltip="Becomes black.")
        self.high = FloatSpinBox(label="Upper %", min=1.0, max=100.0, step=0.5, value=99.9, tooltip="Becomes white.")
        for box in (self.low, self.high):
            box.native.setKeyboardTracking(False)  # half a number is none
        self.source = ComboBox(
            label="Channels",
            choices=[("this layer", LAYER), ("of an axis", CHANNELS), ("visible layers", VISIBLE)],
            tooltip="This layer alone; channels of one of its axes; or all visible image layers on the same place, in "
            "their colours.",
        )
        self.axis = ComboBox(label="Axis", choices=[0], tooltip="The axis of the image that holds channels.")
        self.colours = [
            SpinBox(label=name, min=NONE, max=0, value=value, tooltip="A channel's index, -1 for none.")
            for name, value in (("Red", 0), ("Green", NONE), ("Blue", NONE))
        ]
        self.level = ComboBox(
            label="Level",
            choices=[(AUTOMATIC, AUTO)],
            tooltip="Of a pyramid: a coarser one is read faster, and drawn so. Labels are at full resolution.",
        )
        self.hint = Label(value="")
        self.show_button = QPushButton("Show what the model sees")
        self.show_button.setToolTip("Draw the plane below as the network gets it.")
        self.as_layer = QCheckBox("As a layer over the image")
        self.as_layer.setToolTip(
            "The plane in view as the network gets it, exactly over the image; it follows the sliders and the choices "
            "above."
        )
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._parts = [self.stretch, self.low, self.high, self.source, self.axis, *self.colours, self.level]
        form = Container(widgets=[*self._parts, self.hint], labels=True)
        form.margins = (0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (form.native, self.as_layer, self.show_button, self.picture):
            layout.addWidget(part)
        for part in self._parts:
            part.changed.connect(self._on_changed)
        self.show_button.clicked.connect(self._on_press)
        self.as_layer.clicked.connect(lambda: widget.toggle_sight())
        widget.sight_layer.changed.connect(self._enable)
        widget.begun.connect(self._on_begun)
        widget.ended.connect(self._on_ended)
        widget.embedded.connect(self._on_embedded)
        self._on_ended()

    def choice(self) -> Choice:
        """What the form says."""
        return Choice(
            stretch=self.stretch.value,
            percentiles=(self.low.value, self.high.value),
            source=self.source.value,
            channel_axis=self.axis.value,
            channels=tuple(part.value for part in self.colours if part.value != NONE),
            level=self.level.value,
        )

    def show_choice(self, choice: Choice) -> None:
        """Bring the form to a choice; silent."""
        shown: list[tuple[Any, Any]] = [
            (self.stretch, choice.stretch),
            (self.low, choice.percentiles[0]),
            (self.high, choice.percentiles[1]),
            (self.source, choice.source),
            (self.axis, choice.channel_axis if choice.channel_axis in self.axis.choices else self.axis.choices[0]),
            *zip(self.colours, (*choice.channels, NONE, NONE), strict=False),
            (self.level, choice.level),
        ]
        for part, value in shown:
            with part.changed.blocked():
                part.value = value
        self._enable()

    # -- slots ------------------------------------------------------------------------------------

    def _on_changed(self, *_: Any) -> None:
        self._enable()
        if self._session is None:
            return
        self._widget.see(self.choice())
        self.show_choice(self._session.sight.choice)  # what could not be done is put back

    def _on_begun(self, session: Session) -> None:
        self._session = session
        shape, plane = image_shape(session.image), session.plane
        axes = [axis for axis in range(plane.ndim) if axis not in plane.axes]
        with self.axis.changed.blocked(), self.level.changed.blocked():
            self.axis.choices = axes or [0]
            names = [f"level {level}: {_size(session, level)}" for level in range(session.sight.levels)]
            self.level.choices = [(AUTOMATIC, AUTO), *((name, level) for level, name in enumerate(names))]
        for part in self.colours:
            with part.changed.blocked():
                part.max = max((shape[axis] - 1 for axis in axes), default=0)
        self.show_choice(session.sight.choice)
        session.sight.chosen.connect(self._on_chosen)

    def _on_chosen(self) -> None:
        """From the palette or a script, too."""
        if self._session is not None:
            self.show_choice(self._session.sight.choice)

    def _on_ended(self) -> None:
        self._session = None
        self.picture.clear()
        self._enable()

    def _on_embedded(self, *_: Any) -> None:
        if self.isVisible() and self._session is not None and not is_large(self._session.plane.shape):
            self.draw()

    def _on_press(self, *_: Any) -> None:
        self.draw()

    def draw(self) -> None:
        """Draw the plane as the network gets it, beside the viewer; the newest wish counts."""
        session = self._session
        if session is None:
            return
        try:
            job = session.sight.picture(session.look)
        except InputError as error:
            show_warning(str(error))
            return
        self._asked += 1
        number = self._asked
        self._widget.thread("sight").send(job, lambda seen: self._on_drawn(number, seen), self._on_failed)

    def _on_drawn(self, number: int, picture: Picture) -> None:
        if number != self._asked or self._session is None:
            return
        step = max(1, -(-max(picture.seen.shape[:2]) // SIDE))
        seen = np.ascontiguousarray(picture.seen[step // 2 :: step, step // 2 :: step])
        height, width = seen.shape[:2]
        image = QImage(seen.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        pixmap = QPixmap.fromImage(image)
        if max(width, height) < SIDE // 2:
            pixmap = pixmap.scaled(SIDE, SIDE, Qt.AspectRatioMode.KeepAspectRatio)
        self.picture.setPixmap(pixmap)

    def _on_failed(self, error: BaseException) -> None:
        show_warning(str(error))

    def _enable(self) -> None:
        """Show what the choices made so far leave to choose."""
        session = self._session
        for part in (self.low, self.high):
            part.visible = self.stretch.value == PERCENTILE
        several = session is not None and len(image_shape(session.image)) > 2
        for part in (self.axis, *self.colours):
            part.visible = self.source.value == CHANNELS and several
        self.level.visible = session is not None and session.sight.levels > 1
        self.hint.visible = session is None
        self.hint.value = "" if session is not None else "Press Start first."
        for part in self._parts:
            part.enabled = session is not None
        self.show_button.setEnabled(session is not None)
        self.as_layer.setEnabled(session is not None)
        self.as_layer.setChecked(self._widget.sight_layer.wanted)


def _size(session: Session, level: int) -> str:
    data = session.image.data[level] if session.image.multiscale else session.image.data
    rows, columns = session.plane.axes
    return f"{data.shape[rows]} × {data.shape[columns]}"
