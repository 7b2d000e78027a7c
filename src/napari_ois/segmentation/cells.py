"""One rule: a made stack in which cells overlap, look alike from above, and differ in depth alone.

It is the sample and the tutorial's example of what order is for: where two cells overlap, the projection shows
no line between them, and the planes of the stack tell them apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_ois.errors import InputError

BRIGHTNESS = 150.0
"""Of every cell, where 255 is the brightest value."""

BACKGROUND = 12.0

NOISE = 9.0
"""Standard deviation of the noise of each voxel."""

ABSORBED = 0.10
"""Share of a deeper cell's light that a cell above it takes, so that the upper one wins the projection."""

TEXTURE = 0.12
"""Strength of the mottling. It is one pattern for all planes: in the projection no cell has one of its own."""

THICKNESS = 1.3
"""Width of a cell along the axis in planes: microscopes see further along the axis than across."""


class Cells(NamedTuple):
    """A made stack and what is true of it.

    Attributes
    ----------
    stack : (Z, H, W) uint8
        Plane 0 is nearest.
    labels : (H, W) int32
        The cell seen from above, 1 and on, the nearest where several overlap; 0 = background.
    z : (N,) float32
        Plane of each cell's centre, the first of label 1.
    """

    stack: NDArray[np.uint8]
    labels: NDArray[np.int32]
    z: NDArray[np.float32]


def made_cells(seed: int = 0, shape: tuple[int, int, int] = (24, 256, 256)) -> Cells:
    """Make pairs of overlapping roundish cells, one near and one deep, as a confocal microscope sees them.

    All cells have the same brightness and mottling; deeper ones are blurred more; every voxel has noise.

    Parameters
    ----------
    seed : int
        The same seed and shape give the same stack.
    shape : (int, int, int)
        Planes, rows and columns; at least 8, 48 and 48.

    Returns
    -------
    Cells

    Raises
    ------
    InputError
        If the shape is too small for two cells.
    """
    planes, height, width = shape
    if planes < 8 or min(height, width) < 48:
        raise InputError(f"The shape {shape} is too small for made cells; give at least (8, 48, 48).")
    rng = np.random.default_rng(seed)
    covers, z = _place_cells(rng, planes, height, width)
    labels = np.zeros((height, width), np.int32)
    light = np.full(shape, BACKGROUND, np.float32)
    passing = np.ones((height, width), np.float32)
    for number in np.argsort(z):  # nearest first: it takes light from those below
        cover = covers[number]
        labels[(cover > 0.5) & (labels == 0)] = number + 1
        seen = ndimage.gaussian_filter(cover, 0.4 + 1.6 * z[number] / planes)
        profile = np.exp(-0.5 * ((np.arange(planes) - z[number]) / THICKNESS) ** 2).astype(np.float32)
        profile /= profile.max()  # a centre between two planes must not make a cell darker
        for plane in np.flatnonzero(profile > 0.01):
            light[plane] += profile[plane] * (BRIGHTNESS - BACKGROUND) * seen * passing
        passing = passing * (1 - ABSORBED * seen)
    mottled = ndimage.gaussian_filter(rng.standard_normal((height, width)), 2.5).astype(np.float32)
    light *= 1 + TEXTURE * mottled / mottled.std()
    light += NOISE * rng.standard_normal(shape, dtype=np.float32)
    return Cells(light.round().clip(0, 255).astype(np.uint8), labels, z)


def _place_cells(
    rng: np.random.Generator, planes: int, height: int, width: int
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Outlines, each (H, W) float32 in [0, 1], and depths: a near and a deep cell in each field of a grid."""
    side = max(48, min(height, width) // 3)
    down, across = height // side, width // side
    covers, z = [], []
    for field in range(down * across):
        middle = (np.array(divmod(field, across)) + 0.5) * (height / down, width / across)
        radius = side * rng.uniform(0.22, 0.25)
        angle = rng.uniform(0, 2 * np.pi)
        apart = radius * rng.uniform(0.95, 1.15) * np.array([np.sin(angle), np.cos(angle)])
        near, deep = rng.uniform(0.10, 0.35) * planes, rng.uniform(0.60, 0.85) * planes
        for centre, depth in ((middle - apart / 2, near), (middle + apart / 2, deep)):
            covers.append(_roundish(rng, centre, radius * rng.uniform(0.95, 1.05), height, width))
            z.append(depth)
    return covers, np.asarray(z, np.float32)


def _roundish(
    rng: np.random.Generator, centre: NDArray[np.float64], radius: float, height: int, width: int
) -> NDArray[np.float32]:
    """A disk with a gently waving outline one pixel soft, (H, W) float32."""
    rows, columns = np.indices((height, width), dtype=np.float32)
    rows, columns = rows - np.float32(centre[0]), columns - np.float32(centre[1])
    angle = np.arctan2(rows, columns)
    rim = np.full((height, width), radius, np.float32)
    for waves in (2, 3, 4):
        rim += np.float32(radius * rng.uniform(0, 0.07)) * np.cos(waves * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    return (rim - np.hypot(rows, columns) + 0.5).clip(0, 1)
