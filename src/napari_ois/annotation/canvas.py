"""One rule: the labels show the accepted objects, the later over the earlier, and under them what was there before.

So a label array follows from the objects: when one is accepted, reopened, deleted, undone or redone, the
pixels it covers are compared before and after, and those that differ are written. A pixel that holds anything
else than it should - the user has painted there, another tool has written - is left alone.

Taking an object away therefore gives each of its pixels, as far as it is still the object's, back to whom it
was taken from: to the accepted object under it, or to the value that was there before any. A pixel that a
later object has stays with that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ois.annotation.objects import Accepted, AnnotatedObject
from napari_ois.annotation.packed import Box, PackedMask, common_box, joined_box
from napari_ois.annotation.planes import PlaneKey
from napari_ois.errors import InputError
from napari_ois.segmentation.lazy_plane import is_large

Objects = Mapping[int, AnnotatedObject]


class Canvas(Protocol):
    """Label arrays by name, as a document reads and writes them.

    A viewer writes with ``Labels.data_setitem(indices, values)``, so that its own undo works and only the box
    that changed is drawn. Labels that the user has taken away may read as zeros and let writes go by, so that
    the history can still be walked through.
    """

    def read(self, target: str, plane: PlaneKey) -> NDArray[Any]:
        """Labels on a plane, (H, W) integers; not changed by the document. InputError if there is none."""
        ...

    def highest(self, target: str) -> int:
        """Largest label in the whole array."""
        ...

    def limit(self, target: str) -> int:
        """Largest label that the array can hold."""
        ...

    def write(self, target: str, indices: tuple[NDArray[np.intp], ...], values: NDArray[np.int64]) -> None:
        """Do ``labels[indices] = values``; one (N,) array an axis, and (N,) values."""
        ...


class ArrayCanvas:
    """Label arrays in memory, changed in place; for scripts and tests.

    Parameters
    ----------
    arrays : dict of str to integer array, or one array
        One array is the target ``"labels"``.
    """

    def __init__(self, arrays: NDArray[Any] | dict[str, NDArray[Any]]) -> None:
        self.arrays = arrays if isinstance(arrays, dict) else {"labels": arrays}

    def read(self, target: str, plane: PlaneKey) -> NDArray[Any]:
        """See :class:`Canvas`."""
        array = self._array(target)
        plane.shape_in(array.shape)
        return np.asarray(plane.view(array))

    def highest(self, target: str) -> int:
        """See :class:`Canvas`."""
        return int(self._array(target).max(initial=0))

    def limit(self, target: str) -> int:
        """See :class:`Canvas`."""
        return int(np.iinfo(self._array(target).dtype).max)

    def write(self, target: str, indices: tuple[NDArray[np.intp], ...], values: NDArray[np.int64]) -> None:
        """See :class:`Canvas`."""
        self._array(target)[indices] = values

    def _array(self, target: str) -> NDArray[Any]:
        if target not in self.arrays:
            raise InputError(f'There are no labels named "{target}"; there are: {", ".join(self.arrays) or "none"}.')
        array = self.arrays[target]
        if array.dtype.kind not in "iu":
            raise InputError(f"Labels must be integers, not {array.dtype}; convert the array first.")
        return array


@dataclass(frozen=True)
class Place:
    """One plane of one label array."""

    target: str
    plane: PlaneKey


def places_of(objects: Objects) -> dict[Place, list[Accepted]]:
    """What was accepted on each place, the undermost first."""
    places: dict[Place, list[Accepted]] = {}
    for obj in objects.values():
        if obj.accepted is not None:
            places.setdefault(Place(obj.accepted.target, obj.plane), []).append(obj.accepted)
    return {place: sorted(layers, key=lambda accepted: accepted.turn) for place, layers in places.items()}


def accepted_on(objects: Objects, place: Place) -> list[Accepted]:
    """What was accepted on a place, the undermost first."""
    here = [obj.accepted for obj in objects.values() if obj.accepted is not None and obj.plane == place.plane]
    return sorted((one for one in here if one.target == place.target), key=lambda accepted: accepted.turn)


def shown(layers: Iterable[Accepted], box: Box, gone: Iterable[Accepted] = ()) -> NDArray[np.int64]:
    """What the labels should hold in a box of a plane.

    Parameters
    ----------
    layers : iterable of Accepted
        The objects there.
    box : Box
    gone : iterable of Accepted
        Objects that are not there now but were or will be: what they covered is known from them.

    Returns
    -------
    (h, w) int64, 0 where there is nothing.
    """
    present = [accepted for accepted in layers if common_box(accepted.box, box)]
    gone = [accepted for accepted in gone if common_box(accepted.box, box)]
    values = np.zeros((box[2] - box[0], box[3] - box[1]), np.int64)
    # Of one object before and after, the present one comes last.
    for accepted in sorted({*present, *gone}, key=lambda one: (one.turn, one in present)):
        for value, mask in accepted.ground:
            put(values, box, mask, value)
        if accepted in present:
            put(values, box, accepted.cleared, 0)
            put(values, box, accepted.written, accepted.label)
    return values


def put(values: NDArray[Any], box: Box, mask: PackedMask, value: Any) -> None:
    """Set the pixels of a mask in an array that is a box of its plane."""
    common = common_box(mask.box, box)
    if common is not None:
        top, left, bottom, right = common
        part = values[top - box[0] : bottom - box[0], left - box[1] : right - box[1]]
        part[mask.window(common)] = value


def repaint(before: Objects, after: Objects, canvas: Canvas) -> int:
    """Bring the labels from one set of objects to another.

    Returns
    -------
    int
        Pixels written.
    """
    places: dict[Place, list[Accepted]] = {}
    for number in {*before, *after}:
        was, now = _accepted(before, number), _accepted(after, number)
        if was is now or was == now:
            continue
        for objects, accepted in ((before, was), (after, now)):
            if accepted is not None:
                places.setdefault(Place(accepted.target, objects[number].plane), []).append(accepted)
    found = []
    were, are = (places_of(before), places_of(after)) if places else ({}, {})  # once for all slices of a stack
    for place, changed in places.items():
        found += _repaint_place(were.get(place, []), are.get(place, []), canvas, place, changed)
    return _write_all(canvas, found)


def paint_all(objects: Objects, canvas: Canvas) -> int:
    """Write all accepted objects into labels that do not have them: after a crash, or from a file.

    A pixel that already holds something else than what an object wrote over stays as it is; so does every pixel of an
    object of which labels show a part: they are as the user left them, perhaps corrected by hand.

    Returns
    -------
    int
        Pixels written.
    """
    found = []
    for place, layers in places_of(objects).items():
        found += [_paint_box(layers, canvas, place, box) for box in _boxes(layers)]
    return _write_all(canvas, found)


def _paint_box(layers: list[Accepted], canvas: Canvas, place: Place, box: Box) -> _Pixels | None:
    current, want = _read(canvas, place, box), shown(layers, box)
    ours = np.isin(current, [0, *(layer.label for layer in layers)])
    covered = np.zeros(ours.shape, bool)
    for layer in layers:
        if _is_there(layer, current, box):
            continue
        put(covered, box, layer.written, True)
        put(covered, box, layer.cleared, True)
        for value, mask in layer.ground:
            ours |= mask.window(box) & (current == value)
    return _differing(place, box, (want != current) & covered & ours, want)


def _is_there(layer: Accepted, current: NDArray[Any], box: Box) -> bool:
    """Whether labels show a part of an object that it has written: not what bore its label before."""
    own = layer.written.window(box) & (current == layer.label)
    for value, mask in layer.ground:
        if value == layer.label:
            own &= ~mask.window(box)
    return bool(own.any())


def _accepted(objects: Objects, number: int) -> Accepted | None:
    return objects[number].accepted if number in objects else None


_Pixels = tuple[str, tuple[NDArray[np.intp], ...], NDArray[np.int64]]
"""A target, its indices, and the values to write there."""


def _repaint_place(
    old: list[Accepted], new: list[Accepted], canvas: Canvas, place: Place, changed: list[Accepted]
) -> list[_Pixels | None]:
    found = []
    for box in _boxes(changed):
        have, want = shown(old, box, new), shown(new, box, old)
        found.append(_differing(place, box, (have != want) & (_read(canvas, place, box) == have), want))
    return found


def _boxes(layers: Iterable[Accepted]) -> list[Box]:
    """What is looked at to repaint objects: one box around all, or where that is large, one around each."""
    own = [layer.box for layer in layers if layer.box is not None]
    joined = joined_box(*own)
    if joined is None or not is_large((joined[2] - joined[0], joined[3] - joined[1])):
        return [] if joined is None else [joined]
    return own


def _read(canvas: Canvas, place: Place, box: Box) -> NDArray[Any]:
    return np.asarray(canvas.read(place.target, place.plane)[box[0] : box[2], box[1] : box[3]])


def _differing(place: Place, box: Box, where: NDArray[np.bool_], values: NDArray[np.int64]) -> _Pixels | None:
    rows, columns = np.nonzero(where)
    if not len(rows):
        return None
    return place.target, place.plane.indices(rows + box[0], columns + box[1]), values[where]


def _write_all(canvas: Canvas, found: Sequence[_Pixels | None]) -> int:
    """Write what differs, all of one target at once, so that it is one step of the viewer's own undo too."""
    by_target: dict[str, list[_Pixels]] = {}
    for pixels in found:
        if pixels is not None:
            by_target.setdefault(pixels[0], []).append(pixels)
    written = 0
    for target, parts in by_target.items():
        indices = tuple(np.concatenate(axis) for axis in zip(*(part[1] for part in parts), strict=True))
        values = np.concatenate([part[2] for part in parts])
        canvas.write(target, indices, values)
        written += len(values)
    return written


def visible_areas(layers: Sequence[Accepted]) -> dict[Accepted, int]:
    """How many pixels of each object of a place no later one covers; the undermost first."""
    boxes = np.array([one.written.box or (0, 0, 0, 0) for one in layers]).reshape(-1, 4)
    areas = {}
    for number, one in enumerate(layers):
        later = boxes[number + 1 :]
        meet = (later[:, :2] < boxes[number, 2:]).all(axis=1) & (later[:, 2:] > boxes[number, :2]).all(axis=1)
        box = one.written.box
        if box is None or not meet.any():
            areas[one] = one.written.area
            continue
        rest = one.written.window(box)
        for other in np.flatnonzero(meet):
            put(rest, box, layers[number + 1 + int(other)].written, False)
        areas[one] = int(rest.sum())
    return areas
