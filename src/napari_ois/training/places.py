"""Rule: where a window lies in its image is drawn here, and becomes ONE affine map.

In use the network sees rectangles of the picture's own shape, and nothing beyond; windows do so too where they are
to stay `inside`. Otherwise they are squares that may reach beyond the image.
"""

from __future__ import annotations

import cv2
import numpy as np

from napari_ois.training.datasets import IGNORE_ID

Frame = tuple[int, int]
"""Rows and columns of a window."""

Place = tuple[float, float, float]
"""Centre (row, column) and longest side of a window, in pixels of the image that it is cut from."""

# the window is at most this many times the object's box
_WIDE, _CLOSE = 5.0, 2.2
# rarely: in photographs the ground is below, and order in depth is learnt from it
_UPSIDE_DOWN = 0.1
# a window enlarged further than this holds nothing but interpolation
_MOST_ZOOM = 6.0


def place_around(
    rng: np.random.Generator,
    labels: np.ndarray,
    group: np.ndarray,
    frame: Frame,
    sure: bool,
    *,
    whole: float,
    close: bool,
    inside: bool,
) -> Place:
    """Centre (row, column) and longest side of the window in the source image, in pixels."""
    height, width = labels.shape
    longest, shares = max(height, width), _shares(frame)
    fits = min(height / shares[0], width / shares[1])
    smallest = max(frame) / _MOST_ZOOM
    if not sure and whole and rng.random() < whole:
        if inside:
            return place_anywhere(rng, labels.shape, frame, inside, at_least=1.0)
        return (height - 1) / 2, (width - 1) / 2, float(longest)
    mask = member_of(labels, group)
    left, top, across, down = cv2.boundingRect(mask.view(np.uint8))
    row, column, box = top + (down - 1) / 2, left + (across - 1) / 2, max(down / shares[0], across / shares[1])
    if sure:
        return row, column, max(1.3 * box, smallest)
    widest = _CLOSE if close else _WIDE
    side = min(box * float(np.exp(rng.uniform(np.log(1.05), np.log(widest)))), fits if inside else 1.1 * longest)
    side = max(side, min(smallest, fits) if inside else smallest)
    rows, columns = side * shares[0], side * shares[1]
    # the centre has free play while the object stays inside, and a little beyond: it may be cut
    play_down = max(rows - down, 0.0) / 2 + 0.08 * down
    play_across = max(columns - across, 0.0) / 2 + 0.08 * across
    row += rng.uniform(-1, 1) * play_down
    column += rng.uniform(-1, 1) * play_across
    # looking far beyond the image only shows its edge going on
    slack = 0.0 if inside else 0.1
    return _inward(row, rows, height, slack), _inward(column, columns, width, slack), side


def _shares(frame: Frame) -> tuple[float, float]:
    """Rows and columns of a window as shares of the longer."""
    return frame[0] / max(frame), frame[1] / max(frame)


def place_anywhere(
    rng: np.random.Generator, shape: tuple[int, ...], frame: Frame, inside: bool, *, at_least: float = 0.5
) -> Place:
    """Anywhere, of at least this share of the image's size: of its longest side, or of what fits into it."""
    (height, width), shares = shape[:2], _shares(frame)
    most = min(height / shares[0], width / shares[1]) if inside else max(height, width)
    side = float(most * rng.uniform(at_least, 1.0))
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    return _inward(row, side * shares[0], height, 0.0), _inward(column, side * shares[1], width, 0.0), side


def _inward(centre: float, side: float, extent: int, slack: float = 0.1) -> float:
    low, high = side / 2 - 0.5 - slack * side, extent - side / 2 - 0.5 + slack * side
    if low > high:
        return (extent - 1) / 2
    return float(np.clip(centre, low, high))


def affine_of(rng: np.random.Generator, place: Place, frame: Frame, *, rotate: bool, inside: bool) -> np.ndarray:
    """(2, 3) map of a source pixel (column, row) to the window: flips, scale, aspect, rotation."""
    row, column, side = place
    zoom = max(frame) / side * (rng.uniform(1.0, 1.1) if inside else rng.uniform(0.92, 1.08))
    aspect = np.sqrt(rng.uniform(0.92, 1.08))
    angle = np.deg2rad(rng.uniform(-30, 30)) if rotate else 0.0
    flip_across = -1.0 if rng.random() < 0.5 else 1.0
    flip_down = -1.0 if rng.random() < _UPSIDE_DOWN else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([zoom * aspect * flip_across, zoom / aspect * flip_down])
    shift = (np.array(frame[::-1]) - 1) / 2 - linear @ np.array([column, row])
    return np.column_stack([linear, shift])


def zoom_of(matrix: np.ndarray) -> float:
    """Window pixels a source pixel, along a side."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def member_of(labels: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(H, W) bool: whether a pixel belongs to the group of ids."""
    if len(group) == 1:
        return labels == group[0]
    table = np.zeros(IGNORE_ID + 1, bool)
    table[group] = True
    return table[labels]


def whole_affine(rng: np.random.Generator, height: int, width: int, size: int) -> np.ndarray:
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
