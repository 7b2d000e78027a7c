"""One rule: what an object may write is settled when it is accepted, and kept with it.

Rule "keep" denies it every pixel that holds a label; rule "overwrite" denies it none. An object seeded from a
label of the array that it is accepted into owns that label's pixels: it is refined in place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.annotation.canvas import Canvas, Objects, Place, accepted_on, shown
from napari_ois.annotation.objects import Accepted, AnnotatedObject
from napari_ois.annotation.packed import PackedMask, joined_box
from napari_ois.annotation.records import check_rule
from napari_ois.errors import InputError
from napari_ois.segmentation.lazy_plane import LARGE

MOST_PIXELS = 4 * LARGE
"""Pixels of the box of an object that can be accepted."""


class NothingFree(InputError):
    """Every pixel of a mask belongs to others."""


@dataclass(frozen=True)
class Overlap:
    """Where a mask would meet others.

    Attributes
    ----------
    free : int
        Pixels that nobody has.
    taken : dict of int to int
        Pixels on each label that is there.
    """

    free: int
    taken: dict[int, int]

    def __bool__(self) -> bool:
        return bool(self.taken)


def find_overlap(obj: AnnotatedObject, mask: PackedMask, target: str, canvas: Canvas) -> Overlap:
    """Say whose pixels a mask lies on; see :meth:`Document.overlap`."""
    if mask.box is None:
        return Overlap(0, {})
    top, left, bottom, right = mask.box
    inside = mask.window(mask.box)
    current = np.asarray(_plane(obj, mask, target, canvas)[top:bottom, left:right])[inside]
    values, counts = np.unique(current, return_counts=True)
    own = _own_label(obj, target)
    found = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
    free = sum(found.pop(value, 0) for value in {0, own})
    return Overlap(free, found)


def accept_object(
    obj: AnnotatedObject,
    mask: PackedMask,
    objects: Objects,
    canvas: Canvas,
    *,
    rule: str,
    target: str,
    score: float | None,
    turn: int,
) -> Accepted:
    """Find what an object writes; see :meth:`Document.accept`. Nothing is written here.

    Raises
    ------
    InputError
        If it cannot be accepted.
    """
    check_rule(rule)
    if not mask:
        raise InputError("There is no object to accept; click on one first.")
    check_extent(mask)
    labels = _plane(obj, mask, target, canvas)
    place = Place(target, obj.plane)
    label = _label(obj, place, objects, canvas)
    own = _own_label(obj, target)
    seed = obj.seed.mask if obj.seed is not None and own else PackedMask.empty(mask.shape)
    box = joined_box(mask.box, seed.box) or (0, 0, 0, 0)
    top, left, bottom, right = box
    current = np.asarray(labels[top:bottom, left:right]).astype(np.int64)
    inside = mask.window(box)
    mine = (current == own) & (own != 0)
    allowed = inside & ((current == 0) | mine) if rule == "keep" else inside
    if not allowed.any():
        raise NothingFree("Every pixel of this mask belongs to another object; nothing was written.")
    cleared = seed.window(box) & mine & ~inside
    expected = shown(accepted_on(objects, place), box)
    # Nothing at all is foreign too, where an accepted object should be: the user has erased it there.
    foreign = (current != expected) & (allowed | cleared)
    corner, shape = (top, left), mask.shape
    ground = tuple(
        (int(value), PackedMask.pack_window(foreign & (current == value), corner, shape))
        for value in np.unique(current[foreign])
    )
    return Accepted(
        label=label,
        target=target,
        rule=rule,
        turn=turn,
        written=PackedMask.pack_window(allowed, corner, shape),
        denied=PackedMask.pack_window(inside & ~allowed, corner, shape),
        cleared=PackedMask.pack_window(cleared, corner, shape),
        ground=ground,
        score=None if score is None else float(score),
    )


def withdraw(obj: AnnotatedObject, objects: Objects) -> list[AnnotatedObject]:
    """Hand on what only a leaving object knows: which values lay under it, where a later one still covers them.

    Returns
    -------
    list of AnnotatedObject
        The objects that inherit, with what they inherit.
    """
    accepted = obj.accepted
    if accepted is None or not accepted.ground:
        return []
    heirs = []
    left = list(accepted.ground)
    above = [o for o in objects.values() if o.accepted is not None and o.accepted.turn > accepted.turn]
    for heir in sorted(above, key=lambda one: one.accepted.turn if one.accepted else 0):
        has = heir.accepted
        if has is None or has.target != accepted.target or heir.plane != obj.plane:
            continue
        known = PackedMask.empty(has.written.shape)
        for _, mask in has.ground:
            known = known | mask
        covers = has.written | has.cleared
        news = [(value, (mask & covers) - known) for value, mask in left]
        news = [(value, mask) for value, mask in news if mask]
        left = [(value, mask - covers) for value, mask in left]
        if news:
            heirs.append(replace(heir, accepted=replace(has, ground=(*has.ground, *news))))
    return heirs


def check_extent(mask: PackedMask) -> None:
    """An object is written through a few arrays of its box's size; beyond memory that is refused, not tried."""
    top, left, bottom, right = mask.box or (0, 0, 0, 0)
    check_span(bottom - top, right - left)


def check_span(rows: int, columns: int) -> None:
    """As :func:`check_extent`, of the box alone."""
    if rows * columns > MOST_PIXELS:
        raise InputError(
            f"This object spans {rows} x {columns} pixels, more than can be written as labels at once "
            f"({MOST_PIXELS / 1e6:.0f} million); segment it on a coarser copy of the image."
        )


def _plane(obj: AnnotatedObject, mask: PackedMask, target: str, canvas: Canvas) -> NDArray[Any]:
    labels = canvas.read(target, obj.plane)
    if tuple(labels.shape) != mask.shape:
        raise InputError(
            f"The mask has shape {mask.shape} but the labels have {tuple(labels.shape)}; both must be of one image."
        )
    return labels


def _own_label(obj: AnnotatedObject, target: str) -> int:
    return obj.seed.label if obj.seed is not None and obj.seed.source == target else 0


def _label(obj: AnnotatedObject, place: Place, objects: Objects, canvas: Canvas) -> int:
    """The label it had, was to have, was seeded from, or has on other slices; else one that nobody has."""
    parts = (other.label for other in objects.values() if other.whole == obj.whole and other.label)
    label = obj.label or _own_label(obj, place.target) or next(parts, 0)
    if label:
        taken = {accepted.label for accepted in accepted_on(objects, place)}
        if label in taken:
            raise InputError(f"Label {label} belongs to another object of this plane; choose another label.")
    else:
        known = [other.label or 0 for other in objects.values()]
        label = max([canvas.highest(place.target), 0, *known]) + 1
    if label > canvas.limit(place.target):
        raise InputError(f"These labels hold no id {label}; use labels of a wider type.")
    return label
