"""One rule: a made stack of bodies that wander and change through its slices, with the truth of every slice.

It is what propagation is measured on: neighbours touch, brightness differs little between some of them, and at
both ends the bodies become small. Nothing in it is drawn from real data.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_ois.errors import InputError

BACKGROUND, BRIGHTNESS = 40.0, (80.0, 170.0)
"""Mean light beside the bodies and in them, where 255 is the brightest value."""

NOISE = 10.0
"""Standard deviation of the noise of each voxel."""

MOTTLING = 0.16
"""Strength of the mottling inside of bodies."""

BLUR = (0.6, 1.2, 1.2)
"""Width of the microscope's blur along slices, rows and columns, in voxels."""


class Volume(NamedTuple):
    """A made stack and what is true of it.

    Attributes
    ----------
    stack : (Z, H, W) uint8
    labels : (Z, H, W) int32
        The body of each voxel, 1 and on; 0 = background.
    """

    stack: NDArray[np.uint8]
    labels: NDArray[np.int32]


def made_volume(seed: int = 0, shape: tuple[int, int, int] = (21, 192, 192)) -> Volume:
    """Make nine roundish bodies on a jittered grid; most go through all slices, the last two end within.

    Parameters
    ----------
    seed : int
        The same seed and shape give the same stack.
    shape : (int, int, int)
        Slices, rows and columns; at least 5, 96 and 96.

    Returns
    -------
    Volume

    Raises
    ------
    InputError
        If the shape is too small for nine bodies.
    """
    slices, height, width = shape
    if slices < 5 or min(height, width) < 96:
        raise InputError(f"The shape {shape} is too small for made bodies; give at least (5, 96, 96).")
    rng = np.random.default_rng(seed)
    depths = _depths(rng, shape)
    nearest = depths.argmax(axis=0)
    labels = np.where(depths.max(axis=0) > 0, nearest + 1, 0).astype(np.int32)
    brightness = rng.uniform(*BRIGHTNESS, len(depths))
    light = np.concatenate([[BACKGROUND], brightness])[labels]
    mottled = ndimage.gaussian_filter(rng.standard_normal(shape), (1.5, 2.5, 2.5))
    light *= 1 + MOTTLING * mottled / mottled.std()
    light += 12.0 * np.linspace(-1, 1, width)  # uneven illumination
    light = ndimage.gaussian_filter(light, BLUR) + NOISE * rng.standard_normal(shape)
    return Volume(light.round().clip(0, 255).astype(np.uint8), labels)


def _depths(rng: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """How far inside each body every voxel lies, (N, Z, H, W) float32; negative outside."""
    slices, height, width = shape
    z = np.linspace(-1, 1, slices)
    side = min(height, width) / 3
    depths = np.empty((9, *shape), np.float32)
    for number in range(9):
        middle = (np.array(divmod(number, 3)) + 0.5) * (height / 3, width / 3) + rng.uniform(-0.1, 0.1, 2) * side
        drift = rng.uniform(-0.22, 0.22, 2) * side
        bend = rng.uniform(-0.08, 0.08, 2) * side
        centres = middle + np.outer(z, drift) + np.outer(np.cos(np.pi * z), bend)
        # Half its length along the slices, in half stacks: beyond 1 it goes through all of them.
        reach = rng.uniform(0.5, 0.8) if number >= 7 else rng.uniform(1.1, 1.5)
        radii = rng.uniform(0.42, 0.56) * side * np.sqrt(np.clip(1 - (z / reach) ** 2, 0, None))
        waves, phases, twists = rng.uniform(0.02, 0.09, 3), rng.uniform(0, 2 * np.pi, 3), rng.uniform(-1, 1, 3)
        flat = rng.uniform(0.75, 1.0)
        for index in range(slices):
            rows, columns = np.indices((height, width), dtype=np.float32)
            rows, columns = rows - np.float32(centres[index, 0]), (columns - np.float32(centres[index, 1])) / flat
            angle = np.arctan2(rows, columns)
            rim = np.full((height, width), radii[index], np.float32)
            for wave, phase, twist, turns in zip(waves, phases, twists, (2, 3, 4), strict=True):
                rim += np.float32(radii[index] * wave) * np.cos(turns * angle + np.float32(phase + twist * z[index]))
            depths[number, index] = np.where(radii[index] > 0, rim - np.hypot(rows, columns), -1)
    return depths
