"""One rule: what the network is shown is decided from the layers once, as a value, and only that value is used later.

So an object that was clicked on an image as it was seen then can be asked for again after the contrast was moved.
The arrays are cut here, in the viewer's thread, and read where they are needed, in the inference thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from napari.utils.notifications import show_warning
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari.plane import image_array, image_shape, read_plane, same_place, sampled
from napari_ois._napari.sight_picture import CELLS, Picture, draw, draw_overview, read_cuts
from napari_ois.errors import InputError
from napari_ois.segmentation.appearance import NETWORK, SEEN, Appearance, Tint
from napari_ois.segmentation.colour import PERCENTILES
from napari_ois.segmentation.frame import Frame, View
from napari_ois.segmentation.lazy_plane import is_large, levels_of

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.plane import Plane

LAYER, CHANNELS, VISIBLE = "layer", "channels", "visible"
SOURCES = (LAYER, CHANNELS, VISIBLE)
"""The layer itself; indices of one of its axes as colours; all visible image layers on the same place."""
REST = 400
"""Milliseconds that contrast limits must rest before the image is embedded anew."""
COLOURS = 17
"""Colours of a colour map that are kept."""
AUTO = -1
"""The level where the user chose none: the finest, as far as it fits; see :class:`Choice`."""


@dataclass(frozen=True)
class Choice:
    """What the user wants the network to see of an image.

    Attributes
    ----------
    stretch, percentiles
        See :class:`napari_ois.segmentation.appearance.Appearance`.
    source : str
        One of :data:`SOURCES`.
    channel_axis : int
        Of the image, where the source is that.
    channels : tuple of int
        Indices there: one, two or three.
    level : int
        Of a pyramid: what is read, and how finely pictures and previews are drawn. Clicks, answers and labels are
        at full resolution all the same. :data:`AUTO` is full resolution for planes that are held whole
        (:data:`~napari_ois.segmentation.lazy_plane.LARGE`), so small objects are seen as sharply as they can be;
        of larger ones each window is read at the level that it needs. Pictures then have up to :data:`CELLS` pixels.
    """

    stretch: str = NETWORK
    percentiles: tuple[float, float] = PERCENTILES
    source: str = LAYER
    channel_axis: int = 0
    channels: tuple[int, ...] = (0,)
    level: int = AUTO


class Sight(QObject):
    """Looks at one plane of an image for the network.

    Parameters
    ----------
    viewer : napari.Viewer
    image : Image
    plane : Plane
    choice : Choice
        Where it does not fit the plane, the user is told, and there is none.
    mine : callable
        Says of a layer whether it is the session's own, and so no part of a composite.

    Signals
    -------
    changed(Appearance)
        The user has moved the contrast, or shown another layer, and that is seen.
    chosen()
        There is another choice.
    """

    changed = Signal(object)
    chosen = Signal()

    def __init__(
        self, viewer: napari.Viewer, image: Image, plane: Plane, choice: Choice, mine: Callable[[Layer], bool]
    ) -> None:
        super().__init__()
        self._viewer, self._image, self._plane, self._mine = viewer, image, plane, mine
        self._choice = choice
        try:
            self._last = self.appearance()
        except InputError as error:  # it was made for another plane
            show_warning(f"{error} Until then the network sees the image as it would by itself.")
            self._choice = Choice()
            self._last = self.appearance()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST)
        self._timer.timeout.connect(self._look)
        self._watched: list[Image] = []
        viewer.layers.events.inserted.connect(self._on_event)
        viewer.layers.events.removed.connect(self._on_event)
        viewer.layers.events.reordered.connect(self._on_event)
        self._watch()

    @property
    def choice(self) -> Choice:
        """What the user wants."""
        return self._choice

    def choose(self, choice: Choice) -> Appearance:
        """Take another choice.

        Raises
        ------
        InputError
            If it does not fit the plane; the choice before stays.
        """
        before, self._choice = self._choice, choice
        try:
            self._last = self.appearance()
        except InputError:
            self._choice = before
            raise
        self._watch()
        self.chosen.emit()
        return self._last

    def appearance(self) -> Appearance:
        """What the choice means now.

        Raises
        ------
        InputError
            If it does not fit the plane.
        """
        choice = self._choice
        if not AUTO <= choice.level < self.levels:
            raise InputError(f'"{self._image.name}" has the levels 0 to {self.levels - 1}; choose one of these.')
        made = Appearance(choice.stretch, choice.percentiles, level=max(choice.level, 0), tints=self._tints())
        if not made.plain or choice.source != LAYER:
            self._check_size()
        if choice.source == VISIBLE:
            return replace(made, composite=True)
        if choice.source == CHANNELS:
            self._check_channels(self._plane, choice.channel_axis, choice.channels)
            return replace(made, channel_axis=choice.channel_axis, channels=choice.channels)
        return made

    @property
    def levels(self) -> int:
        """How many resolutions the image has."""
        return len(self._image.data) if self._image.multiscale else 1

    def reader(self, appearance: Appearance, plane: Plane | None = None) -> Callable[[], Any]:
        """Something that gives a predictor's image, in any thread.

        Parameters
        ----------
        appearance : Appearance
            Of this image.
        plane : Plane, optional
            Another plane of the image; by default this one.

        Raises
        ------
        InputError
            If a layer of a composite is gone, or the plane has no such channels or level.
        """
        plane = plane or self._plane
        if appearance.plain:
            return partial(read_plane, plane, self._image)
        self._check_size()
        return partial(_paint, appearance, self._cuts(appearance, plane), plane.shape)

    def picture(self, appearance: Appearance, plane: Plane | None = None) -> Callable[[], Picture]:
        """Something that draws what the network sees, in any thread.

        It is as fine as the level that the user has chosen; without one, of up to :data:`CELLS` pixels. Of a plane
        that is read in windows it is the overview that the network sees of the whole.

        Parameters
        ----------
        appearance, plane
            As :meth:`reader` takes them.

        Raises
        ------
        InputError
            As :meth:`reader`.
        """
        plane = plane or self._plane
        if is_large(plane.shape):
            if not appearance.plain:
                self._check_size()
            return partial(draw_overview, levels_of(read_plane(plane, self._image)))
        chosen = bool(appearance.level) or self._choice.level != AUTO
        return partial(draw, appearance, self._cuts(appearance, plane), plane.shape, None if chosen else CELLS)

    def grid(self, appearance: Appearance) -> Frame | None:
        """The cells that a preview of the plane has: those of the level that was read; None for pixels."""
        if not appearance.level or not self._image.multiscale or is_large(self._plane.shape):
            return None
        rows, columns = self._plane.axes
        shape = self._image.data[min(appearance.level, self.levels - 1)].shape
        return Frame(View.whole(self._plane.shape), (int(shape[rows]), int(shape[columns])))

    def _cuts(self, appearance: Appearance, plane: Plane) -> list[Any]:
        """The planes that an appearance is made of, not read yet."""
        if appearance.composite:
            here = {layer.name: layer for layer in self.layers(hidden=True)}
            gone = [tint.layer for tint in appearance.tints if tint.layer not in here]
            if gone:
                raise InputError(
                    f'This was seen as a composite with "{gone[0]}", which is not here any more: bring that layer '
                    'back, or choose again under "What the model sees".'
                )
            return [_cut(plane, here[tint.layer], appearance.level) for tint in appearance.tints]
        axis = appearance.channel_axis
        if axis is None:
            return [_cut(plane, self._image, appearance.level)]
        self._check_channels(plane, axis, appearance.channels)
        indices = [(*plane.index[:axis], channel, *plane.index[axis + 1 :]) for channel in appearance.channels]
        return [_cut(replace(plane, index=index), self._image, appearance.level) for index in indices]

    def layers(self, *, hidden: bool = False) -> list[Image]:
        """The image layers of a composite, from the lowest: visible (or not), and pixel by pixel on this image."""
        shape = image_shape(self._image)
        return [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Image)
            and (hidden or layer.visible)
            and not self._mine(layer)
            and image_shape(layer) == shape
            and same_place(layer, self._image)
        ]

    def release(self) -> None:
        """Look no more."""
        self._timer.stop()
        for emitter in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            emitter.disconnect(self._on_event)
        self._viewer.layers.events.reordered.disconnect(self._on_event)
        self._unwatch()

    def _tints(self) -> tuple[Tint, ...]:
        if self._choice.source == VISIBLE:
            layers = self.layers()
            if not layers:
                raise InputError("No image layer is visible that lies on this one; make one visible.")
            return tuple(_tint(layer) for layer in layers)
        return (replace(_tint(self._image), colours=(), layer=""),) if self._choice.stretch == SEEN else ()

    def _check_size(self) -> None:
        if is_large(self._plane.shape):
            rows, columns = self._plane.shape
            raise InputError(
                f"A plane of {rows} x {columns} pixels is read in windows, and the network sees it in its own way: "
                "take the choices back."
            )

    def _check_channels(self, plane: Plane, axis: int, channels: Sequence[int]) -> None:
        if self._image.rgb:
            raise InputError(f'"{self._image.name}" is RGB, and its colours are its channels: choose "this layer".')
        if not 0 <= axis < plane.ndim or axis in plane.axes:
            raise InputError(
                f'"{self._image.name}" has no axis {axis} with a slider; choose another axis for the channels.'
            )
        count = image_shape(self._image)[axis]
        if not channels or not all(0 <= channel < count for channel in channels):
            raise InputError(f'Axis {axis} of "{self._image.name}" has the channels 0 to {count - 1}; choose of these.')

    # -- the user's own contrast ------------------------------------------------------------------

    def _watch(self) -> None:
        self._unwatch()
        everything = self._choice.source == VISIBLE
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Image) and not self._mine(layer)]
        self._watched = layers if everything else [self._image]
        for layer in self._watched:
            for name in ("contrast_limits", "gamma", "colormap", "opacity", "visible"):
                getattr(layer.events, name).connect(self._on_event)

    def _unwatch(self) -> None:
        for layer in self._watched:
            for name in ("contrast_limits", "gamma", "colormap", "opacity", "visible"):
                getattr(layer.events, name).disconnect(self._on_event)
        self._watched = []

    def _on_event(self, event: Any = None) -> None:
        if self._choice.stretch == SEEN or self._choice.source == VISIBLE:
            self._timer.start()

    def _look(self) -> None:
        self._watch()
        try:
            now = self.appearance()
        except InputError:  # the last layer was hidden: what was seen stays until there is something
            return
        if now != self._last:
            self._last = now
            self.changed.emit(now)


def _tint(layer: Image) -> Tint:
    low, high = (float(end) for end in layer.contrast_limits)
    if layer.rgb:
        return Tint((0.0, 1.0), layer=layer.name)
    table = layer.colormap.map(np.linspace(0.0, 1.0, COLOURS))[:, :3] * layer.opacity
    if np.allclose(table, np.linspace(table[0], table[-1], COLOURS), atol=1e-6):
        table = table[[0, -1]]
    colours = tuple((float(red), float(green), float(blue)) for red, green, blue in np.round(table, 6))
    return Tint((low, high), float(layer.gamma), colours, layer.name)


def _cut(plane: Plane, layer: Image, level: int) -> Any:
    """Cut a plane out of a level of a layer, without reading it; the coarsest where it has not so many."""
    if not layer.multiscale or not level:
        return plane.view(image_array(layer))
    data, full = layer.data[min(level, len(layer.data) - 1)], image_shape(layer)
    # A coarser level may also have fewer planes: the one that lies there is taken.
    index = tuple(min(int((i + 0.5) * c / f), c - 1) for i, c, f in zip(plane.index, data.shape, full, strict=False))
    return replace(plane, index=index).view(data)


def _paint(appearance: Appearance, cuts: list[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """In the inference thread."""
    return sampled(appearance.paint(read_cuts(cuts)), shape)
