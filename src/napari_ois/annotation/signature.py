"""One rule: an image is known by shape, type and a bounded sample of its pixels, never by its name.

Up to a million values the sample is the whole image; of larger ones it is 32 blocks of at most 64 x 64 along
the two longest axes (and 4 along others), at places that depend on the shape alone. So the signature of a
stack that is read piece by piece costs a few pieces.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ois.errors import InputError

WHOLE_BELOW = 1_000_000
"""Images with at most so many values are hashed whole."""
BLOCKS = 32
LONG, SHORT = 64, 4
"""Sides of a block along the two longest axes, and along the others."""
STEP = 0.6180339887498949
"""The golden ratio's fraction: multiples of its powers spread evenly."""


@dataclass(frozen=True)
class ImageSignature:
    """What an image is recognised by.

    Attributes
    ----------
    shape : tuple of int
        With the axis of colour.
    dtype : str
        Without byte order, like ``"uint16"``.
    sha256 : str
        Of the sample.
    source : str or None
        Path or address, for the reader only; it is not compared.
    """

    shape: tuple[int, ...]
    dtype: str
    sha256: str
    source: str | None = None

    @classmethod
    def of(cls, image: Any, source: str | None = None) -> ImageSignature:
        """Take the signature of an array of any kind: numpy, dask, zarr; of a pyramid, its finest level."""
        shape = tuple(int(side) for side in image.shape)
        digest = hashlib.sha256(repr(shape).encode())
        for block in _blocks(shape):
            values = np.asarray(image[block])
            digest.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).tobytes())
        return cls(shape, np.dtype(image.dtype).name, digest.hexdigest(), source)

    def same_image(self, other: ImageSignature) -> bool:
        """Whether both are of one image, wherever it lies."""
        return (self.shape, self.dtype, self.sha256) == (other.shape, other.dtype, other.sha256)

    @property
    def key(self) -> str:
        """A short name for files: 16 hexadecimal digits."""
        return hashlib.sha256(f"{self.shape} {self.dtype} {self.sha256}".encode()).hexdigest()[:16]

    def to_record(self) -> dict[str, Any]:
        """JSON of it."""
        return {"shape": list(self.shape), "dtype": self.dtype, "sha256": self.sha256, "source": self.source}

    @classmethod
    def from_record(cls, record: Any) -> ImageSignature:
        """Read what :meth:`to_record` wrote; InputError where it is something else."""
        try:
            shape = tuple(int(side) for side in record["shape"])
            source = record.get("source")
            return cls(shape, str(record["dtype"]), str(record["sha256"]), None if source is None else str(source))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("An image signature must have shape, dtype and sha256.") from error


def _blocks(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    if np.prod(shape, dtype=np.float64) <= WHOLE_BELOW:
        return [tuple(slice(None) for _ in shape)]
    longest = sorted(range(len(shape)), key=lambda axis: -shape[axis])[:2]
    sides = [min(side, LONG if axis in longest else SHORT) for axis, side in enumerate(shape)]
    blocks = []
    for number in range(BLOCKS):
        block = []
        for axis, (side, extent) in enumerate(zip(shape, sides, strict=True)):
            start = int(((number + 1) * STEP ** (axis + 1)) % 1.0 * (side - extent + 1))
            block.append(slice(start, start + extent))
        blocks.append(tuple(block))
    return blocks
