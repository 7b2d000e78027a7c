"""One rule: the labels of a session follow from its clicks alone - played again, they are the same bit for bit.

Every accepted object is played on its plane by :class:`~napari_ois.annotation.replay.Replay`, its edits are laid
on top, what it was denied is taken out, and all are painted in the order in which they were accepted, the later
over the earlier. The masks kept in the session are not used for this; they are what the result is held against. A
large plane is not read for it but handed on, to be read in windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ois.annotation.answers import pack_answer
from napari_ois.annotation.objects import Accepted, AnnotatedObject
from napari_ois.annotation.packed import PackedMask
from napari_ois.annotation.planes import PlaneKey
from napari_ois.annotation.replay import Answers, Replay, answerable
from napari_ois.annotation.session_file import Session
from napari_ois.errors import InputError
from napari_ois.segmentation.appearance import Appearance
from napari_ois.segmentation.lazy_plane import LazyPlane, is_large, is_pyramid, levels_of


class Segments(Answers, Protocol):
    """The part of a predictor that a playback needs."""

    def set_image(self, image: Any, channel_axis: int | None = None, depth: Any = None) -> None:
        """Embed an image. See :class:`napari_ois.Predictor`."""
        ...


def made_with_others(model: Mapping[str, Any], info: Any) -> bool:
    """Whether a session's model is known to have other weights than the one that is to answer.

    Parameters
    ----------
    model : mapping
        What the session says of its model.
    info : ModelInfo or None
        Of the model at hand.
    """
    then, now = model.get("sha256"), getattr(info, "sha256", None)
    return bool(then and now and then != now)


@dataclass(frozen=True, eq=False)
class Played:
    """One object played again.

    Attributes
    ----------
    obj : AnnotatedObject
        As the session has it.
    mask : PackedMask
        Its mask now, before others' pixels are taken out of it.
    differs : int
        Pixels in which what it may write differs from what it wrote.
    """

    obj: AnnotatedObject
    accepted: Accepted
    mask: PackedMask

    @property
    def written(self) -> PackedMask:
        """Its pixels: what it was denied when it was accepted, it does not get now."""
        return self.mask - self.accepted.denied

    @property
    def differs(self) -> int:
        """Pixels in which it is not what the session holds."""
        then = self.accepted.written
        return (self.written - then).area + (then - self.written).area


def spatial_shape(image: Any, ndim: int, channel_axis: int | None = None) -> tuple[int, ...]:
    """Shape of an image without colour or channels.

    Parameters
    ----------
    image : array
    ndim : int
        Axes that the objects' planes know.
    channel_axis : int, optional
        The axis of channels; without one, an axis too many at the end is colour.

    Raises
    ------
    InputError
        If the image has another number of axes.
    """
    shape = [int(side) for side in image.shape]
    if channel_axis is not None and -len(shape) <= channel_axis < len(shape):
        del shape[channel_axis]
    elif len(shape) == ndim + 1:
        del shape[-1]
    if len(shape) != ndim:
        raise InputError(f"The image of shape {tuple(image.shape)} does not have the {ndim} axes of this session.")
    return tuple(shape)


def plane_pixels(image: Any, plane: PlaneKey, channel_axis: int | None = None) -> NDArray[Any]:
    """Read one plane of an image: (H, W), or (H, W, C) with channels or colour behind; only it is read."""
    spatial_shape(image, plane.ndim, channel_axis)
    if channel_axis is None:
        return np.asarray(plane.view(image))
    first = channel_axis % len(image.shape)
    channels = []
    for channel in range(image.shape[first]):
        cut = image[(slice(None),) * first + (channel,)]
        channels.append(np.asarray(plane.view(cut)))
    return np.stack(channels, axis=-1)


def seen_pixels(image: Any, plane: PlaneKey, look: Appearance) -> NDArray[Any]:
    """What the network saw of a plane; the plane as it is, where one image does not give that.

    Raises
    ------
    InputError
        If the image has no such channels.
    """
    if look.missing_for_replay():
        return plane_pixels(image, plane)
    if look.channel_axis is None:
        return look.paint([plane_pixels(image, plane)])
    planes = [plane.moved(look.channel_axis, channel) for channel in look.channels]
    for one in planes:
        one.shape_in(spatial_shape(image, plane.ndim))
    return look.paint([plane_pixels(image, one) for one in planes])


def window_reader(image: Any, plane: PlaneKey, channel_axis: int | None = None) -> Any:
    """One plane of an image as :class:`LazyPlane`, channels behind; of a pyramid, a list of its levels."""
    if is_pyramid(image):
        return [window_reader(level, plane, channel_axis) for level in image]
    axes, index = plane.axes, list(plane.index)
    if channel_axis is None:
        return LazyPlane(image, axes, index)
    first = channel_axis % len(image.shape)
    index.insert(first, 0)
    rows, columns = (axis + (axis >= first) for axis in axes)
    return LazyPlane(image, (rows, columns), index, first)


def _given(image: Any, plane: PlaneKey, shape: tuple[int, int], look: Appearance, channel_axis: int | None) -> Any:
    """What the predictor is given of a plane of this shape: its pixels, or of a large one what reads them."""
    if is_large(shape) and look.plain:
        return window_reader(image, plane, channel_axis)
    finest = levels_of(image)[0]
    return seen_pixels(finest, plane, look) if channel_axis is None else plane_pixels(finest, plane, channel_axis)


def looks_missing(session: Session) -> list[str]:
    """What accepted objects were clicked on that one image does not give, each in a few words."""
    seen = {obj.settings.look.missing_for_replay() for obj in session.accepted if _asks(obj)}
    return sorted(seen - {""})


def orders_needed(session: Session) -> dict[str, dict[str, Any]]:
    """The depth maps that the accepted objects were answered with: what the session says of each, by its key."""
    said = session.order.get("maps", {})
    needed = {obj.settings.order for obj in session.accepted if _asks(obj) and obj.settings.order_strength > 0}
    return {key: said[key] if isinstance(said.get(key), dict) else {} for key in sorted(needed - {""})}


def _asks(obj: AnnotatedObject) -> bool:
    """Whether the network was asked: of a box alone it was, of a seed and brush strokes alone it was not."""
    return len(obj.clicks) > 0 or answerable(obj.clicks, obj.seed)


def play_session(
    session: Session, image: Any, predictor: Segments, orders: Mapping[str, NDArray[Any]] | None = None
) -> Iterator[Played]:
    """Play the accepted objects of a session, plane by plane, so that each is embedded once with each order.

    Parameters
    ----------
    session : Session
        ``view`` may hold ``channel_axis``.
    image : array
        Of any kind and number of axes; each plane with objects is read, a large one in windows. Of an image of a
        single plane it may be a list of the levels of a pyramid.
    predictor : Predictor
    orders : mapping of str to (H, W) array, optional
        Depth maps by their keys; see :func:`orders_needed`. Of one that is not here, the model's own is used.

    Raises
    ------
    InputError
        If an object's plane is not in the image, or it has nothing to be made from.
    """
    maps = orders or {}
    channel_axis = session.view.get("channel_axis")
    finest = levels_of(image)[0]
    planes: dict[tuple[PlaneKey, str, Appearance], list[AnnotatedObject]] = {}
    for obj in session.accepted:
        planes.setdefault((obj.plane, obj.settings.order, obj.settings.look), []).append(obj)
    for (plane, order, look), objects in planes.items():
        shape = plane.shape_in(spatial_shape(finest, plane.ndim, channel_axis))
        pixels = _given(image, plane, shape, look, channel_axis)
        replay: Replay | None = None
        for obj in objects:
            prediction = None
            if _asks(obj):
                if replay is None:  # planes of seeds and brush strokes alone need no network
                    given = {"depth": maps[order]} if order in maps else {}  # not every predictor takes one
                    predictor.set_image(pixels, channel_axis=None if channel_axis is None else 2, **given)
                    replay = Replay(predictor)
                strength = obj.settings.order_strength
                prediction = replay.answer(obj.clicks, seed=obj.seed, order_strength=strength)
            mask = obj.packed(None if prediction is None else pack_answer(prediction, shape, obj))
            if mask is None or obj.accepted is None:
                raise InputError(f"{obj.name} has no positive click, no seed and no brush strokes to be made from.")
            yield Played(obj, obj.accepted, mask)


def paint_session(played: list[Played], shape: tuple[int, ...]) -> dict[str, NDArray[np.int32]]:
    """Make label arrays of the objects played.

    Parameters
    ----------
    played : list of Played
        In any order.
    shape : tuple of int
        Of the image, without colour or channels.

    Returns
    -------
    dict of str to int32 array
        By the names of the targets; what other labels these held before any object is not in them.
    """
    arrays: dict[str, NDArray[np.int32]] = {}
    for one in sorted(played, key=lambda each: each.accepted.turn):
        accepted, written = one.accepted, one.written
        if accepted.target not in arrays:
            arrays[accepted.target] = np.zeros(shape, np.int32)
        labels = arrays[accepted.target]
        if written.box is None:
            continue
        top, left, bottom, right = written.box
        part = one.obj.plane.view(labels)[top:bottom, left:right]
        inside = written.window(written.box)
        if accepted.rule == "keep":  # where a mask came out larger than it was, it still takes nothing
            inside = inside & (part == 0)
        part[inside] = accepted.label
    return arrays
