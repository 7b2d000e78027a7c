"""One rule: what is drawn - a scribble, a box, a mask - becomes a few clicks, always the same for the same drawing.

Pure geometry: row and column in pixels of the plane, pixel centres at integers. The click that says most comes
first, since clicks are played in their order: the one in the middle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.annotation.clicks import NO_CLICKS, Click, Clicks
from napari_ois.annotation.packed import PackedMask
from napari_ois.errors import InputError

SCRIBBLE_SPACING = 1 / 16
"""Distance of clicks along a scribble, in longest sides of the plane."""
SCRIBBLE_LIMIT = 8
BOX_MARGIN = 0.06
"""Distance of negative clicks from a box, in its longer side; at least two pixels."""
BESIDE = 0.2
"""A negative click nearer to a place than this, in sides of the object's box, is about that place."""
FINE_BELOW = 1_000_000
"""Masks whose box has more pixels are looked through in steps of several pixels."""


def scribble_clicks(
    path: ArrayLike,
    shape: tuple[int, int],
    *,
    positive: bool = True,
    spacing: float | None = None,
    limit: int = SCRIBBLE_LIMIT,
) -> Clicks:
    """Turn a scribble into clicks.

    The line is cut into equal parts of about ``spacing`` pixels, at most ``limit`` of them, and the middle of
    each part becomes a click; so its ends, which are drawn least exactly, do not. They are played from the
    middle of the line outwards. What lies outside of the plane is moved to its border; of clicks on one
    pixel, one is kept.

    Parameters
    ----------
    path : (N, 2) array
        Corners of the line, row and column, in the order drawn.
    shape : (int, int)
        Rows and columns of the plane.
    positive : bool
    spacing : float, optional
        In pixels; by default a 16th of the plane's longest side.
    limit : int

    Raises
    ------
    InputError
        If there is no point, or one is not finite.
    """
    corners = _points(path, "A scribble")
    step = max(shape) * SCRIBBLE_SPACING if spacing is None else spacing
    if limit < 1 or not step > 0:
        raise InputError(f"A scribble cannot be cut into {limit} clicks {step} pixels apart; give positive numbers.")
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    count = int(np.clip(round(lengths[-1] / step), 1, limit))
    places = (np.arange(count) + 0.5) / count * lengths[-1]
    order = np.argsort(np.abs(places - lengths[-1] / 2).round(9), kind="stable")
    rows, columns = (np.interp(places[order], lengths, corners[:, axis]) for axis in (0, 1))
    high = np.asarray(shape) - 1.0
    points = np.clip(np.stack([rows, columns], axis=1), 0.0, high)
    clicks: dict[tuple[int, int], Click] = {}
    for row, column in points:
        clicks.setdefault((round(row), round(column)), Click(float(row), float(column), positive))
    return Clicks(tuple(clicks.values()))


def box_clicks(box: ArrayLike, shape: tuple[int, int], *, corners: bool = True) -> Clicks:
    """Turn a box drawn around an object into clicks.

    One positive click in its middle, then negative clicks a little outside of the middles of its edges (top,
    right, bottom, left) and of its corners (clockwise from the top left), as far as they lie on the plane: an
    edge of the image needs none.

    Parameters
    ----------
    box : (N, 2) array
        Two opposite corners or all of them, row and column, in any order.
    shape : (int, int)
        Rows and columns of the plane.
    corners : bool
        Whether the corners get clicks as well.

    Raises
    ------
    InputError
        If the box has no extent, or its middle is outside of the plane.
    """
    points = _points(box, "A box")
    (top, left), (bottom, right) = points.min(axis=0), points.max(axis=0)
    row, column = (top + bottom) / 2, (left + right) / 2
    if top == bottom or left == right:
        raise InputError("This box has no extent; draw it around the object.")
    if not _inside(row, column, shape):
        raise InputError("The middle of this box is outside of the image; draw it around the object.")
    clicks = [Click(row, column), *_around((top, left, bottom, right), shape, corners)]
    return Clicks(tuple(clicks))


def on_plane(box: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Corners of what of a box lies on the plane; of a box that lies beside it, its own.

    Raises
    ------
    InputError
        If the box is not a list of points.
    """
    points = _points(box, "A box")
    seen = np.clip(points, 0.0, np.asarray(shape) - 1.0)
    return seen if np.ptp(seen, axis=0).all() else points


def mask_clicks(mask: ArrayLike | PackedMask, *, positives: int = 1, negatives: bool = False) -> Clicks:
    """Turn a mask into clicks, for the next slice of a stack.

    Parameters
    ----------
    mask : (H, W) array or PackedMask
        With at least one pixel.
    positives : int
        The first lies deepest inside; each further one deepest in what is left when a disk around the one
        before, as deep as it lies, is taken out.
    negatives : bool
        Whether there are negative clicks around its box, as :func:`box_clicks` puts them, without those on
        the mask.

    Raises
    ------
    InputError
        If the mask is empty.
    """
    packed = mask if isinstance(mask, PackedMask) else PackedMask.pack(mask)
    if packed.box is None:
        raise InputError("An empty mask gives no clicks.")
    top, left, bottom, right = packed.box
    window = packed.window(packed.box)
    clicks: list[Click] = []
    rows, columns = np.ogrid[: bottom - top, : right - left]
    for _ in range(positives):
        if not window.any():
            break
        row, column, depth = _deepest(window)
        clicks.append(Click(float(top + row), float(left + column)))
        window = window & ((rows - row) ** 2 + (columns - column) ** 2 > depth**2)
    if negatives:
        box = (float(top), float(left), bottom - 1.0, right - 1.0)
        clicks += [c for c in _around(box, packed.shape, False) if not _holds(packed, round(c.row), round(c.column))]
    return Clicks(tuple(clicks))


def deepest_point(mask: ArrayLike | PackedMask, negatives: Clicks = NO_CLICKS) -> tuple[float, float]:
    """Row and column of the pixel of a mask that is farthest from what is not the mask, the plane's edge too.

    Parameters
    ----------
    mask : (H, W) array or PackedMask
        With at least one pixel.
    negatives : Clicks
        What is beside one of them counts only where nothing else is left; see :func:`is_beside`.
    """
    packed = mask if isinstance(mask, PackedMask) else PackedMask.pack(mask)
    if packed.box is None:
        raise InputError("An empty mask has no middle.")
    window = packed.window(packed.box)
    rows, columns = (np.arange(start, stop) for start, stop in zip(packed.box[:2], packed.box[2:], strict=True))
    left = window.copy()
    for click in negatives:
        left &= ~is_beside(click, rows[:, None], columns, packed.box)
    row, column, _ = _deepest(left if left.any() else window)
    return float(rows[row]), float(columns[column])


def is_beside(click: Click, row: Any, column: Any, box: tuple[int, int, int, int]) -> Any:
    """Whether a click lies within a fifth of an object's box of a place, whatever the box's proportions.

    Parameters
    ----------
    click : Click
    row, column : float, or arrays that go together
    box : (top, left, bottom, right)
    """
    height, width = box[2] - box[0], box[3] - box[1]
    return ((row - click.row) / height) ** 2 + ((column - click.column) / width) ** 2 < BESIDE**2


def _holds(mask: PackedMask, row: int, column: int) -> bool:
    return bool(mask.window((row, column, row + 1, column + 1)).any())


def _deepest(window: NDArray[np.bool_]) -> tuple[int, int, float]:
    from scipy.ndimage import distance_transform_edt

    step = max(1, int(np.ceil(np.sqrt(window.size / FINE_BELOW))))
    coarse = window[::step, ::step]
    if not coarse.any():  # thin as a thread
        step, coarse = 1, window
    depth = distance_transform_edt(np.pad(coarse, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(row) * step, int(column) * step, float(depth[row, column]) * step


def _around(box: tuple[float, float, float, float], shape: tuple[int, int], corners: bool) -> list[Click]:
    top, left, bottom, right = box
    margin = max(2.0, BOX_MARGIN * max(bottom - top, right - left))
    rows = (top - margin, (top + bottom) / 2, bottom + margin)
    columns = (left - margin, (left + right) / 2, right + margin)
    places = [(0, 1), (1, 2), (2, 1), (1, 0)] + ([(0, 0), (0, 2), (2, 2), (2, 0)] if corners else [])
    found = [(rows[r], columns[c]) for r, c in places]
    return [Click(float(row), float(column), False) for row, column in found if _inside(row, column, shape)]


def _inside(row: float, column: float, shape: tuple[int, int]) -> bool:
    return 0 <= row <= shape[0] - 1 and 0 <= column <= shape[1] - 1


def _points(values: ArrayLike, what: str) -> NDArray[np.float64]:
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise InputError(f"{what} must be a list of points with row and column, not of shape {points.shape}.")
    return points
