"""One rule: the inspector shows what order did to the mask on the screen; it asks after each answer, never before.

A click is answered first and inspected afterwards, so that the inspector takes no time from it, and none at
all when it is closed. Its layers belong to the session and go with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, Container
from napari.layers import Image, Labels, Layer
from napari.utils import DirectLabelColormap
from napari.utils.notifications import show_info, show_warning
from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QWidget
from superqt import QLabeledDoubleSlider
from superqt.utils import qdebounced

from napari_ois._napari import settings
from napari_ois._napari.commands import docked, find_docked
from napari_ois._napari.inspector_plot import ProfilePlot
from napari_ois._napari.parts import scrolled
from napari_ois._napari.quiet import set_visible
from napari_ois.errors import InputError

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.session import Session
    from napari_ois._napari.widget import OISWidget
    from napari_ois._napari.worker import Answer, Inspected
    from napari_ois.segmentation.prediction import Prediction

WAITING = "Click on an object; then its order is shown here."
KINDS = (("with order", "order"), ("without order", "plain"), ("object-aware", "object"))
MEAN = ("mean of all", None)
MINIMUM_HEIGHT = 360
"""Pixels: down to the histogram without scrolling, where the docks share the window."""
DEBOUNCE = 150
"""Milliseconds that the slider must rest."""
HOVER = "Move over the image to read depth, order and attention."
STRENGTH_TIP = "Multiplies every learned sigma: 0 switches order off, 1 is as trained. The mask follows."


class OrderInspector(QWidget):
    """Attention, strength, depth profile and what order changed.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The name makes napari pass the viewer.
    segmentation : OISWidget, optional
        Whose session to inspect; by default the one docked in the viewer, which is opened where there is none.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, segmentation: OISWidget | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._source = segmentation or docked(napari_viewer)
        self._session: Session | None = None
        self._shown: Inspected | None = None
        self._layers: dict[str, Layer] = {}
        self._attention: np.ndarray | None = None  # what the attention layer shows
        self._order: np.ndarray | None = None  # what the layer of the order shows
        self._closed = self._was_docked = self._turning = False
        self._build()
        self._listen()
        self._viewer.layers.events.inserted.connect(self._follow)
        self._viewer.events.theme.connect(self._on_theme)
        self._viewer.cursor.events.position.connect(self._on_cursor)
        self._on_theme()

    def _listen(self) -> None:
        """Hear of the sessions of the segmentation widget, and of the one that runs."""
        for signal, slot in self._slots():
            signal.connect(slot)
        if self._source.session is not None:
            self._on_begun(self._source.session)
            self._ask()

    def _slots(self) -> tuple[tuple[Any, Any], ...]:
        source = self._source
        return (
            (source.begun, self._on_begun), (source.ended, self._on_ended), (source.answered, self._on_answered),
            (source.inspected, self._on_inspected),
        )  # fmt: skip

    def _follow(self, *_: Any) -> None:
        """Turn to the widget that is docked now, where the one before was closed; every Start inserts layers."""
        found = find_docked(self._viewer)
        if found is None or found is self._source or self._source in self._viewer.window.dock_widgets.values():
            return
        for signal, slot in self._slots():
            signal.disconnect(slot)
        self._source = found
        self._listen()

    # -- what is shown ------------------------------------------------------------------------------

    @property
    def inspected(self) -> Inspected | None:
        """What the panel shows; its arrays are the scripted API's."""
        return self._shown

    def attention(self) -> np.ndarray | None:
        """The attention chosen, (H, W) float32, or None."""
        if self._shown is None or self.click.value is None:
            return None
        return self._shown.inspection.attention(
            self.click.value, kind=self.kind.value, block=self.block.value, head=self.head.value
        )

    def save_figure(self, path: str | None = None) -> None:
        """Write the side-by-side figure; asks for a file where none is given."""
        if self._shown is None or self._session is None:
            show_warning(WAITING)
            return
        if path is None:
            path = QFileDialog.getSaveFileName(self, "Save figure", "order.png", "Images (*.png *.pdf *.svg)")[0]
        if not path:
            return
        from napari_ois.segmentation.inspection_figure import draw_inspection
        from napari_ois.segmentation.results import plane_under

        inspection = self._shown.inspection
        picture = plane_under(inspection.prediction)
        figure = draw_inspection(picture, inspection, self._shown.without, block=self.block.value, head=self.head.value)
        try:
            figure.savefig(path, dpi=100)
        except (OSError, ValueError) as error:
            show_warning(f"The figure could not be written: {error}.")
            return
        show_info(f"The figure is in {path}.")

    # -- parts ----------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.strength = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.strength.setRange(0.0, 4.0)
        self.strength.setValue(1.0)
        self.strength.setToolTip(STRENGTH_TIP)
        self._strength = qdebounced(self._set_strength, timeout=DEBOUNCE)  # one step of the history a drag
        self.strength.valueChanged.connect(self._on_turned)
        self.click = ComboBox(label="Click", choices=self._clicks, nullable=True, tooltip="Whose attention to show.")
        self.kind = ComboBox(label="Attention", choices=KINDS, tooltip="With or without the order term (Fig. 6, 7).")
        self.block = ComboBox(label="Block", choices=self._blocks, nullable=False)
        self.head = ComboBox(label="Head", choices=self._heads, nullable=False)
        self.sentence, self.sigma, self.under_cursor = QLabel(WAITING), QLabel(), QLabel(HOVER)
        for label in (self.sentence, self.sigma, self.under_cursor):
            label.setWordWrap(True)
        self.plot = ProfilePlot()
        self.plot.setToolTip("Drag over depths to see which pixels they are; click to take the band away.")
        self.plot.band.connect(self._on_band)
        self.save_button = QPushButton("Save figure…")
        self.save_button.setToolTip("Clicks, mask, depth, order maps and attention side by side.")
        self.save_button.clicked.connect(lambda: self.save_figure())
        self.setMinimumHeight(MINIMUM_HEIGHT)
        layout = scrolled(self)
        layout.addWidget(QLabel("Strength of order"))
        layout.addWidget(self.strength)
        layout.addWidget(self.sentence)
        layout.addWidget(self.plot)
        self._choices = Container(widgets=[self.click, self.kind, self.block, self.head], labels=True)
        self._choices.margins = (0, 0, 0, 0)
        self._choices.changed.connect(self._show_attention)
        layout.addWidget(self._choices.native)
        layout.addWidget(self.under_cursor)
        layout.addWidget(self.sigma)
        layout.addWidget(self.save_button)
        layout.addStretch(1)

    def _clicks(self, *_: Any) -> list[tuple[str, int]]:
        if self._shown is None:
            return []
        inspection = self._shown.inspection
        labels = inspection.prediction.labels
        return [
            (f"{index + 1} ({settings.POSITIVE if label == 1 else settings.NEGATIVE})", index)
            for index, label in enumerate(labels)
            if inspection.has_row(index)
        ]

    def _blocks(self, *_: Any) -> list[tuple[str, int | None]]:
        count = 0 if self._shown is None else len(self._shown.inspection.sigma)
        return [MEAN, *((f"{n + 1}", n) for n in range(count))]

    def _heads(self, *_: Any) -> list[tuple[str, int | None]]:
        count = 0 if self._shown is None else self._shown.inspection.sigma.shape[1]
        return [MEAN, *((f"{n + 1}", n) for n in range(count))]

    # -- slots ------------------------------------------------------------------------------------------

    def _on_begun(self, session: Session) -> None:
        self._session = session
        self._layers = {}
        session.emptied.connect(self._reset)
        self._show_strength(session.settings.order_strength)  # of this image
        self._reset()

    def _on_ended(self) -> None:
        self._session = None
        self._layers = {}  # they went with the session
        self._reset()

    def _on_answered(self, answer: Answer) -> None:
        if not self._turning:  # else an older answer would take the slider out of the user's hand
            self._show_strength(answer.question.strength)
            self._set_default()
        self._ask()

    def _on_turned(self, *_: Any) -> None:
        self._turning = True
        self._strength()

    def _show_strength(self, strength: float) -> None:
        self.strength.blockSignals(True)
        self.strength.setValue(strength)
        self.strength.blockSignals(False)

    def _set_default(self) -> None:
        """Objects to come are answered as the slider says, on the image's other planes too."""
        session = self._session
        if session is not None:
            session.settings = replace(session.settings, order_strength=self.strength.value())
            session.workbook.settings = replace(session.workbook.settings, order_strength=self.strength.value())

    def _set_strength(self) -> None:
        self._turning = False
        if not self._closed and self._session is not None:
            self._session.adjust(order_strength=self.strength.value())

    def _ask(self, *_: Any) -> None:
        if self._closed or self._session is None:
            return
        if not self._session.inspect():
            self._reset()

    def _on_inspected(self, result: Inspected) -> None:
        if self._closed or self._session is None:
            return
        first = self._shown is None
        newest = len(result.inspection.prediction.labels) - 1
        same = not first and len(self._shown.inspection.prediction.labels) == newest + 1  # type: ignore[union-attr]
        self._shown = result
        with self._choices.changed.blocked():
            self._choices.reset_choices()
            if not same and newest in self.click.choices:
                self.click.value = newest
        self._show_words(result)
        self.plot.show_profile(result.profile, result.inspection.prediction.labels, self._session.layers.colours)
        self._show_attention()
        self._fill_labels("change", "changed by order", result.change.labels)
        self._on_band(None)

    def _show_words(self, result: Inspected) -> None:
        self.sentence.setText(" ".join(filter(None, (result.change.sentence, result.profile.warning))))
        rows = (" ".join(f"{value:.1f}" for value in row) for row in result.inspection.sigma)
        self.sigma.setText("Sigma of each head: " + "; ".join(f"block {n + 1}: {row}" for n, row in enumerate(rows)))

    def _reset(self) -> None:
        self._shown = self._attention = self._order = None
        with self._choices.changed.blocked():
            self._choices.reset_choices()
        self.sentence.setText(WAITING)
        self.sigma.setText("")
        self.plot.clear()
        for layer in self._layers.values():
            set_visible(layer, False)
        self._on_cursor()

    def _on_band(self, band: tuple[float, float] | None) -> None:
        if self._shown is None or (band is None and "band" not in self._layers):
            return
        depth = self._shown.inspection.prediction.depth
        low, high = band or (2.0, 2.0)
        self._fill_labels("band", "depth band", ((depth >= low) & (depth <= high)).astype(np.uint8), visible=True)

    def _on_cursor(self, *_: Any) -> None:
        """Read the maps under the cursor."""
        if self._shown is None or self._session is None:
            self.under_cursor.setText(HOVER)
            return
        place = self._session.layers.clicks.world_to_data(self._viewer.cursor.position)  # of the plane, not the image
        points, inside = self._session.plane.points(np.asarray(place)[None, : self._session.plane.ndim])
        if not inside.all():
            self.under_cursor.setText(HOVER)
            return
        pixel = np.floor(points[0] + 0.5).clip(0, np.array(self._session.plane.shape) - 1).astype(np.float32)
        words = self._words_at(self._shown.inspection.prediction, pixel)
        self.under_cursor.setText(f"Row {pixel[0]:.0f}, column {pixel[1]:.0f}: " + ", ".join(words))

    def _words_at(self, prediction: Prediction, pixel: np.ndarray) -> list[str]:
        """What the maps say of a (2,) row and column of the image."""
        frame = prediction.frame
        if not frame.view.holds(pixel[None])[0]:
            return ["not looked at"]
        row, column = np.floor(frame.to_cells(pixel[None])[0] + 0.5).astype(int)
        order = prediction.positive_order_map if self._order is None else self._order
        words = [f"depth {prediction.depth[row, column]:.2f}"]
        words.append("not looked at" if np.isnan(order[row, column]) else f"order {order[row, column]:.2f}")
        if self._attention is not None:
            words.append(f"attention {self._attention[row, column]:.4f}")
        return words

    # -- layers -------------------------------------------------------------------------------------------

    def _show_attention(self, *_: Any) -> None:
        try:
            values = self.attention()
        except InputError as error:
            show_warning(str(error))
            return
        self._attention, self._order = values, None
        if values is None or self._session is None or self._shown is None:
            return
        self._order = self._shown.inspection.order_used(self.click.value)
        self._fill_image("order", "order as used", self._order, settings.ORDER_COLORMAP, 1.0)
        self._fill_image("attention", "attention", values, "magma", max(float(values.max()), 1e-9))

    def _fill_image(self, key: str, title: str, values: np.ndarray, colormap: str, most: float) -> None:
        assert self._session is not None
        lifted = self._session.plane.lift(values)
        layer = self._layers.get(key)
        if layer is None or layer not in self._viewer.layers:
            name, limits = f"{self._session.image.name} {title}", (0.0, most)
            made = Image(lifted, name=name, colormap=colormap, opacity=0.7, contrast_limits=limits, visible=False)
            self._add(key, made)  # the user turns it on when it is wanted
            return
        layer.data = lifted
        self._place(layer)
        layer.contrast_limits_range = layer.contrast_limits = (0.0, most)

    def _fill_labels(self, key: str, title: str, values: np.ndarray, *, visible: bool = False) -> None:
        if self._session is None:
            return
        lifted = self._session.plane.lift(values)
        layer = self._layers.get(key)
        if layer is not None and layer in self._viewer.layers:
            layer.data = lifted
            self._place(layer)
            return
        of = self._session.layers.colours
        colours = {None: "transparent", 1: of[settings.POSITIVE], 2: of[settings.NEGATIVE]}
        made = Labels(lifted, name=f"{self._session.image.name} {title}", opacity=0.6, visible=visible)
        made.colormap = DirectLabelColormap(color_dict=colours)
        self._add(key, made)

    def _add(self, key: str, layer: Layer) -> None:
        assert self._session is not None
        self._layers[key] = layer
        self._session.layers.add_extra(layer)
        self._place(layer)

    def _place(self, layer: Layer) -> None:
        """Put a layer where the prediction lies: of a large image, on the region that was worked on."""
        session, shown = self._session, self._shown
        if session is None or shown is None or shown.inspection.prediction.state.frame is None:
            return
        for name, value in session.plane.geometry(session.image, shown.inspection.prediction.frame).items():
            setattr(layer, name, value)

    # -- life -----------------------------------------------------------------------------------------------

    def _on_theme(self, *_: Any) -> None:
        theme = get_theme(self._viewer.theme)
        self.plot.set_colours(theme.background.as_hex(), theme.text.as_hex())

    def event(self, event: QEvent) -> bool:
        """Notice being taken out of the dock: napari then sends no close event."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._was_docked = True
            elif self._was_docked:
                self.release()
        return super().event(event)

    def closeEvent(self, event: Any) -> None:
        """Give everything back."""
        self.release()
        super().closeEvent(event)

    def release(self) -> None:
        """Stop listening and take the inspector's layers away."""
        if self._closed:
            return
        self._closed = True
        self._viewer.events.theme.disconnect(self._on_theme)
        self._viewer.cursor.events.position.disconnect(self._on_cursor)
        self._viewer.layers.events.inserted.disconnect(self._follow)
        for signal, slot in self._slots():
            signal.disconnect(slot)
        if self._session is not None:
            for layer in self._layers.values():
                self._session.layers.remove_extra(layer)
