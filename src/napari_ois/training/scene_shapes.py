"""Outlines of objects: every shape is drawn into the box it is given and depends only on its generator.

Two calls with generators in the same state draw the same shape, which is how look-alikes are made.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

_SHIFT = 4  # fractional bits of OpenCV's polygon coordinates


def fill(mask: np.ndarray, points: np.ndarray, value: int = 255) -> None:
    """Fill a polygon given as (N, 2) row, column with smooth edges, in place."""
    corners = np.round(points[:, ::-1] * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [corners], value, cv2.LINE_AA, _SHIFT)


def outline(rng: np.random.Generator, bumps: float, corners: int = 40) -> np.ndarray:
    """Return a smooth closed outline, (corners, 2) row, column, that fills [-1, 1] squared."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = np.ones(corners)
    for wave in range(2, 6):
        radius += bumps / wave * rng.normal() * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    radius = np.maximum(radius, 0.25)[:, None]
    points = radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    low, high = points.min(axis=0), points.max(axis=0)
    return 2 * (points - low) / (high - low) - 1


def _place(points: np.ndarray, shape: tuple[int, int], turn: float = 0.0) -> np.ndarray:
    rows, columns = points[:, 0], points[:, 1]
    turned = np.stack(
        [
            rows * np.cos(turn) + columns * np.sin(turn),
            columns * np.cos(turn) - rows * np.sin(turn),
        ],
        axis=1,
    )
    half = (np.array(shape) - 1) / 2
    return half + turned * (half - 0.5)


def _box(low_row: float, low_column: float, high_row: float, high_column: float) -> np.ndarray:
    return np.array(
        [
            [low_row, low_column],
            [low_row, high_column],
            [high_row, high_column],
            [high_row, low_column],
        ]
    )


def blob(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw a smooth blob."""
    fill(mask, _place(outline(rng, rng.uniform(0.05, 0.6)), mask.shape))


def polygon(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw a polygon of three to eight corners."""
    count = int(rng.integers(3, 9))
    angle = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) * 2 * np.pi / count
    radius = rng.uniform(0.55, 1.0, (count, 1))
    fill(mask, _place(radius * np.stack([np.sin(angle), np.cos(angle)], axis=1), mask.shape))


def rectangle(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw an upright or a turned rectangle."""
    turn = 0.0 if rng.random() < 0.5 else rng.uniform(-0.7, 0.7)
    reach = 1 / (abs(np.cos(turn)) + abs(np.sin(turn)))
    fill(mask, _place(_box(-reach, -reach, reach, reach), mask.shape, turn))


def star(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw a star of four to nine rays."""
    count = 2 * int(rng.integers(4, 10))
    angle = np.arange(count) * 2 * np.pi / count + rng.uniform(0, 1)
    radius = np.where(np.arange(count) % 2, rng.uniform(0.3, 0.7), 1.0)[:, None]
    fill(mask, _place(radius * np.stack([np.sin(angle), np.cos(angle)], axis=1), mask.shape))


def ring(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw a ring, or a body with several holes through which the background is seen."""
    bumps = rng.uniform(0, 0.3)
    state = outline(rng, bumps)
    fill(mask, _place(state, mask.shape))
    if rng.random() < 0.6:
        fill(mask, _place(state * rng.uniform(0.4, 0.8), mask.shape), 0)
        return
    for _ in range(int(rng.integers(2, 5))):
        hole = outline(rng, 0.2, 24) * rng.uniform(0.12, 0.3)
        fill(mask, _place(hole + rng.uniform(-0.5, 0.5, 2), mask.shape), 0)


def glyph(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw one to three letters."""
    letters = rng.choice(list("ABCDEFGHKLMNPRSTUVXYZ2345679&?"), int(rng.integers(1, 4)))
    word = "".join(letters)
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
    height, width = mask.shape
    thick = max(int(min(height, width / len(word)) * rng.uniform(0.1, 0.22)), 2)
    (wide, tall), _ = cv2.getTextSize(word, font, 1.0, 1)
    scale = max(min((height - 2 * thick) / tall, (width - 2 * thick) / wide), 0.1)
    start = (int((width - wide * scale) / 2), int((height + tall * scale) / 2))
    cv2.putText(mask, word, start, font, scale, 255, thick, cv2.LINE_AA)


def fence(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw a fence, a grid or a ladder: bars with the background between them."""
    bars, rails = int(rng.integers(3, 10)), int(rng.integers(1, 5))
    bar = rng.uniform(0.15, 0.5) / bars
    rail = min(rng.uniform(0.03, 0.09), 0.4 / rails)
    turn = 0.0 if rng.random() < 0.6 else rng.uniform(-0.4, 0.4)
    reach = 1 / (abs(np.cos(turn)) + abs(np.sin(turn)))
    for centre in np.linspace(-1 + bar, 1 - bar, bars):
        fill(mask, _place(reach * _box(-1, centre - bar, 1, centre + bar), mask.shape, turn))
    edge = 1 - rail if rng.random() < 0.5 else 0.7
    for centre in np.linspace(-edge, edge, rails) if rails > 1 else [0.0]:
        fill(mask, _place(reach * _box(centre - rail, -1, centre + rail, 1), mask.shape, turn))


def branch(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw a forked branch or a small tree, sometimes with leaves."""
    height, width = mask.shape
    leafy = rng.random() < 0.5
    stems = [(height - 1.0, width / 2, -np.pi / 2, 0.36 * height, 0.07 * min(height, width), 0)]
    while stems:
        row, column, angle, length, thick, level = stems.pop()
        aspect = 1.0 if level == 0 else min(width / height * 1.3, 2.0)
        end_row = row + length * np.sin(angle)
        end_column = column + length * np.cos(angle) * aspect
        ends = ((int(column), int(row)), (int(end_column), int(end_row)))
        cv2.line(mask, *ends, 255, max(int(thick), 2), cv2.LINE_AA)
        if level == 3:
            if leafy:
                leaf = (max(int(0.09 * width), 2), max(int(0.06 * height), 2))
                cv2.ellipse(mask, ends[1], leaf, np.degrees(angle), 0, 360, 255, -1, cv2.LINE_AA)
            continue
        for side in (-1, 1, 0)[: int(rng.integers(2, 4))]:
            turn = angle + side * rng.uniform(0.3, 0.8) + rng.normal(0, 0.1)
            shorter = length * rng.uniform(0.55, 0.8)
            stems.append((end_row, end_column, turn, shorter, 0.7 * thick, level + 1))


def body(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw joined ellipses: a trunk, a head and two to six limbs."""
    height, width = mask.shape
    trunk = (int(0.5 * width), int(0.45 * height))
    joint = max(int(0.07 * min(height, width)), 1)

    def limb(centre: tuple[float, float], half: tuple[float, float], angle: float) -> None:
        spot = (int(centre[1] * width), int(centre[0] * height))
        root = trunk if centre[0] < 0.6 else (spot[0], trunk[1])
        cv2.line(mask, spot, root, 255, joint, cv2.LINE_AA)  # nothing may hang in the air
        axes = (max(int(half[1] * width), 1), max(int(half[0] * height), 1))
        cv2.ellipse(mask, spot, axes, angle, 0, 360, 255, -1, cv2.LINE_AA)

    if rng.random() < 0.5:  # upright
        limb((0.42, 0.5), (0.23, rng.uniform(0.14, 0.26)), 0)
        limb((0.12, 0.5 + rng.normal(0, 0.04)), (0.11, rng.uniform(0.09, 0.16)), 0)
        for side in (-1, 1):
            limb((0.78, 0.5 + side * 0.13), (0.21, 0.08), side * rng.uniform(-12, 4))
            limb((0.38, 0.5 + side * 0.3), (0.2, 0.06), side * rng.uniform(-60, 10))
    else:  # on four or more legs
        limb((0.45, 0.5), (rng.uniform(0.15, 0.25), 0.34), rng.uniform(-8, 8))
        side = rng.choice([-1, 1])
        limb((0.22, 0.5 + side * 0.36), (0.14, 0.13), 0)
        limb((0.35, 0.5 - side * 0.4), (0.04, 0.12), rng.uniform(-50, 50))
        for place in np.linspace(-0.26, 0.26, int(rng.integers(2, 5))):
            limb((0.75, 0.5 + place), (0.24, 0.045), rng.uniform(-10, 10))


def vessel(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw a body of revolution seen from the side: a vase, a lamp, a bottle, a fir."""
    knots = rng.uniform(0.15, 1.0, int(rng.integers(3, 8)))
    rows = np.linspace(-1, 1, 40)
    half = np.interp(rows, np.linspace(-1, 1, len(knots)), knots / knots.max())
    if rng.random() < 0.7:
        half = np.convolve(np.pad(half, 3, "edge"), np.full(7, 1 / 7), "valid")
    left = np.stack([rows, -half], axis=1)
    right = np.stack([rows[::-1], half[::-1]], axis=1)
    fill(mask, _place(np.concatenate([left, right]), mask.shape))


def furniture(rng: np.random.Generator, mask: np.ndarray) -> None:
    """Draw a slab on legs, sometimes with a back: a table, a chair, a bridge."""
    top, slab, leg = rng.uniform(-0.9, 0.1), rng.uniform(0.12, 0.4), rng.uniform(0.05, 0.14)
    fill(mask, _place(_box(top, -1, top + slab, 1), mask.shape))
    for place in np.linspace(-1 + leg, 1 - leg, int(rng.integers(2, 5))):
        fill(mask, _place(_box(top, place - leg, 1, place + leg), mask.shape))
    if top > -0.4:
        fill(mask, _place(_box(-1, -1, top + slab, -1 + rng.uniform(0.15, 0.5)), mask.shape))


SHAPES: dict[str, tuple[Callable[[np.random.Generator, np.ndarray], None], float, float, float]] = {
    # name: (function, weight, smallest and largest height / width)
    "blob": (blob, 0.22, 0.4, 2.2),
    "polygon": (polygon, 0.1, 0.5, 2.0),
    "rectangle": (rectangle, 0.12, 0.4, 3.0),
    "star": (star, 0.04, 0.8, 1.25),
    "ring": (ring, 0.08, 0.6, 1.6),
    "glyph": (glyph, 0.06, 0.5, 1.2),
    "fence": (fence, 0.06, 0.4, 1.3),
    "branch": (branch, 0.06, 0.8, 1.8),
    "body": (body, 0.14, 0.7, 2.2),
    "vessel": (vessel, 0.12, 0.9, 3.0),
    "furniture": (furniture, 0.06, 0.7, 1.6),
}


def draw_shape(seed: int, name: str, height: int, width: int) -> np.ndarray:
    """Return the coverage of a shape, (height, width) uint8; the same for the same arguments."""
    mask = np.zeros((height, width), np.uint8)
    SHAPES[name][0](np.random.default_rng(seed), mask)
    return mask
