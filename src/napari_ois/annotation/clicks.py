"""One rule: the clicks on one object are a value - every change gives a new list, oldest click first.

Because a list never changes, it can be handed to another thread, compared with the one before, and
asked how long a beginning the two share. numpy and the standard library only.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.errors import InputError


@dataclass(frozen=True)
class Click:
    """One click on a plane.

    Attributes
    ----------
    row, column : float
        Pixels of the plane; pixel centres are at integers.
    positive : bool
        True on the object, False on what does not belong to it.
    """

    row: float
    column: float
    positive: bool = True


@dataclass(frozen=True)
class Clicks:
    """The clicks on one object of one plane, newest last.

    Attributes
    ----------
    items : tuple of Click
    """

    items: tuple[Click, ...] = ()

    @classmethod
    def from_arrays(cls, points: ArrayLike, labels: ArrayLike) -> Clicks:
        """Make a list from arrays.

        Parameters
        ----------
        points : (N, 2) array
            Row and column, oldest click first.
        labels : (N,) array
            1 or True positive, 0 or False negative.

        Raises
        ------
        InputError
            If the two do not belong together.
        """
        rows = np.asarray(points, dtype=np.float64)
        kinds = np.asarray(labels)
        if rows.size == 0 and kinds.size == 0:
            return cls()
        if rows.ndim != 2 or rows.shape[1] != 2 or kinds.shape != (len(rows),):
            raise InputError(
                f"points of shape {rows.shape} and labels of shape {kinds.shape} do not belong together; "
                "give (N, 2) and (N,)."
            )
        return cls(
            tuple(Click(float(row), float(column), bool(kind)) for (row, column), kind in zip(rows, kinds, strict=True))
        )

    # -- read -------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Click]:
        return iter(self.items)

    @property
    def positives(self) -> NDArray[np.float64]:
        """Row and column of the positive ones, (N, 2) float64."""
        return np.array([(c.row, c.column) for c in self.items if c.positive], dtype=np.float64).reshape(-1, 2)

    @property
    def points(self) -> NDArray[np.float64]:
        """Row and column, (N, 2) float64."""
        return np.array([(c.row, c.column) for c in self.items], dtype=np.float64).reshape(-1, 2)

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 positive, 0 negative, (N,) int64."""
        return np.array([c.positive for c in self.items], dtype=np.int64)

    @property
    def has_positive(self) -> bool:
        """Whether there is anything to segment: a network cannot answer negative clicks alone."""
        return any(click.positive for click in self.items)

    @property
    def negatives(self) -> int:
        """How many clicks are negative."""
        return sum(not click.positive for click in self.items)

    def shared(self, other: Clicks) -> int:
        """How many clicks from the beginning are the same in both lists."""
        count = 0
        for mine, theirs in zip(self.items, other.items, strict=False):
            if mine != theirs:
                break
            count += 1
        return count

    # -- change: each gives a new list ------------------------------------------------------------

    def first(self, count: int) -> Clicks:
        """The oldest ``count`` clicks."""
        return Clicks(self.items[:count])

    def added(self, row: float, column: float, positive: bool = True) -> Clicks:
        """With one more click at the end."""
        return Clicks((*self.items, Click(float(row), float(column), bool(positive))))

    def moved(self, index: int, row: float, column: float) -> Clicks:
        """With click ``index`` at another place; its polarity and its turn stay."""
        old = self._at(index)
        items = list(self.items)
        items[index] = Click(float(row), float(column), old.positive)
        return Clicks(tuple(items))

    def removed(self, index: int = -1) -> Clicks:
        """Without click ``index``; by default the newest."""
        self._at(index)
        items = list(self.items)
        del items[index]
        return Clicks(tuple(items))

    def _at(self, index: int) -> Click:
        if not -len(self.items) <= index < len(self.items):
            raise InputError(f"There is no click {index}: the list holds {len(self.items)}.")
        return self.items[index]

    # -- a file -----------------------------------------------------------------------------------

    def write_csv(self, path: Path) -> None:
        """Write one line a click: ``row,column,label`` with label 1 positive, 0 negative."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("row", "column", "label"))
            writer.writerows((c.row, c.column, int(c.positive)) for c in self.items)


NO_CLICKS = Clicks()
