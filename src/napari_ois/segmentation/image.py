"""One rule: what is looked at is resized to the network's input in one step, and coordinates go both ways.

Coordinates are row, column with pixel centres at integers, so pixel (0, 0) covers -0.5 to 0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional


@dataclass(frozen=True)
class Geometry:
    """How one image lies in the network's input.

    Parameters
    ----------
    image_shape : (int, int)
        Rows and columns of the image.
    input_shape : (int, int)
        Rows and columns of the network's input.
    """

    image_shape: tuple[int, int]
    input_shape: tuple[int, int]

    @classmethod
    def fit(cls, image_shape: tuple[int, int], *, input_size: int, multiple: int) -> Geometry:
        """Keep the ratio: longest side ``input_size``, the other rounded to ``multiple``.

        Small images are enlarged as well: the network was trained on windows resampled to its
        input, so an object's size in input pixels must not depend on the camera. No side is less
        than one ``multiple``; an ``input_size`` that is no multiple is rounded to one.
        """
        longest = _round_to(input_size, multiple)
        scale = longest / max(image_shape)
        rows, columns = (_round_to(side * scale, multiple) for side in image_shape)
        return cls((int(image_shape[0]), int(image_shape[1])), (rows, columns))

    def to_input(self, points: ArrayLike) -> NDArray[np.float32]:
        """(N, 2) row, column in image pixels -> in input pixels, clipped to the input."""
        return _rescale(points, self.image_shape, self.input_shape)

    def to_image(self, points: ArrayLike) -> NDArray[np.float32]:
        """(N, 2) row, column in input pixels -> in image pixels, clipped to the image."""
        return _rescale(points, self.input_shape, self.image_shape)


def _round_to(length: float, multiple: int) -> int:
    return max(1, math.floor(length / multiple + 0.5)) * multiple


def _rescale(points: ArrayLike, source: tuple[int, int], target: tuple[int, int]) -> NDArray[np.float32]:
    values = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    factor = np.asarray(target, dtype=np.float64) / np.asarray(source, dtype=np.float64)
    moved = (values + 0.5) * factor - 0.5  # align_corners=False, as the resize does
    return np.clip(moved, 0.0, np.asarray(target) - 1.0).astype(np.float32)


def resize(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize (H, W) or (H, W, C) to ``shape``: bilinear, antialiased when it shrinks.

    Returns
    -------
    (h, w) or (h, w, C) float32, contiguous.
    """
    if array.ndim == 3 and array.strides[2] == 0:  # one plane seen as several, as the colours of a grey picture
        one = resize(array[..., 0].copy(), shape)  # a view of it is read-only, which torch warns of
        return np.repeat(one[..., None], array.shape[2], axis=2)
    plane = np.ascontiguousarray(array, dtype=np.float32)
    if plane.shape[:2] == tuple(shape):
        return plane
    channels = plane.shape[2] if plane.ndim == 3 else 1
    tensor = torch.from_numpy(plane).reshape(1, *plane.shape[:2], channels).permute(0, 3, 1, 2)
    small = functional.interpolate(
        tensor.contiguous(), size=tuple(shape), mode="bilinear", antialias=True, align_corners=False
    )
    out = small[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(out if plane.ndim == 3 else out[..., 0])
