"""The picture in the making: colour, depth and object numbers change only together.

A layer is painted with a depth test: wherever an object number is visible, nothing drawn before
it was nearer. So the depth of a scene agrees with its occlusions by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

KINDS = ("photo", "microscopy", "medical")
MAX_OBJECTS = 255


@dataclass(frozen=True)
class Scene:
    """One procedural picture with exact object numbers and exact depth.

    Attributes
    ----------
    rgb : numpy.ndarray
        (S, S, 3) uint8 colours.
    ids : numpy.ndarray
        (S, S) int16; 0 is background, 1..n are the visible pixels of the objects.
    depth : numpy.ndarray
        (S, S) float16 in [0, 1]; 1 is nearest (like an inverse depth).
    kind : str
        ``"photo"``, ``"microscopy"`` or ``"medical"``.
    """

    rgb: np.ndarray
    ids: np.ndarray
    depth: np.ndarray
    kind: str


class Canvas:
    """Square colour (float32, [0, 1]), depth (float32) and object-number arrays of one picture.

    Parameters
    ----------
    rgb : numpy.ndarray
        (S, S, 3) float32 background colours; kept and changed in place.
    depth : numpy.ndarray
        (S, S) float32 background depth; kept and changed in place.
    """

    def __init__(self, rgb: np.ndarray, depth: np.ndarray) -> None:
        self.rgb = rgb
        self.depth = depth
        self.ids = np.zeros(depth.shape, np.int16)
        self.size = depth.shape[0]

    def window(self, row: int, column: int, shape: tuple[int, int]) -> tuple | None:
        """Return (canvas slices, layer slices) of a layer's visible part, None if it is outside."""
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + shape[0], self.size), min(column + shape[1], self.size)
        if bottom <= top or right <= left:
            return None
        layer = (slice(top - row, bottom - row), slice(left - column, right - column))
        return (slice(top, bottom), slice(left, right)), layer

    def darken(self, alpha: np.ndarray, row: int, column: int, strength: float) -> None:
        """Multiply the colours by ``1 - strength * alpha`` (alpha: (h, w) float32 in [0, 1])."""
        found = self.window(row, column, alpha.shape)
        if found is not None:
            here, part = found
            self.rgb[here] *= (1.0 - strength * alpha[part])[..., None]

    def paint(
        self,
        alpha: np.ndarray,
        rgb: np.ndarray,
        depth: np.ndarray,
        row: int,
        column: int,
        number: int,
    ) -> None:
        """Paint one layer where it is not behind what is there already.

        Parameters
        ----------
        alpha : numpy.ndarray
            (h, w) float32 coverage in [0, 1]; pixels covered by more than half get the number.
        rgb : numpy.ndarray
            (h, w, 3) float32 colours in [0, 1].
        depth : numpy.ndarray
            (h, w) float32 depth of the layer, 1 = nearest.
        row, column : int
            Where the layer's first pixel lies on the canvas; may be outside.
        number : int
            The object number written (0 = part of the background).
        """
        found = self.window(row, column, alpha.shape)
        if found is None:
            return
        here, part = found
        own_depth = depth[part]
        cover = alpha[part] * (own_depth >= self.depth[here])
        below = self.rgb[here]
        below += (rgb[part] - below) * cover[..., None]
        inside = cover > 0.5
        self.depth[here][inside] = own_depth[inside]
        self.ids[here][inside] = number


def renumber(ids: np.ndarray, smallest: int) -> np.ndarray:
    """Return int16 numbers 1..n of the objects with at least `smallest` pixels; others become 0.

    At most 255 objects are kept (the largest), so that a cache can hold them in 8 bits.
    """
    counts = np.bincount(ids.ravel())
    counts[0] = 0
    kept = np.flatnonzero(counts >= max(smallest, 1))
    if len(kept) > MAX_OBJECTS:
        kept = np.sort(kept[np.argsort(counts[kept])[-MAX_OBJECTS:]])
    table = np.zeros(len(counts), np.int16)
    table[kept] = np.arange(1, len(kept) + 1)
    return table[ids]


def finish_colours(rng: np.random.Generator, rgb: np.ndarray, noise: float) -> np.ndarray:
    """Return uint8 colours after sensor noise and, mostly, a JPEG round trip.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    rgb : numpy.ndarray
        (S, S, 3) float32 colours in about [0, 1]; changed in place.
    noise : float
        Standard deviation of the Gaussian noise.
    """
    if noise > 0:
        shape = rgb.shape if rng.random() < 0.7 else (*rgb.shape[:2], 1)
        rgb += noise * rng.standard_normal(shape, dtype=np.float32)
    levels = np.clip(rgb * 255.0 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.65:
        quality = int(rng.integers(35, 96))
        packed = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        levels = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return levels
