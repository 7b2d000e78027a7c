"""Surface textures: a texture is a pattern and its colours, and rendering it twice gives the same stuff.

The grey patterns are made once per process from a fixed seed and only read afterwards; variety
comes from cropping, scaling, turning and colouring them anew for every surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

PATTERN_SIZE = 320
FAMILIES = 12  # pattern n is of family n % FAMILIES
PATTERN_COUNT = 8 * FAMILIES


def noise_field(rng: np.random.Generator, shape: tuple[int, int], cells: float) -> np.ndarray:
    """Return smooth random values, (h, w) float32 in [0, 1], with about `cells` bumps per side."""
    count = max(int(cells), 2)
    grid = rng.random((count, count), dtype=np.float32)
    field = cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(field, 0.0, 1.0, out=field)


def octaves(rng: np.random.Generator, shape: tuple[int, int], cells: float, gain: float) -> np.ndarray:
    """Return fractal noise (h, w) float32: four octaves, each `gain` times weaker than the one before."""
    total = np.zeros(shape, np.float32)
    weight = 1.0
    for _ in range(4):
        total += weight * noise_field(rng, shape, cells)
        weight *= gain
        cells *= 2.1
    return total


def _strokes(rng: np.random.Generator, field: np.ndarray, aligned: bool) -> np.ndarray:
    size = field.shape[0]
    canvas = (field * 120).astype(np.uint8)
    length = rng.uniform(0.02, 0.2) * size
    angle = rng.uniform(0, np.pi)
    spread = 0.25 if aligned else np.pi
    for _ in range(int(rng.integers(150, 900))):
        turn = angle + rng.normal(0, spread)
        x, y = rng.uniform(0, size, 2)
        end = (int(x + length * np.cos(turn)), int(y + length * np.sin(turn)))
        level = int(rng.integers(0, 256))
        cv2.line(canvas, (int(x), int(y)), end, level, int(rng.integers(1, 4)), cv2.LINE_AA)
    return canvas.astype(np.float32)


def _bricks(rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    height = rng.uniform(12, 60)
    width = height * rng.uniform(1, 3)
    line = np.floor(rows / height)
    shifted = columns / width + (0.5 * (line % 2) if rng.random() < 0.6 else 0)
    tone = np.sin(line * 12.9 + np.floor(shifted) * 78.2) * 43758.5
    joint = ((rows / height) % 1 < 0.1) | (shifted % 1 < 0.06)
    return np.where(joint, rng.choice([-0.5, 1.5]), tone % 1 * rng.uniform(0.2, 1)).astype(np.float32)


def _cells(rng: np.random.Generator, size: int) -> np.ndarray:
    seeds = np.full((size, size), 255, np.uint8)
    count = int(rng.integers(30, 500))
    seeds[rng.integers(0, size, count), rng.integers(0, size, count)] = 0
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
    return np.minimum(distance, rng.uniform(4, 40))


def _pattern(rng: np.random.Generator, number: int) -> np.ndarray:
    size = PATTERN_SIZE
    shape = (size, size)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    warp = octaves(rng, shape, rng.uniform(2, 8), 0.5)
    angle = rng.uniform(0, np.pi)
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    pitch = np.exp(rng.uniform(np.log(5), np.log(60)))
    match number % FAMILIES:
        case 0 | 1:
            field = octaves(rng, shape, rng.uniform(3, 24), rng.uniform(0.4, 0.9))
        case 2:
            field = np.sin(2 * np.pi * along / pitch + rng.uniform(0, 4) * warp)
        case 3:
            field = np.sign(np.sin(2 * np.pi * along / pitch)) + 0.4 * warp
        case 4:
            checks = np.sin(np.pi * along / pitch) * np.sin(np.pi * across / pitch)
            field = (np.sign(checks) if rng.random() < 0.5 else checks) + 0.3 * warp
        case 5:
            field = _bricks(rng, rows, columns) + 0.2 * warp
        case 6:
            field = _cells(rng, size)
        case 7:
            field = np.sin(rng.uniform(6, 30) * warp)
        case 8:
            field = _strokes(rng, noise_field(rng, shape, 12), aligned=rng.random() < 0.6)
        case 9:
            grain = rng.standard_normal(shape, dtype=np.float32)
            field = cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.6, 5), sigmaY=rng.uniform(0.6, 12))
        case 10:
            spots = cv2.GaussianBlur(rng.random(shape, dtype=np.float32), (0, 0), rng.uniform(2, 9))
            field = (spots > np.quantile(spots, rng.uniform(0.5, 0.9))).astype(np.float32) + 0.2 * warp
        case _:
            field = noise_field(rng, shape, rng.uniform(2, 5))
    field = cv2.GaussianBlur(field.astype(np.float32), (0, 0), 0.7)
    low, high = np.percentile(field, [1, 99])
    return np.clip((field - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def patterns() -> np.ndarray:
    """Return the grey patterns, (P, 320, 320) uint8, read-only, the same in every process."""
    pool = np.stack([_pattern(np.random.default_rng([71, n]), n) for n in range(PATTERN_COUNT)])
    pool.flags.writeable = False
    return pool


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """Return one RGB colour, (3,) float32 in [0, 1], muted colours being the most frequent."""
    hue, value = rng.random(), rng.beta(1.6, 1.3)
    saturation = rng.beta(1.2, 2.2)
    wheel = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    colour = value * (1 - saturation + saturation * np.clip(wheel, 0, 1))
    return np.clip(0.03 + 0.94 * colour, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class Texture:
    """One kind of surface; every `render` is another piece of the same stuff.

    Attributes
    ----------
    source : numpy.ndarray
        (h, w) uint8 pattern coloured by `colours`, or (h, w, 3) uint8 photograph.
    colours : numpy.ndarray
        (256, 3) float32 colour of each grey level (pattern), or (2, 3) gain and offset (photograph).
    scale : float
        Output pixels per source pixel.
    turn : int
        Number of quarter turns.
    """

    source: np.ndarray
    colours: np.ndarray
    scale: float
    turn: int

    def render(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """Return a random piece, (height, width, 3) float32 in [0, 1]."""
        if self.turn % 2:
            height, width = width, height
        rows, columns = self.source.shape[:2]
        scale = max(self.scale, height / rows, width / columns)
        tall = min(max(int(height / scale), 1), rows)
        wide = min(max(int(width / scale), 1), columns)
        top = int(rng.integers(0, rows - tall + 1))
        left = int(rng.integers(0, columns - wide + 1))
        crop = self.source[top : top + tall, left : left + wide]
        method = cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR
        piece = cv2.resize(crop, (width, height), interpolation=method)
        if self.turn:
            piece = np.rot90(piece, self.turn)
        if piece.ndim == 2:
            return np.take(self.colours, piece, axis=0)
        return np.clip(piece * self.colours[0] + self.colours[1], 0.0, 1.0).astype(np.float32)

    def recoloured(self, rng: np.random.Generator, amount: float) -> Texture:
        """Return the same pattern in colours shifted by at most `amount`."""
        colours = self.colours.copy()
        shift = rng.uniform(-amount, amount, 3).astype(np.float32)
        if self.source.ndim == 2:
            colours = np.clip(colours + shift, 0, 1)
        else:
            colours[1] += shift
        return Texture(self.source, colours, self.scale, self.turn)


def ramp(colours: Sequence[np.ndarray]) -> np.ndarray:
    """Return a (256, 3) float32 colour table running through the given colours."""
    stops = np.linspace(0, 255, len(colours))
    table = np.stack([np.interp(np.arange(256), stops, c) for c in np.transpose(colours)], axis=1)
    return table.astype(np.float32)


def pick_texture(rng: np.random.Generator, size: int, photographs: Sequence[np.ndarray] | None) -> Texture:
    """Draw a texture: half of the time from the photographs if there are any, else procedural.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    size : int
        Side of the scene in pixels; patterns scale with it.
    photographs : sequence of numpy.ndarray, optional
        (h, w, 3) uint8 RGB crops.
    """
    turn = int(rng.integers(0, 4))
    if photographs is not None and len(photographs) > 0 and rng.random() < 0.55:
        source = photographs[int(rng.integers(len(photographs)))]
        gain = rng.uniform(0.7, 1.3) * rng.uniform(0.9, 1.1, 3) / 255
        colours = np.stack([gain, np.full(3, rng.normal(0, 0.08))]).astype(np.float32)
        zoom = np.exp(rng.uniform(np.log(0.6), np.log(2.5)))
        upright = 0 if rng.random() < 0.7 else turn
        return Texture(source, colours, zoom * size / 256, upright)
    source = patterns()[int(rng.integers(PATTERN_COUNT))]
    first = random_colour(rng)
    if rng.random() < 0.55:  # one material: light and dark tones of one colour
        contrast = rng.uniform(0.04, 0.5)
        second = np.clip(first + rng.choice([-1, 1]) * contrast + rng.normal(0, 0.05, 3), 0, 1)
        colours = ramp([first, second])
    else:
        colours = ramp([first, *(random_colour(rng) for _ in range(int(rng.integers(1, 3))))])
    return Texture(source, colours, np.exp(rng.uniform(np.log(0.35), np.log(2))) * size / 256, turn)
