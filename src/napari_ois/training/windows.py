"""Rule: a training window is cut by ONE affine map, the same for picture, ids and depth.

The same function serves packed photographs and synthetic scenes; they differ only in `kind`.
Outside of the image the picture's edge goes on, since a network that is used without padding should not learn to lean
on black bands; whole images of the paper's recipe are padded with zeros. Depth is unknown there, targets are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from napari_ois.errors import InputError
from napari_ois.training.augment import recolour, recolour_mildly
from napari_ois.training.datasets import IGNORE_ID
from napari_ois.training.places import (
    Frame,
    affine_of,
    member_of,
    place_anywhere,
    place_around,
    whole_affine,
    zoom_of,
)

IGNORE = 255
"""Value of target pixels that count for nothing."""
MIN_POSITIVE = 20
"""Fewest positive pixels of a target in its window."""
_ATTEMPTS = 8
WHOLE_IMAGE = 0.35
"""Share of windows that show the whole image."""
_ROTATED = 0.15
_MERGE_REGIONS = 0.1
# all parts are asked for as one where they are many, as of a car; of two, a nucleus in its cell, hardly
_MERGE_TWO, _MERGE_MORE = 0.1, 0.6
_SMOOTH_ZOOM = 1.4


class NoObject(InputError):
    """An image is fine, but has nothing to show; another one is drawn."""


@dataclass(frozen=True)
class Window:
    """One training sample, a square or a rectangle.

    Attributes
    ----------
    rgb : (h, w, 3) uint8
        The picture; outside of the image its edge goes on (windows), or it is zero (whole images).
    targets : (K, h, w) uint8
        One object a plane: 1 object, 0 not, 255 ignore. K is 1..max_objects, or 0 for an image of
        kind "none".
    depth : (h, w) float32 or None
        0..1, larger = nearer, NaN where unknown.
    valid : (h, w) bool
        Whether the pixel shows the image (and not padding).
    """

    rgb: np.ndarray
    targets: np.ndarray
    depth: np.ndarray | None
    valid: np.ndarray


def sample_window(
    rng: np.random.Generator,
    rgb: np.ndarray,
    ids: np.ndarray,
    depth: np.ndarray | None = None,
    *,
    size: int | Frame,
    kind: str = "instances",
    union_ok: bool = False,
    max_objects: int = 3,
    tight: float = 0.0,
    whole: float = WHOLE_IMAGE,
    inside: bool = False,
    augment: bool = True,
) -> Window:
    """Cut a random window round a random object.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every choice.
    rgb : (H, W, 3) uint8
    ids : (H, W) uint16 or int16
        0 background, 1..n objects, 65535 (or -1) ignore.
    depth : (H, W) uint16, float16 or float32, or None
        Larger = nearer. uint16: 0 unknown, 1..65535 stands for 0..1; floats: 0..1, NaN unknown.
    size : int or (int, int)
        Side of the window in pixels, or its rows and columns.
    kind : str
        "regions": two touching objects are merged now and then; "none": no objects, no targets.
    union_ok : bool
        Whether the union of all ids may be the target.
    max_objects : int
        Most targets of a window.
    tight : float
        Share of windows cut close around an object that is drawn by its area, so that large objects are
        seen as often as the many small ones.
    whole : float
        Share of the other windows that show the whole image.
    inside : bool
        Keep windows within the picture, as every view in use is; a whole image is then as much of it as has the
        window's shape. Else windows may reach beyond.
    augment : bool
        Jitter the colours too.

    Returns
    -------
    Window

    Raises
    ------
    NoObject
        When the image has no object that could be shown with at least 20 pixels.
    """
    frame = (size, size) if isinstance(size, int) else size
    # the same bytes, with -1 turned into 65535: one convention for scenes and photographs
    labels = ids.view(np.uint16) if ids.dtype == np.int16 else np.asarray(ids, np.uint16)
    if kind == "none":
        matrix = affine_of(rng, place_anywhere(rng, labels.shape, frame, inside), frame, rotate=False, inside=inside)
        nothing = np.zeros((0, *frame), np.uint8)
        return _finish(rng, rgb, depth, matrix, nothing, labels.shape, augment)
    counts = np.bincount(labels.ravel())[:IGNORE_ID]
    counts[0] = 0
    present = np.flatnonzero(counts >= MIN_POSITIVE)
    if not len(present):
        raise NoObject("This image holds no object of 20 pixels or more to cut a window around.")
    close = tight > 0 and rng.random() < tight
    shares = counts[present] / counts[present].sum() if close else None
    for attempt in range(_ATTEMPTS + 1):
        # the last attempt is the sure one: the largest object, centred and whole
        sure = attempt == _ATTEMPTS
        first = int(counts.argmax()) if sure else int(rng.choice(present, p=shares))
        group = np.array([first]) if sure else _group(rng, labels, first, counts, kind, union_ok)
        place = place_around(
            rng, labels, group, frame, sure, whole=0.0 if close else whole, close=close, inside=inside and not sure
        )
        matrix = affine_of(rng, place, frame, rotate=not sure and rng.random() < _ROTATED, inside=inside and not sure)
        targets = _targets(rng, labels, matrix, frame, group, max_objects, sure)
        if len(targets):
            return _finish(rng, rgb, depth, matrix, targets, labels.shape, augment)
    raise NoObject("No object of this image shows 20 pixels or more; draw another image.")


def sample_whole(
    rng: np.random.Generator,
    rgb: np.ndarray,
    ids: np.ndarray,
    depth: np.ndarray | None = None,
    *,
    size: int,
    max_objects: int = 1,
    augment: bool = True,
) -> Window:
    """Show the whole image as SegNext does: longest side to ``size``, the rest of the square empty.

    Flipped along an axis or both, turned by right angles (one picture in two each), moved by up to 3 % and
    turned by up to 3 degrees (three in four), mildly recoloured. SegNext's random resize comes before its
    resize to the longest side and so changes nothing but the sharpness; it is left out.

    Parameters are those of :func:`sample_window`.

    Raises
    ------
    NoObject
        When no object shows at least 20 pixels.
    """
    labels = ids.view(np.uint16) if ids.dtype == np.int16 else np.asarray(ids, np.uint16)
    present = np.unique(labels)
    present = present[(present > 0) & (present < IGNORE_ID)]
    if not len(present):
        raise NoObject("This image holds no object; draw another image.")
    matrix = whole_affine(rng, labels.shape[0], labels.shape[1], size)
    targets = _targets(rng, labels, matrix, (size, size), rng.choice(present, 1), max_objects, sure=True)
    if not len(targets):
        raise NoObject("No object of this image shows 20 pixels or more; draw another image.")
    return _finish(rng, rgb, depth, matrix, targets, labels.shape, augment, colours=recolour_mildly, bands=True)


def _group(
    rng: np.random.Generator,
    labels: np.ndarray,
    first: int,
    counts: np.ndarray,
    kind: str,
    union_ok: bool,
) -> np.ndarray:
    """Ids that together are the object: one, or at times two touching regions, or all."""
    if union_ok:
        every = np.flatnonzero(counts)
        if rng.random() < (_MERGE_MORE if len(every) > 2 else _MERGE_TWO):
            return every
    if kind == "regions" and rng.random() < _MERGE_REGIONS:
        mask = (labels == first).view(np.uint8)
        ring = cv2.dilate(mask, np.ones((3, 3), np.uint8)) > mask
        near = np.unique(labels[ring])
        near = near[(near > 0) & (near < IGNORE_ID)]
        if len(near):
            return np.array([first, int(rng.choice(near))])
    return np.array([first])


def _targets(
    rng: np.random.Generator,
    labels: np.ndarray,
    matrix: np.ndarray,
    frame: Frame,
    group: np.ndarray,
    max_objects: int,
    sure: bool,
) -> np.ndarray:
    """(K, *frame) uint8: the group, then other objects; empty if the group got too small."""
    pixels = frame[0] * frame[1]
    window = _warp(labels, matrix, frame, cv2.INTER_NEAREST, IGNORE_ID)
    counts = np.bincount(window.ravel(), minlength=IGNORE_ID + 1)
    # a target without background teaches little; it is taken only where the image has no other
    limit = pixels if sure else int((pixels - counts[IGNORE_ID]) * 0.98)
    if not MIN_POSITIVE <= counts[group].sum() <= limit:
        return np.zeros((0, *frame), np.uint8)
    ignored = window == IGNORE_ID
    chosen = [group]
    counts[0] = counts[IGNORE_ID] = counts[group] = 0
    others = np.flatnonzero((counts >= MIN_POSITIVE) & (counts <= limit))
    take = max(0, min(max_objects - 1, len(others)))
    chosen += [np.array([i]) for i in rng.choice(others, take, replace=False)]
    enlarged = zoom_of(matrix) > _SMOOTH_ZOOM
    targets = np.empty((len(chosen), *frame), np.uint8)
    for plane, members in zip(targets, chosen, strict=True):
        if enlarged:
            # nearest would teach the steps of enlarged pixels; half an interpolated mask is smooth
            whole = member_of(labels, members).view(np.uint8) * np.uint8(255)
            # replicated, lest the border fade half a source pixel before the image ends
            smooth = cv2.warpAffine(whole, matrix, frame[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            plane[:] = smooth > 127
        else:
            plane[:] = member_of(window, members)
        plane[ignored] = IGNORE
    enough = (targets == 1).sum(axis=(1, 2)) >= MIN_POSITIVE
    return targets[enough] if enough[0] else targets[:0]


def _finish(
    rng: np.random.Generator,
    rgb: np.ndarray,
    depth: np.ndarray | None,
    matrix: np.ndarray,
    targets: np.ndarray,
    shape: tuple[int, int],
    augment: bool,
    colours: Callable[[np.random.Generator, np.ndarray], np.ndarray] = recolour,
    bands: bool = False,
) -> Window:
    frame = (targets.shape[1], targets.shape[2])
    picture = _warp_picture(rgb, matrix, frame)
    valid = _warp(np.ones(shape, np.uint8), matrix, frame, cv2.INTER_NEAREST, 0).astype(bool)
    if augment:
        picture = colours(rng, picture)
    if bands:
        picture[~valid] = 0
    near = None if depth is None else _warp_depth(depth, matrix, frame)
    return Window(rgb=picture, targets=targets, depth=near, valid=valid)


def _warp_picture(rgb: np.ndarray, matrix: np.ndarray, frame: Frame) -> np.ndarray:
    """Warp with antialiasing: bilinear sampling alone skips pixels when the image shrinks."""
    zoom = zoom_of(matrix)
    if zoom < 0.75:
        height, width = rgb.shape[:2]
        small = (max(1, round(width * zoom)), max(1, round(height * zoom)))
        ratio = np.array([small[0] / width, small[1] / height])
        rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
        # pixel centres: x_small + 0.5 = (x + 0.5) * ratio
        linear = matrix[:, :2] / ratio
        shift = matrix[:, 2] + linear @ (0.5 - 0.5 * ratio)
        matrix = np.column_stack([linear, shift])
    return cv2.warpAffine(rgb, matrix, frame[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _warp_depth(depth: np.ndarray, matrix: np.ndarray, frame: Frame) -> np.ndarray:
    if depth.dtype == np.uint16:
        raw = _warp(depth, matrix, frame, cv2.INTER_NEAREST, 0)
        return np.where(raw > 0, (raw.astype(np.float32) - 1) / 65534, np.float32(np.nan))
    return _warp(depth.astype(np.float32), matrix, frame, cv2.INTER_NEAREST, float("nan"))


def _warp(array: np.ndarray, matrix: np.ndarray, frame: Frame, flags: int, border: float) -> np.ndarray:
    return cv2.warpAffine(array, matrix, frame[::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border)
