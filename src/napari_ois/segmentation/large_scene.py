"""One rule: of a large image the overview is kept and regions are read; all share the overview's colours and depth.

A :class:`LargeScene` is a :class:`Scene` whose image is never held whole. Its ``whole`` look is the overview; a
look at a region is read, at the resolution that the network needs, when it is first taken. Looks are kept up to a
bound in bytes, those used last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_ois.errors import InputError
from napari_ois.segmentation.colour import Picture, check_plane
from napari_ois.segmentation.depth import prepare_depth
from napari_ois.segmentation.depth_scale import DepthScale, fit_scale, own_scale
from napari_ois.segmentation.frame import Frame
from napari_ois.segmentation.image import resize
from napari_ois.segmentation.lazy_plane import LazyPlane, is_large, levels_of, sides_of
from napari_ois.segmentation.pyramid import Pyramid
from napari_ois.segmentation.scene import Look, Scene

if TYPE_CHECKING:
    from napari_ois.network import ImageEmbedding
    from napari_ois.segmentation.view import View

KEPT_BYTES = 256 * 2**20
"""Bytes of looks at regions and close-ups that are kept, and always the three used last."""
FEWEST = 3
READ = 1024
"""Windows are read with at least this many pixels along the longest side, so that shrinking them smooths them."""
COMPARED = 32
"""Cells a side, at most, in which the depth of a region is compared with the overview's."""


class LargeScene(Scene):
    """An image of more than :data:`napari_ois.segmentation.lazy_plane.LARGE` pixels.

    Parameters
    ----------
    levels : list of array
        The image and, where there are any, its coarser levels; see :meth:`napari_ois.Predictor.set_image`.
    channel_axis, depth, input_size, multiple
        See :class:`Scene`. The depth, of the image's shape, is read in windows too.
    """

    def __init__(
        self,
        levels: Sequence[Any],
        channel_axis: int | None,
        depth: Any | None,
        *,
        input_size: int,
        multiple: int,
    ) -> None:
        check_plane(levels[0].shape, np.dtype(levels[0].dtype), channel_axis)
        self._pyramid = Pyramid([_plane(level, channel_axis) for level in levels])
        self.picture = Picture.of(self._pyramid.overview, None if channel_axis is None else -1)
        self.given_depth = None
        self._depth: Pyramid | None = None
        if depth is not None:
            self._take_depth(depth)
        self._pixels = max(READ, 2 * input_size)
        self._scales: dict[View, DepthScale] = {}
        self._begin(self._pyramid.shape, input_size, multiple)

    @property
    def region_side(self) -> int:
        """Side of a region where nothing calls for a larger one, in pixels: those that the network sees, or more."""
        return max(READ, self._input_size)

    def forget(self) -> None:
        """See :meth:`Scene.forget`; where depth lies is forgotten as well."""
        super().forget()
        self._scales.clear()

    def depth_on(self, frame: Frame, embed: Callable[[Look], ImageEmbedding]) -> NDArray[np.float32]:
        """Depth on the scale of the whole image: (h, w) float32 in [0, 1], larger = nearer.

        Parameters
        ----------
        frame : Frame
        embed : callable
            Gives the embedding of a look.
        """
        if self._depth is not None:
            return resize(self._known(frame.view, max(frame.shape)), frame.shape).clip(0.0, 1.0)
        look = self.look(frame.view)
        raw = _plain(embed(look).raw_depth)
        return self._scale(look, raw, embed(self.whole)).apply(resize(raw, frame.shape))

    def _scale(self, look: Look, raw: NDArray[np.float32], overview: ImageEmbedding) -> DepthScale:
        if look.view not in self._scales:
            own = own_scale(_plain(overview.raw_depth), _plain(overview.depth))
            if look is not self.whole:
                cells = [min(COMPARED, side) for side in raw.shape]
                seen = _sampled(_plain(overview.depth), look.view, self.shape, (cells[0], cells[1]))
                own = fit_scale(resize(raw, (cells[0], cells[1])), seen, own)
            self._scales[look.view] = own
        return self._scales[look.view]

    def _make_room(self) -> None:
        kept = list(self._close_ups.items())
        used = sum(_bytes(look) for _, look in kept)
        for view, look in kept[: max(0, len(kept) - FEWEST + 1)]:
            if used <= KEPT_BYTES:
                break
            used -= _bytes(look)
            del self._close_ups[view]

    def colours(self, view: View) -> NDArray[np.float32]:
        """See :meth:`Scene.colours`."""
        part = self._pyramid.window(view, self._pixels)
        if not self.picture.mixed and part.ndim == 3:
            part = part[..., 0] if self.picture.array.ndim == 2 else part[..., :3]
        return replace(self.picture, array=part).plane()

    def _nearness(self, view: View) -> NDArray[np.float32] | None:
        return None if self._depth is None else self._known(view, self._pixels)

    def _take_depth(self, depth: Any) -> None:
        array = depth if hasattr(depth, "shape") else np.asarray(depth)
        shape = self._pyramid.shape
        if tuple(array.shape) != shape:
            raise InputError(
                f"The depth has shape {tuple(array.shape)}, but the image has {shape[0]} rows and {shape[1]} "
                "columns; give one value per pixel."
            )
        self._depth = Pyramid([LazyPlane.of(array)])
        coarse = self._depth.overview
        prepare_depth(coarse, (coarse.shape[0], coarse.shape[1]))  # says what is wrong with it
        values = coarse.astype(np.float64)
        values = values[np.isfinite(values)]
        self._known_range = float(values.min()), float(np.ptp(values)), float(np.median(values))

    def _known(self, view: View, pixels: int) -> NDArray[np.float32]:
        """The given depth of a view as the overview has it: the same value becomes the same depth everywhere."""
        assert self._depth is not None
        low, span, median = self._known_range
        values = self._depth.window(view, pixels).astype(np.float64)
        values = np.where(np.isfinite(values), values, median)
        if not span > 0:
            return np.zeros(values.shape, np.float32)
        return ((values - low) / span).clip(0.0, 1.0).astype(np.float32)


def make_scene(
    image: ArrayLike, channel_axis: int | None, depth: ArrayLike | None, *, input_size: int, multiple: int
) -> Scene:
    """Hold an image: whole where it is of ordinary size, else in regions.

    Parameters
    ----------
    image : array, or list of arrays
        Of a pyramid, all levels.
    channel_axis, depth, input_size, multiple
        See :class:`Scene`.
    """
    levels = levels_of(image)
    shape = getattr(levels[0], "shape", ())
    plane = len(shape) == 3 or (len(shape) == 2 and channel_axis is None)  # anything else is refused below
    if plane and is_large(sides_of(shape, channel_axis)):
        return LargeScene(levels, channel_axis, depth, input_size=input_size, multiple=multiple)
    return Scene(levels[0], channel_axis, depth, input_size=input_size, multiple=multiple)


def _plane(level: Any, channel_axis: int | None) -> LazyPlane:
    return LazyPlane.of(level, channel_axis)


def _plain(maps: torch.Tensor) -> NDArray[np.float32]:
    return maps[0, 0].float().cpu().numpy()


def _sampled(
    depth: NDArray[np.float32], view: View, image_shape: tuple[int, int], cells: tuple[int, int]
) -> NDArray[np.float32]:
    """The overview's depth at the centres of the cells of a view, bilinear."""
    places = [
        ((start + (np.arange(count) + 0.5) * (stop - start) / count) * have / side - 0.5).clip(0, have - 1)
        for start, stop, count, side, have in zip(
            (view.top, view.left), (view.bottom, view.right), cells, image_shape, depth.shape, strict=True
        )
    ]
    return ndimage.map_coordinates(depth, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")


def _bytes(look: Look) -> int:
    """What a look holds on to, its embedding included."""
    tensors = [look.image, look.depth]
    if look.embedding is not None:
        for value in vars(look.embedding).values():
            tensors += value if isinstance(value, tuple) else [value]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)
