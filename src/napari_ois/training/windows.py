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

IGNORE = 255
"""Value of target pixels that count for nothing."""
MIN_POSITIVE = 20
"""Fewest positive pixels of a target in its window."""
_ATTEMPTS = 8
WHOLE_IMAGE = 0.35
"""Share of windows that show the whole image."""
_ROTATED = 0.15
_MERGE_REGIONS = 0.35
# the window is at most this many times the object's box
_WIDE, _CLOSE = 5.0, 2.2
_MERGE_ALL = 0.30
# rarely: in photographs the ground is below, and order in depth is learnt from it
_UPSIDE_DOWN = 0.1
_SMOOTH_ZOOM = 1.4
# a window enlarged further than this holds nothing but interpolation
_MOST_ZOOM = 6.0


class NoObject(InputError):
    """An image is fine, but has nothing to show; another one is drawn."""


@dataclass(frozen=True)
class Window:
    """One square training sample.

    Attributes
    ----------
    rgb : (S, S, 3) uint8
        The picture; outside of the image its edge goes on (windows), or it is zero (whole images).
    targets : (K, S, S) uint8
        One object a plane: 1 object, 0 not, 255 ignore. K is 1..max_objects, or 0 for an image of
        kind "none".
    depth : (S, S) float32 or None
        0..1, larger = nearer, NaN where unknown.
    valid : (S, S) bool
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
    size: int,
    kind: str = "instances",
    union_ok: bool = False,
    max_objects: int = 3,
    tight: float = 0.0,
    whole: float = WHOLE_IMAGE,
    augment: bool = True,
) -> Window:
    """Cut a random square window round a random object.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every choice.
    rgb : (H, W, 3) uint8
    ids : (H, W) uint16 or int16
        0 background, 1..n objects, 65535 (or -1) ignore.
    depth : (H, W) uint16, float16 or float32, or None
        Larger = nearer. uint16: 0 unknown, 1..65535 stands for 0..1; floats: 0..1, NaN unknown.
    size : int
        Side of the window in pixels.
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
    # the same bytes, with -1 turned into 65535: one convention for scenes and photographs
    labels = ids.view(np.uint16) if ids.dtype == np.int16 else np.asarray(ids, np.uint16)
    if kind == "none":
        matrix = _affine(rng, _random_square(rng, *labels.shape), size, rotate=False)
        nothing = np.zeros((0, size, size), np.uint8)
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
        square = _square(rng, labels, group, size / _MOST_ZOOM, sure, whole=0.0 if close else whole, close=close)
        matrix = _affine(rng, square, size, rotate=not sure and rng.random() < _ROTATED)
        targets = _targets(rng, labels, matrix, size, group, max_objects, sure)
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
    matrix = _whole_affine(rng, labels.shape[0], labels.shape[1], size)
    targets = _targets(rng, labels, matrix, size, rng.choice(present, 1), max_objects, sure=True)
    if not len(targets):
        raise NoObject("No object of this image shows 20 pixels or more; draw another image.")
    return _finish(rng, rgb, depth, matrix, targets, labels.shape, augment, colours=recolour_mildly, bands=True)


def _whole_affine(rng: np.random.Generator, height: int, width: int, size: int) -> np.ndarray:
    """(2, 3) map of a source pixel (column, row) to the window, the picture in its upper left corner."""
    zoom = size / max(height, width)
    flips = [(1, 1), (-1, 1), (1, -1), (-1, -1)][int(rng.integers(1, 4)) if rng.random() < 0.5 else 0]
    quarters = int(rng.integers(4)) if rng.random() < 0.5 else 0
    across, down = (width * zoom, height * zoom) if quarters % 2 == 0 else (height * zoom, width * zoom)
    centre = np.array([(across - 1) / 2, (down - 1) / 2])
    angle = quarters * np.pi / 2
    if rng.random() < 0.75:
        centre = centre + rng.uniform(-0.03, 0.03, 2) * (across, down)
        angle += np.deg2rad(rng.uniform(-3, 3))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([zoom * flips[0], zoom * flips[1]])
    return np.column_stack([linear, centre - linear @ np.array([(width - 1) / 2, (height - 1) / 2])])


def _group(
    rng: np.random.Generator,
    labels: np.ndarray,
    first: int,
    counts: np.ndarray,
    kind: str,
    union_ok: bool,
) -> np.ndarray:
    """Ids that together are the object: one, or at times two touching regions, or all."""
    if union_ok and rng.random() < _MERGE_ALL:
        return np.flatnonzero(counts)
    if kind == "regions" and rng.random() < _MERGE_REGIONS:
        mask = (labels == first).view(np.uint8)
        ring = cv2.dilate(mask, np.ones((3, 3), np.uint8)) > mask
        near = np.unique(labels[ring])
        near = near[(near > 0) & (near < IGNORE_ID)]
        if len(near):
            return np.array([first, int(rng.choice(near))])
    return np.array([first])


def _square(
    rng: np.random.Generator,
    labels: np.ndarray,
    group: np.ndarray,
    smallest: float,
    sure: bool,
    *,
    whole: float,
    close: bool,
) -> tuple[float, float, float]:
    """Centre (row, column) and side of the window in the source image, in pixels."""
    height, width = labels.shape
    longest = max(height, width)
    if not sure and whole and rng.random() < whole:
        return (height - 1) / 2, (width - 1) / 2, float(longest)
    mask = _member(labels, group)
    left, top, across, down = cv2.boundingRect(mask.view(np.uint8))
    row, column, box = top + (down - 1) / 2, left + (across - 1) / 2, max(across, down)
    if sure:
        return row, column, max(1.3 * box, smallest)
    widest = _CLOSE if close else _WIDE
    side = min(box * float(np.exp(rng.uniform(np.log(1.05), np.log(widest)))), 1.1 * longest)
    side = max(side, smallest)
    # the centre has free play while the object stays inside, and a little beyond: it may be cut
    play_down = max(side - down, 0.0) / 2 + 0.08 * down
    play_across = max(side - across, 0.0) / 2 + 0.08 * across
    row += rng.uniform(-1, 1) * play_down
    column += rng.uniform(-1, 1) * play_across
    # looking far beyond the image only shows padding
    return _inward(row, side, height), _inward(column, side, width), side


def _random_square(rng: np.random.Generator, height: int, width: int) -> tuple[float, float, float]:
    side = max(height, width) * rng.uniform(0.5, 1.0)
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    return _inward(row, side, height, 0.0), _inward(column, side, width, 0.0), side


def _inward(centre: float, side: float, extent: int, slack: float = 0.1) -> float:
    low, high = side / 2 - 0.5 - slack * side, extent - side / 2 - 0.5 + slack * side
    if low > high:
        return (extent - 1) / 2
    return float(np.clip(centre, low, high))


def _affine(rng: np.random.Generator, square: tuple[float, float, float], size: int, *, rotate: bool) -> np.ndarray:
    """(2, 3) map of a source pixel (column, row) to the window: flips, scale, aspect, rotation."""
    row, column, side = square
    zoom = size / side * rng.uniform(0.92, 1.08)
    aspect = np.sqrt(rng.uniform(0.92, 1.08))
    angle = np.deg2rad(rng.uniform(-30, 30)) if rotate else 0.0
    flip_across = -1.0 if rng.random() < 0.5 else 1.0
    flip_down = -1.0 if rng.random() < _UPSIDE_DOWN else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([zoom * aspect * flip_across, zoom / aspect * flip_down])
    shift = (size - 1) / 2 - linear @ np.array([column, row])
    return np.column_stack([linear, shift])


def _zoom(matrix: np.ndarray) -> float:
    """Window pixels a source pixel, along a side."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def _member(labels: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(H, W) bool: whether a pixel belongs to the group of ids."""
    if len(group) == 1:
        return labels == group[0]
    table = np.zeros(IGNORE_ID + 1, bool)
    table[group] = True
    return table[labels]


def _targets(
    rng: np.random.Generator,
    labels: np.ndarray,
    matrix: np.ndarray,
    size: int,
    group: np.ndarray,
    max_objects: int,
    sure: bool,
) -> np.ndarray:
    """(K, size, size) uint8: the group, then other objects; empty if the group got too small."""
    window = _warp(labels, matrix, size, cv2.INTER_NEAREST, IGNORE_ID)
    counts = np.bincount(window.ravel(), minlength=IGNORE_ID + 1)
    # a target without background teaches little; it is taken only where the image has no other
    limit = size * size if sure else int((size * size - counts[IGNORE_ID]) * 0.98)
    if not MIN_POSITIVE <= counts[group].sum() <= limit:
        return np.zeros((0, size, size), np.uint8)
    ignored = window == IGNORE_ID
    chosen = [group]
    counts[0] = counts[IGNORE_ID] = counts[group] = 0
    others = np.flatnonzero((counts >= MIN_POSITIVE) & (counts <= limit))
    take = max(0, min(max_objects - 1, len(others)))
    chosen += [np.array([i]) for i in rng.choice(others, take, replace=False)]
    enlarged = _zoom(matrix) > _SMOOTH_ZOOM
    targets = np.empty((len(chosen), size, size), np.uint8)
    for plane, members in zip(targets, chosen, strict=True):
        if enlarged:
            # nearest would teach the steps of enlarged pixels; half an interpolated mask is smooth
            whole = _member(labels, members).view(np.uint8) * np.uint8(255)
            # replicated, lest the border fade half a source pixel before the image ends
            smooth = cv2.warpAffine(
                whole, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            plane[:] = smooth > 127
        else:
            plane[:] = _member(window, members)
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
    size = targets.shape[1]
    picture = _warp_picture(rgb, matrix, size)
    valid = _warp(np.ones(shape, np.uint8), matrix, size, cv2.INTER_NEAREST, 0).astype(bool)
    if augment:
        picture = colours(rng, picture)
    if bands:
        picture[~valid] = 0
    near = None if depth is None else _warp_depth(depth, matrix, size)
    return Window(rgb=picture, targets=targets, depth=near, valid=valid)


def _warp_picture(rgb: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Warp with antialiasing: bilinear sampling alone skips pixels when the image shrinks."""
    zoom = _zoom(matrix)
    if zoom < 0.75:
        height, width = rgb.shape[:2]
        small = (max(1, round(width * zoom)), max(1, round(height * zoom)))
        ratio = np.array([small[0] / width, small[1] / height])
        rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
        # pixel centres: x_small + 0.5 = (x + 0.5) * ratio
        linear = matrix[:, :2] / ratio
        shift = matrix[:, 2] + linear @ (0.5 - 0.5 * ratio)
        matrix = np.column_stack([linear, shift])
    return cv2.warpAffine(rgb, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _warp_depth(depth: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    if depth.dtype == np.uint16:
        raw = _warp(depth, matrix, size, cv2.INTER_NEAREST, 0)
        return np.where(raw > 0, (raw.astype(np.float32) - 1) / 65534, np.float32(np.nan))
    return _warp(depth.astype(np.float32), matrix, size, cv2.INTER_NEAREST, float("nan"))


def _warp(array: np.ndarray, matrix: np.ndarray, size: int, flags: int, border: float) -> np.ndarray:
    return cv2.warpAffine(array, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border)
