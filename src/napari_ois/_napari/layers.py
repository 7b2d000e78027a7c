"""One rule: the layers of a session are made, filled and taken away here, and nobody else writes to them.

Each lies exactly on the image (see :mod:`napari_ois._napari.plane`), follows it when it is moved,
and is held as an object: names are for the user, who may change them. A layer that the user deletes
stays deleted, except for the preview, without which a click would show nothing.

napari takes a tenth of a second to add or remove a layer. So the layers of the maps are added after
Start, one a turn of the event loop, those of the first negative clicks among them; clicks only
fill them.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Image, Labels, Layer, Points
from napari.utils import DirectLabelColormap
from numpy.typing import NDArray

from napari_ois._napari import settings
from napari_ois._napari.difference import write_difference
from napari_ois._napari.plane import GEOMETRY, Plane, sampled
from napari_ois._napari.quiet import insert_unselected, set_visible
from napari_ois.annotation import Click, Clicks, PackedMask, PlaneKey
from napari_ois.segmentation.frame import MOST, Frame, View
from napari_ois.segmentation.lazy_plane import is_large

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import napari

SPARE = 2
"""Layers for negative clicks that are there before they are needed; more are added when they are."""


def _at_once(action: Callable[[], None]) -> None:
    action()


def _nothing() -> None:
    pass


class SessionLayers:
    """Clicks, preview, depth map and order maps of one session.

    Parameters
    ----------
    viewer : napari.Viewer
    image : Image
        The layer that is segmented; only read.
    plane : Plane
        The part of it that is.
    later : callable
        Takes a function without arguments and calls it soon, in order; by default at once.
    on_stroke : callable
        Called when the user has painted on the preview; see :meth:`strokes`.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        image: Image,
        plane: Plane,
        later: Callable[[Callable[[], None]], None] = _at_once,
        on_stroke: Callable[[], None] = _nothing,
    ) -> None:
        self._on_stroke = on_stroke
        self._whole = Frame.bounded(View.whole(plane.shape)) if is_large(plane.shape) else Frame.whole(plane.shape)
        self._frame = self._whole  # of the preview
        self._frames: dict[Layer, Frame] = {}  # of the maps that do not cover the plane
        self._shown = np.zeros(self._whole.shape, dtype=bool)  # what we have put into the preview
        self._writing = False
        self._viewer = viewer
        self._image = image
        self._plane = plane
        self._next = settings.POSITIVE  # of the next click
        self._ordered = False  # whether the order maps say anything
        self.clicks = self._make_clicks()
        self.preview = self._make_preview()
        self.depth = self._make_map("depth", settings.DEPTH_COLORMAP)
        self.order_positive = self._make_map("order positive", settings.ORDER_COLORMAP)
        self.order_negative = [self._make_negative(number) for number in range(1, SPARE + 1)]
        self._negatives = 0
        self.colours = dict(settings.COLORS)
        self._extra: list[Layer] = []
        self._later = later
        maps = [self.depth, self.order_positive, *self.order_negative]
        self._made: list[Layer] = [self.clicks, self.preview, *maps]  # ours before the viewer tells of them
        viewer.add_layer(self.preview)
        viewer.add_layer(self.clicks)
        self.activate()
        for layer in maps:
            later(partial(self.insert, layer))
        self.clicks.events.feature_defaults.connect(self._keep_polarity)
        for name in GEOMETRY:
            getattr(image.events, name).connect(self._follow)

    # -- clicks -----------------------------------------------------------------------------------

    def read_clicks(self) -> tuple[Clicks, bool] | None:
        """Read what the clicks layer holds.

        Returns
        -------
        clicks : Clicks
        inside : bool
            Whether all of them lie on the plane.

        None while the layer changes: its features are not yet as many as its points.
        """
        kinds = self.clicks.features[settings.POLARITY]
        if len(kinds) != len(self.clicks.data):
            return None
        points, inside = self._plane.points(self.clicks.data)
        labels = np.asarray(kinds != settings.NEGATIVE)
        return Clicks.from_arrays(points, labels), bool(inside.all())

    def newest_click(self) -> tuple[PlaneKey, Click]:
        """The click added last, on whichever plane of the image it lies."""
        at = np.asarray(self.clicks.data[-1])
        index = np.asarray(self._plane.index) + np.round(at).astype(int)
        kind = self.clicks.features[settings.POLARITY].iloc[-1]
        row, column = (float(at[axis]) for axis in self._plane.axes)
        return PlaneKey(self._plane.axes, tuple(int(i) for i in index)), Click(row, column, kind != settings.NEGATIVE)

    def write_clicks(self, clicks: Clicks) -> None:
        """Put the clicks layer back to a list of clicks, without telling listeners."""
        layer = self.clicks
        with layer.events.data.blocker(), layer.events.features.blocker():
            layer.selected_data = set()
            layer.data = self._plane.lift_points(clicks.points)
            features = layer.features.copy()
            features[settings.POLARITY] = _polarity(clicks.labels)
            layer.features = features
        self.draw_symbols()

    def activate(self) -> None:
        """Make the clicks layer ready to be clicked on."""
        self._viewer.layers.selection.active = self.clicks
        self.clicks.mode = "add"

    def draw_symbols(self) -> None:
        """Give each click the symbol of its polarity."""
        kinds = self.clicks.features[settings.POLARITY]
        if len(kinds):
            names = [settings.SYMBOLS.get(kind, "disc") for kind in kinds]
            self.clicks.symbol = names

    def set_colours(self, colours: Mapping[str, str]) -> None:
        """Give clicks, and what is drawn besides, the colour of their polarity."""
        self.colours = dict(colours)
        self.clicks.face_color_cycle = dict(colours)

    def set_polarity(self, positive: bool) -> None:
        """Say what the next click will be."""
        self._next = settings.POSITIVE if positive else settings.NEGATIVE
        self.clicks.feature_defaults = {settings.POLARITY: self._next}

    def _keep_polarity(self) -> None:
        """Have the next click be what was said: napari makes it like the click that was selected last."""
        if self.clicks.feature_defaults[settings.POLARITY].iloc[0] != self._next:
            self.clicks.feature_defaults = {settings.POLARITY: self._next}

    # -- results ----------------------------------------------------------------------------------

    def shown_mask(self) -> NDArray[np.bool_]:
        """Read what the preview shows, bool, the user's own brush strokes included.

        (H, W); of a large plane, on the frame shown last.
        """
        return self._plane.lower(self.preview.data) != 0

    def strokes(self) -> tuple[PackedMask, PackedMask] | None:
        """What the preview showed before the user's own strokes and after them; each is given once.

        None where there are no new ones.
        """
        if self.preview not in self._viewer.layers:
            return None
        seen = self.shown_mask()
        if np.array_equal(seen, self._shown):
            return None
        before, self._shown = self._shown, seen
        view = self._frame.view
        box = (view.top, view.left, view.bottom, view.right)
        old, new = (PackedMask.from_cells(mask, box, self._plane.shape) for mask in (before, seen))
        return old, new

    def show_mask(self, mask: NDArray[np.bool_], frame: Frame | None = None) -> None:
        """Show a mask of the plane or of a frame; only the pixels that differ are drawn again.

        A mask of another resolution than the frame is shown by the pixels in the middle of the frame's cells.
        """
        frame = frame or self._whole
        mask = sampled(mask, frame.shape)
        self._writing = True
        try:
            self._move_preview(frame)
            self._shown = self._write_mask(mask)
        except BaseException:
            self._shown = self.shown_mask()  # what was written before an error is no stroke of the user's
            raise
        finally:
            self._writing = False

    def _on_paint(self, event: Any) -> None:
        if not self._writing:
            self._on_stroke()

    def _move_preview(self, frame: Frame) -> None:
        if frame == self._frame:
            return
        self._frame = self._frames[self.preview] = frame
        if self.preview in self._viewer.layers:  # else it is made anew, in its place
            self.preview.data = self._plane.lift(np.zeros(frame.shape, np.uint8))
            self._place(self.preview)

    def _write_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if self.preview not in self._viewer.layers:
            self._made.remove(self.preview)
            self.preview = self._make_preview()
            self._made.append(self.preview)
            self.insert(self.preview)
        shown = self.shown_mask()
        write_difference(self.preview, self._plane, mask, shown)
        return mask.copy()

    def show_depth(self, depth: NDArray[np.float32]) -> None:
        """Show the normalised depth, (H, W) in [0, 1], larger = nearer; hidden until the user wants it."""
        self._later(partial(self._fill, self.depth, depth))

    def show_orders(
        self, positive: NDArray[np.float32] | None, negative: NDArray[np.float32], frame: Frame | None = None
    ) -> None:
        """Show the order map of the positive clicks, (H, W), and those of the negative ones, (K, H, W)."""
        self._ordered = positive is not None
        self._later(partial(self._fill, self.order_positive, positive, frame))
        while len(self.order_negative) < len(negative):
            self.order_negative.append(self._make_negative(len(self.order_negative) + 1))
            self._made.append(self.order_negative[-1])
            self._later(partial(self.insert, self.order_negative[-1]))
        for number, values in enumerate(negative, start=1):
            self._later(partial(self._fill, self.order_negative[number - 1], values, frame))
        for number in range(len(negative) + 1, self._negatives + 1):
            self._later(partial(self._spare, number))
        self._negatives = len(negative)

    def clear_mask(self) -> None:
        """Empty the preview; one that the user deleted stays deleted until there is a mask."""
        if self.preview in self._viewer.layers:
            self.show_mask(np.zeros(self._frame.shape, dtype=bool), self._frame)
        else:
            self._shown[...] = False

    def clear_orders(self) -> None:
        """Empty the order maps where they are not; the depth map stays."""
        if self._ordered:
            self.show_orders(None, np.zeros((0, *self._whole.shape), np.float32))

    def owns(self, layer: Layer) -> bool:
        """Whether a layer was made here, or is marked as another part's of the plugin, so that no choice offers it."""
        return layer in self._made or settings.PLUGIN in layer.metadata

    def add_extra(self, layer: Layer) -> None:
        """Adopt a layer of somebody else, for example of the inspector, until the session ends."""
        self._place(layer)
        self._extra.append(layer)
        self._made.append(layer)
        self.insert(layer)

    def activate_extra(self, layer: Layer) -> None:
        """Make an adopted layer the one that the mouse is for."""
        if layer in self._viewer.layers:
            self._viewer.layers.selection.active = layer
            layer.mode = "pan_zoom"

    def remove_extra(self, layer: Layer) -> None:
        """Take an adopted layer away."""
        if layer in self._extra:
            self._extra.remove(layer)
            self._remove(layer)

    # -- life -------------------------------------------------------------------------------------

    def unbind(self) -> None:
        """Stop following the image; all layers stay."""
        self.preview.events.paint.disconnect(self._on_paint)
        self.clicks.events.feature_defaults.disconnect(self._keep_polarity)
        for name in GEOMETRY:
            getattr(self._image.events, name).disconnect(self._follow)

    def remove(self, *, clicks: bool = False) -> None:
        """Take away what was only shown; clicks stay if there are any, unless they are to go too."""
        for layer in [*self._extra, *self.order_negative, self.order_positive, self.depth, self.preview]:
            self._remove(layer)
        if clicks or len(self.clicks.data) == 0:
            self._remove(self.clicks)
        elif self.clicks in self._viewer.layers:
            self.clicks.mode = "pan_zoom"

    def _follow(self) -> None:
        """Place every layer where the image is now."""
        for layer in self._made:
            self._place(layer)

    def _place(self, layer: Layer) -> None:
        for name, value in self._plane.geometry(self._image, self._frames.get(layer)).items():
            setattr(layer, name, value)

    def _make_clicks(self) -> Points:
        plane = self._plane
        return Points(
            np.zeros((0, plane.ndim)),
            ndim=plane.ndim,
            name=f"{self._image.name} clicks",
            features=pd.DataFrame({settings.POLARITY: _polarity(np.zeros(0))}),
            feature_defaults={settings.POLARITY: settings.POSITIVE},
            face_color=settings.POLARITY,
            face_color_cycle=dict(settings.COLORS),
            border_color="white",
            border_width=0.12,
            size=max(3.0, min(max(plane.shape), MOST) / 60),
            canvas_size_limits=(8 if is_large(plane.shape) else 2, 10_000),
            **plane.geometry(self._image),
        )

    def _make_preview(self) -> Labels:
        empty = self._plane.lift(np.zeros(self._frame.shape, dtype=np.uint8))
        layer = Labels(
            empty,
            name=f"{self._image.name} preview",
            opacity=settings.PREVIEW_OPACITY,
            colormap=DirectLabelColormap(color_dict={None: "transparent", 1: settings.PREVIEW_COLOR}),
            **self._plane.geometry(self._image, self._frame),
        )
        self._frames[layer] = self._frame
        layer.events.paint.connect(self._on_paint)
        return layer

    @cached_property
    def _far(self) -> NDArray[np.float32]:
        """An order map that says nothing: all of it is as far from the click as can be. Nobody writes into it."""
        return np.ones(self._whole.shape, np.float32)

    def _make_map(self, name: str, colormap: str) -> Image:
        layer = Image(
            self._plane.lift(self._far),
            name=f"{self._image.name} {name}",
            colormap=colormap,
            contrast_limits=(0.0, 1.0),
            visible=False,
            **self._plane.geometry(self._image, self._whole),
        )
        self._frames[layer] = self._whole
        return layer

    def _make_negative(self, number: int) -> Image:
        return self._make_map(f"order negative {number}", settings.ORDER_COLORMAP)

    def _fill(self, layer: Image, values: NDArray[np.float32] | None, frame: Frame | None = None) -> None:
        """Show values of the plane, or of a frame, in a map, or none; one that the user deleted is left alone."""
        if layer in self._viewer.layers:
            layer.data = self._plane.lift(self._far if values is None else values)
            if self._frames[layer] != (frame or self._whole):
                self._frames[layer] = frame or self._whole
                self._place(layer)

    def _spare(self, number: int) -> None:
        """Empty the map of a negative click that is gone, and put it by for the next one."""
        layer = self.order_negative[number - 1]
        set_visible(layer, False)
        self._fill(layer, None)

    def insert(self, layer: Layer) -> None:
        """Add a layer right below the preview or the clicks, and leave the user's selection as it was."""
        layers = self._viewer.layers
        above = next((own for own in (self.preview, self.clicks) if own in layers and own != layer), None)
        insert_unselected(layers, len(layers) if above is None else layers.index(above), layer)

    def _remove(self, layer: Layer) -> None:
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
        if layer in self._made:
            self._made.remove(layer)


def _polarity(labels: NDArray[Any]) -> pd.Categorical:
    names = [settings.POSITIVE if kind else settings.NEGATIVE for kind in labels]
    return pd.Categorical(names, categories=[settings.POSITIVE, settings.NEGATIVE])
