"""One rule: a mask that is kept is packed as COCO run lengths, one short text that other programs read too.

Pixels are counted down the columns, first those outside, then those inside, and so on; each count but the
first three is written as its difference to the one before last, five bits a character, beginning at "0". This
is COCO's compressed form, so that masks in journals, session files and exports are one and the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.errors import InputError

Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the last two are the first row and column beyond it."""

STRIP = 4_000_000
"""Pixels unpacked at once, at most, give or take a column."""

LEAST_ROWS = 1024
"""Rows of a plane read at once, at least: fewer would read each chunk of a file several times."""


@dataclass(frozen=True)
class PackedMask:
    """A mask of one plane as a value: it can be compared, hashed, and written as JSON.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the plane.
    counts : str
        COCO's compressed run lengths.
    """

    shape: tuple[int, int]
    counts: str

    # -- make -------------------------------------------------------------------------------------

    @classmethod
    def pack(cls, mask: ArrayLike | PackedMask) -> PackedMask:
        """Pack a (H, W) array: true or nonzero where the object is. What is packed already stays as it is.

        Raises
        ------
        InputError
            If the array is not two-dimensional.
        """
        if isinstance(mask, PackedMask):
            return mask
        full = np.asarray(mask) != 0
        if full.ndim != 2:
            raise InputError(f"A mask must have rows and columns, but this array has shape {full.shape}.")
        shape = (full.shape[0], full.shape[1])
        rows = np.flatnonzero(full.any(axis=1))
        if not len(rows):
            return cls.empty(shape)
        band = full[rows[0] : rows[-1] + 1]
        columns = np.flatnonzero(band.any(axis=0))
        corner = (int(rows[0]), int(columns[0]))
        return cls.pack_window(band[:, columns[0] : columns[-1] + 1], corner, shape)

    @classmethod
    def pack_window(cls, window: NDArray[np.bool_], corner: tuple[int, int], shape: tuple[int, int]) -> PackedMask:
        """Pack a (h, w) part of a plane, whose first pixel lies at ``corner``; nothing is outside of it."""
        rows = window.shape[0]
        padded = np.zeros((window.shape[1], rows + 2), bool)
        padded[:, 1:-1] = window.T
        # Every column begins and ends outside, so changes are begin, end, begin, end...
        places = np.flatnonzero(padded[:, 1:] != padded[:, :-1])
        column, row = np.divmod(places, rows + 1)
        edges = (column + corner[1]) * shape[0] + corner[0] + row
        starts, stops = edges[0::2], edges[1::2]
        if not len(starts):
            return cls.empty(shape)
        apart = starts[1:] != stops[:-1]  # a run that goes on at the top of the next column is one run
        return cls.from_runs(starts[np.append(True, apart)], stops[np.append(apart, True)], shape)

    @classmethod
    def from_cells(cls, cells: NDArray[np.bool_], box: Box, shape: tuple[int, int]) -> PackedMask:
        """Pack a mask of a box in cells of one pixel or several: each pixel is what the cell is that it lies in."""
        top, left, bottom, right = box
        if cells.shape == (bottom - top, right - left):
            return cls.pack_window(cells, (top, left), shape)
        rows, columns = (
            np.ceil(np.arange(count + 1) * (stop - start) / count - 0.5).astype(np.int64) + start
            for count, start, stop in zip(cells.shape, (top, left), (bottom, right), strict=True)
        )
        padded = np.zeros((cells.shape[1], cells.shape[0] + 2), bool)
        padded[:, 1:-1] = cells.T
        column, row = np.divmod(np.flatnonzero(padded[:, 1:] != padded[:, :-1]), cells.shape[0] + 1)
        column, starts, stops = column[0::2], rows[row[0::2]], rows[row[1::2]]
        first = np.searchsorted(column, np.arange(cells.shape[1]))
        count = np.searchsorted(column, np.arange(cells.shape[1]), "right") - first
        wide = columns[1:] - columns[:-1]
        # Every column of pixels has the runs of its column of cells.
        of = np.repeat(np.arange(cells.shape[1]), wide)
        runs = np.repeat(first[of], count[of]) + _counted(count[of])
        at = np.repeat(np.arange(left, right), count[of]) * shape[0]
        begin, end = at + starts[runs], at + stops[runs]
        if not len(begin):
            return cls.empty(shape)
        apart = begin[1:] != end[:-1]
        return cls.from_runs(begin[np.append(True, apart)], end[np.append(apart, True)], shape)

    @classmethod
    def from_runs(cls, starts: NDArray[np.int64], stops: NDArray[np.int64], shape: tuple[int, int]) -> PackedMask:
        """Pack runs of pixels, counted down the columns: sorted, apart from each other."""
        total = shape[0] * shape[1]
        edges = np.stack([starts, stops], axis=1).ravel()
        borders = np.concatenate([[0], edges, [total]]).astype(np.int64)
        counts = borders[1:] - borders[:-1]
        if len(counts) > 1 and counts[-1] == 0:
            counts = counts[:-1]
        return cls(shape, _write_counts(counts))

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> PackedMask:
        """A mask without pixels."""
        return cls(shape, _write_counts(np.array([shape[0] * shape[1]], np.int64)))

    @classmethod
    def from_record(cls, record: Any) -> PackedMask:
        """Read ``{"size": [rows, columns], "counts": text}``.

        Raises
        ------
        InputError
            If this is no such mask, or its counts do not fill the plane.
        """
        try:
            rows, columns = (int(side) for side in record["size"])
            counts = record["counts"]
            found = _read_counts(counts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("A mask must be an object with COCO's size and counts.") from error
        if rows < 0 or columns < 0 or (found < 0).any() or found.sum() != rows * columns:
            raise InputError(f"A mask's counts do not fill its {rows} x {columns} pixels; the file is damaged.")
        return cls((rows, columns), counts)

    # -- read -------------------------------------------------------------------------------------

    def to_record(self) -> dict[str, Any]:
        """COCO's own form: ``{"size": [rows, columns], "counts": text}``."""
        return {"size": list(self.shape), "counts": self.counts}

    @cached_property
    def runs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Begin and end of each run, pixels counted down the columns, two (N,) int64."""
        edges = np.cumsum(_read_counts(self.counts))
        starts, stops = edges[0::2], edges[1::2]
        starts = starts[: len(stops)]
        some = stops > starts  # other programs write runs of no pixels too
        return starts[some], stops[some]

    @cached_property
    def area(self) -> int:
        """How many pixels it has."""
        starts, stops = self.runs
        return int((stops - starts).sum())

    @cached_property
    def box(self) -> Box | None:
        """The smallest box that holds it: top, left, bottom, right; None where it has no pixels."""
        starts, stops = self.runs
        if not len(starts):
            return None
        height = self.shape[0]
        left, right = int(starts[0]) // height, int(stops[-1] - 1) // height + 1
        if (starts // height != (stops - 1) // height).any():  # a run goes on at the top of the next column
            rows = np.flatnonzero(self.window((0, left, height, right)).any(axis=1))
            return int(rows[0]), left, int(rows[-1]) + 1, right
        return int((starts % height).min()), left, int(((stops - 1) % height).max()) + 1, right

    def window(self, box: Box) -> NDArray[np.bool_]:
        """Unpack a part: (bottom - top, right - left) bool."""
        top, left, bottom, right = box
        height = self.shape[0]
        runs = np.stack(self.runs, axis=1).ravel()
        out = np.empty((bottom - top, right - left), bool)
        rows = bottom - top
        strip = max(1, STRIP // max(1, rows))  # columns unpacked at once: of a large window few are enough
        for begin in range(left, right, strip):
            end = min(right, begin + strip)
            low, high = np.searchsorted(runs, (begin * height, end * height))
            low, high = low - low % 2, high + high % 2
            column, row = np.divmod(runs[low:high], height)
            # How many pixels of the strip come before each edge: the rows above and below the window are none.
            edges = np.clip((column - begin) * rows + np.clip(row - top, 0, rows), 0, (end - begin) * rows)
            lengths = np.diff(edges, prepend=0, append=(end - begin) * rows)
            inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
            out[:, begin - left : end - left] = inside.reshape(end - begin, rows).T
        return out

    def cells(self, box: Box, count: tuple[int, int]) -> NDArray[np.bool_]:
        """Unpack a part in ``count`` rows and columns of cells: each is what the pixel in its middle is."""
        top, left, bottom, right = box
        if count == (bottom - top, right - left):
            return self.window(box)
        starts, stops = self.runs
        if not len(starts):
            return np.zeros(count, bool)
        rows, columns = (
            start + np.floor((np.arange(many) + 0.5) * (stop - start) / many).astype(np.int64)
            for many, start, stop in zip(count, (top, left), (bottom, right), strict=True)
        )
        places = columns[None] * self.shape[0] + rows[:, None]
        run = np.searchsorted(starts, places, "right") - 1
        return (run >= 0) & (places < stops[run])

    def unpack(self) -> NDArray[np.bool_]:
        """The whole mask, (H, W) bool, row-major."""
        full = np.zeros(self.shape, bool)
        if self.box is not None:
            top, left, bottom, right = self.box
            full[top:bottom, left:right] = self.window(self.box)
        return full

    def __bool__(self) -> bool:
        return self.area > 0

    # -- join -------------------------------------------------------------------------------------

    def __or__(self, other: PackedMask) -> PackedMask:
        return self._joined(other, np.logical_or)

    def __and__(self, other: PackedMask) -> PackedMask:
        return self._joined(other, np.logical_and)

    def __sub__(self, other: PackedMask) -> PackedMask:
        return self._joined(other, np.greater)

    def _joined(self, other: PackedMask, rule: Callable[[Any, Any], Any]) -> PackedMask:
        if self.shape != other.shape:
            raise InputError(f"Masks of {self.shape} and {other.shape} pixels do not belong to one plane.")
        box = joined_box(self.box, other.box)
        if box is None:
            return self
        return PackedMask.pack_window(rule(self.window(box), other.window(box)), (box[0], box[1]), self.shape)


def joined_box(*boxes: Box | None) -> Box | None:
    """The smallest box that holds all boxes; None where all are None."""
    found = np.array([box for box in boxes if box is not None])
    if not len(found):
        return None
    top, left = (int(side) for side in found[:, :2].min(axis=0))
    bottom, right = (int(side) for side in found[:, 2:].max(axis=0))
    return top, left, bottom, right


def common_box(one: Box | None, other: Box | None) -> Box | None:
    """The box of the pixels that two boxes have in common; None where there are none."""
    if one is None or other is None:
        return None
    top, left, bottom, right = (
        max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
    )  # fmt: skip
    return (top, left, bottom, right) if top < bottom and left < right else None


def _counted(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2... up to each count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)


def _write_counts(counts: NDArray[np.int64]) -> str:
    left = counts.copy()
    left[3:] -= counts[1:-2]
    digits: list[NDArray[np.int64]] = []
    used: list[NDArray[np.bool_]] = []
    going = np.ones(len(left), bool)
    while going.any():
        digit = left & 31
        left = left >> 5
        more = np.where(digit & 16, left != -1, left != 0) & going  # the last digit's top bit is the sign
        digits.append(digit + 32 * more + 48)
        used.append(going)
        going = more
    text = np.stack(digits, axis=1)[np.stack(used, axis=1)]
    return text.astype(np.uint8).tobytes().decode("ascii")


def _read_counts(text: str) -> NDArray[np.int64]:
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("no run lengths")
    last = (codes & 32) == 0
    ends = np.flatnonzero(last)
    begins = np.append(0, ends[:-1] + 1)
    if (ends - begins).max() > 11:
        raise ValueError("no run lengths")
    place = np.arange(len(codes)) - np.repeat(begins, ends - begins + 1)
    values = np.add.reduceat((codes & 31) << (5 * place), begins)
    negative = (codes[ends] & 16) != 0
    values[negative] -= np.int64(1) << (5 * (ends - begins + 1)[negative])
    for parity in (1, 2):
        values[parity::2] = np.cumsum(values[parity::2])
    return values


def find_label(plane: Any, label: int) -> PackedMask:
    """Where a label lies on a plane of any kind, which is read band by band."""
    plane = plane if hasattr(plane, "shape") else np.asarray(plane)
    height, width = (int(side) for side in plane.shape)
    rows = max(LEAST_ROWS, STRIP // max(1, width))
    found = PackedMask.empty((height, width))
    for first in range(0, height, rows):
        band = np.asarray(plane[first : first + rows]) == label
        if band.any():
            found = found | PackedMask.pack_window(band, (first, 0), (height, width))
    return found
