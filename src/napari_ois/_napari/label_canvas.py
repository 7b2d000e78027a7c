"""One rule: accepted objects are written into Labels layers by ``data_setitem`` alone, so napari's own undo works.

A layer is held as an object and named once, when it is first written into: the user may rename it, or take it
out of the viewer, and the document still finds it. The largest label in use is counted along, not searched for
at each accept; of a layer that others filled it is searched for once, beside the viewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning
from numpy.typing import NDArray

from napari_ois._napari.label_levels import LabelLevels, why_not_written
from napari_ois._napari.plane import GEOMETRY, corners_of, image_shape, same_place
from napari_ois._napari.quiet import slice_hidden
from napari_ois.errors import InputError, OISError
from napari_ois.segmentation.lazy_plane import LazyPlane, is_large

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_ois.annotation import PlaneKey

Aside = Callable[[Callable[[], Any], Callable[[Any], None], Callable[[BaseException], None]], None]
"""Does a job beside the viewer, then calls a function with what it gave, or another with the error:
:meth:`Errands.send`."""

BAND = 4096 * 1024
"""Pixels of a plane that are read at once when the largest label is searched for."""

HELD = "napari-ois objects"
"""Where a layer's metadata have the name that the document knows it by."""

HELD_FOR = "napari-ois image"
"""Where they have which of the viewer's images have objects in it."""

HIGHEST = "napari-ois highest label"
"""Where a pyramid's have the largest label written, by whichever image's document: it tells nobody of a write."""


class LabelCanvas:
    """The Labels layers of one image; a :class:`napari_ois.annotation.Canvas`.

    Parameters
    ----------
    image : Image
        All layers lie on it.
    aside : callable
        See :data:`Aside`.
    names : callable, optional
        Gives the names of all layers in the viewer, none of which a new layer gets: napari would call it otherwise,
        and the document by a name that is another's.
    """

    def __init__(self, image: Image, aside: Aside, names: Callable[[], Collection[str]] = tuple) -> None:
        self._image = image
        self._aside = aside
        self._names = names
        self._layers: dict[str, Labels] = {}
        self._pyramids: dict[str, LabelLevels] = {}  # of the layers that are one
        self._showing = False  # a pyramid again, which we have written
        self._highest: dict[str, int | None] = {}  # None: not searched for yet
        self._seen: NDArray[Any] | None = None  # the plane read last
        self._unread: set[str] = set()  # those that could not be searched
        self._waiting: dict[str, Callable[[], None]] = {}  # what comes after a search; one at most
        self._undo: list[Callable[[], Any]] = []
        self._corners = corners_of(image)
        for kind in GEOMETRY:
            emitter = getattr(image.events, kind)
            emitter.connect(self._follow)
            self._undo.append(partial(emitter.disconnect, self._follow))

    # -- layers -----------------------------------------------------------------------------------

    @property
    def layers(self) -> dict[str, Labels]:
        """Every layer that was ever written into, by the name that the document knows it by."""
        return dict(self._layers)

    def name_of(self, layer: Labels) -> str | None:
        """The document's name of a layer; None where it has none yet."""
        return next((name for name, own in self._layers.items() if own == layer), None)

    def adopt(self, layer: Labels, name: str | None = None) -> str:
        """Name a layer that is there: by default as the viewer calls it.

        Raises
        ------
        InputError
            If it does not lie on the image pixel by pixel, or cannot be written into.
        """
        known = self.name_of(layer)
        self.check(layer)
        if known is not None:
            return known
        name = self._free(layer.name) if name is None else name
        self._hold(name, layer, None)
        if layer.multiscale:
            self._pyramids[name] = LabelLevels.adopt(list(layer.data))
        self._search(name)
        return name

    def check(self, layer: Labels, *, write: bool = True) -> None:
        """InputError where a layer does not lie on the image pixel by pixel, or is to be written and cannot."""
        lies = tuple(finest(layer).shape) == image_shape(self._image)
        if not lies or not same_place(layer, self._image):
            raise InputError(
                f'"{layer.name}" does not lie on "{self._image.name}" pixel by pixel: choose another layer '
                "for the objects, or a new one."
            )
        reason = why_not_written(list(layer.data) if layer.multiscale else [layer.data]) if write else ""
        if reason:
            raise InputError(
                f'"{layer.name}" cannot be written ({reason}): choose another layer for the objects, or a new one.'
            )

    def make(self, name: str | None = None) -> Labels:
        """Make an empty layer on the image; the caller adds it to the viewer. Of a large image it is a pyramid."""
        image, shape = self._image, image_shape(self._image)
        known = self._free(f"{image.name} objects", self._names()) if name is None else name
        pyramid: LabelLevels | None = None
        if is_large(sorted(shape)[-2:]):
            from napari_ois._napari.label_pyramid import LabelPyramid  # zarr takes a while to import

            pyramid = LabelPyramid(shape)
        try:
            data = np.zeros(shape, dtype=np.int32) if pyramid is None else pyramid.levels
        except MemoryError as error:
            raise InputError(
                f'Labels for all of "{image.name}" need {4 * math.prod(shape) / 2**30:.0f} GiB, more than there is: '
                "choose a Labels layer of your own for the objects, a zarr array for example, or cut a part out."
            ) from error
        layer = Labels(
            data,
            multiscale=pyramid is not None,
            name=known,
            scale=image.scale,
            translate=image.translate,
            rotate=image.rotate,
            shear=image.shear,
            affine=image.affine.affine_matrix,
            units=image.units,
            axis_labels=image.axis_labels,
        )
        self._hold(known, layer, 0)
        if pyramid is not None:
            self._pyramids[known] = pyramid
        return layer

    def _follow(self, event: Any = None) -> None:
        """The image was moved, or its pixels have another size: layers that lay on it lie on it again."""
        before, self._corners = self._corners, corners_of(self._image)
        shape = image_shape(self._image)
        for layer in self._layers.values():
            if tuple(finest(layer).shape) == shape and np.allclose(corners_of(layer), before):
                for kind in GEOMETRY:
                    setattr(layer, kind, getattr(self._image, kind))

    def release(self) -> None:
        """Stop listening to the layers."""
        for disconnect in self._undo:
            disconnect()
        self._undo.clear()
        self._waiting.clear()

    def _hold(self, name: str, layer: Labels, highest: int | None) -> None:
        self._layers[name] = layer
        self._highest[name] = highest
        layer.metadata[HELD] = name  # stays when the widget is closed, or the user calls the layer otherwise
        layer.metadata[HELD_FOR] = sorted({*layer.metadata.get(HELD_FOR, ()), str(self._image.unique_id)})
        for emitter, slot in (
            (layer.events.paint, partial(self._on_paint, name)),
            (layer.events.data, partial(self._on_data, name)),
        ):
            emitter.connect(slot)
            self._undo.append(partial(emitter.disconnect, slot))

    def _free(self, wanted: str, taken: Collection[str] = ()) -> str:
        name, count = wanted, 1
        while name in self._layers or name in taken:
            count += 1
            name = f"{wanted} {count}"
        return name

    # -- the largest label ------------------------------------------------------------------------

    @property
    def searching(self) -> bool:
        """Whether something waits for the largest label to be known."""
        return bool(self._waiting)

    def ready(self, target: str, then: Callable[[], None]) -> bool:
        """Whether the largest label is known; where it is not, a function is called once it is, if it can be."""
        if self._highest.get(target) is not None:
            return True
        self._waiting = {target: then}
        if target in self._unread:
            self._search(target)
        return False

    def _search(self, name: str) -> None:
        self._highest[name] = None
        self._unread.discard(name)
        data = finest(self._layers[name])
        self._aside(partial(_largest, data), partial(self._on_found, name, data), partial(self._on_unread, name, data))

    def _on_found(self, name: str, data: Any, highest: int) -> None:
        if finest(self._layers[name]) is not data:  # other labels since then, which are searched too
            return
        self._highest[name] = max(highest, self._highest[name] or 0)
        then = self._waiting.pop(name, None)
        if then is not None:
            try:
                then()
            except OISError as error:  # whoever asked has long been answered
                show_warning(str(error))

    def _on_unread(self, name: str, data: Any, error: BaseException) -> None:
        layer = self._layers[name]
        if finest(layer) is not data:
            return
        self._unread.add(name)
        self._waiting.pop(name, None)
        show_warning(
            f'The labels of "{layer.name}" cannot be read ({error}): try again, or choose another layer for objects.'
        )

    def _on_data(self, name: str, event: Any) -> None:
        if self._showing:
            return
        if name in self._pyramids:
            self._pyramids[name] = LabelLevels.adopt(list(self._layers[name].data))
        self._search(name)

    def _on_paint(self, name: str, event: Any) -> None:
        """The user's brush or a script has written."""
        # An atom is indices, old and new values; newer versions of napari have another for the brush.
        values = [atom.new_value if hasattr(atom, "new_value") else atom[2] for atom in event.value]
        known = self._highest[name]
        if known is not None:
            self._highest[name] = max([known, *(int(np.max(value)) for value in values if np.size(value))])

    # -- what a document asks for -----------------------------------------------------------------

    def read(self, target: str, plane: PlaneKey) -> NDArray[Any]:
        """See :class:`napari_ois.annotation.Canvas`."""
        data = finest(self._layer(target))
        if is_large(plane.shape_in(data.shape)):
            self._seen = None
            return LazyPlane(data, plane.axes, plane.index)  # type: ignore[return-value]
        self._seen = np.asarray(plane.view(data))
        return self._seen

    def highest(self, target: str) -> int:
        """See :class:`napari_ois.annotation.Canvas`; on the plane read last nothing is missed, whoever wrote it."""
        known = self._highest[target]
        if known is None:
            known = _largest(finest(self._layer(target)))
        known = max(known, self._layer(target).metadata.get(HIGHEST, 0))
        here = 0 if self._seen is None else int(self._seen.max(initial=0))
        self._highest[target] = max(known, here)
        return max(known, here)

    def limit(self, target: str) -> int:
        """See :class:`napari_ois.annotation.Canvas`."""
        if target in self._pyramids:
            return self._pyramids[target].limit
        return int(np.iinfo(finest(self._layer(target)).dtype).max)

    def write(self, target: str, indices: tuple[NDArray[np.intp], ...], values: NDArray[np.int64]) -> None:
        """See :class:`napari_ois.annotation.Canvas`; one step of the layer's own undo, which a pyramid has not."""
        layer = self._layer(target)
        if target in self._pyramids:
            self._pyramids[target].write_pixels(indices, values)
            self._highest[target] = layer.metadata[HIGHEST] = max(
                self._highest[target] or 0, layer.metadata.get(HIGHEST, 0), int(values.max(initial=0))
            )
            self._show_pyramid(layer)
            return
        slice_hidden(layer)
        with layer.block_history():
            for value in np.unique(values):
                here = values == value
                layer.data_setitem(tuple(axis[here] for axis in indices), int(value))

    def _show_pyramid(self, layer: Labels) -> None:
        """Have a pyramid drawn that was written."""
        kept = hasattr(layer, "_reset_thumbnail_level_data")
        if kept and layer.ndim == 2 and not isinstance(layer.data[-1], np.ndarray):
            # napari 0.8 keeps what it once read of the coarsest level; given the levels again, it reads it again.
            # Before, it kept nothing, and a Labels layer could not be given levels again.
            self._showing = True
            try:
                layer.data = list(layer.data)
            finally:
                self._showing = False
        layer.refresh()

    def _layer(self, target: str) -> Labels:
        if target not in self._layers:
            raise InputError(f'There is no layer for the objects in "{target}"; start on the image again.')
        return self._layers[target]


def finest(layer: Labels) -> Any:
    """A layer's labels at full resolution."""
    return layer.data[0] if layer.multiscale else layer.data


def _largest(data: Any) -> int:
    """The largest label of an array of any kind."""
    return max((int(np.max(band, initial=0)) for band in bands(data)), default=0)


def bands(data: Any) -> Iterator[NDArray[Any]]:
    """Read an array of any kind plane by plane, and wide planes band by band."""
    if data.ndim < 2:
        yield np.asarray(data)
    elif data.ndim == 2:
        rows = max(1, BAND // max(1, data.shape[1]))
        for first in range(0, data.shape[0], rows):
            yield np.asarray(data[first : first + rows])
    else:
        for index in range(data.shape[0]):
            yield from bands(data[index])
