"""One rule: a plane is named by the two axes that are seen and the index of all others, and by nothing else.

So an object says where it lies in an image of any number of axes, whoever shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.errors import InputError


@dataclass(frozen=True)
class PlaneKey:
    """Where an object lies in its image.

    Attributes
    ----------
    axes : (int, int)
        The image's axes, colour not counted, that rows and columns run along.
    index : tuple of int
        One an axis; the two at ``axes`` mean nothing and are 0.
    """

    axes: tuple[int, int] = (0, 1)
    index: tuple[int, ...] = (0, 0)

    def __post_init__(self) -> None:
        rows, columns = self.axes
        if rows == columns or not all(0 <= axis < len(self.index) for axis in self.axes):
            raise InputError(f"A plane cannot have the axes {self.axes} in an image of {len(self.index)} axes.")
        clean = tuple(0 if axis in self.axes else int(i) for axis, i in enumerate(self.index))
        object.__setattr__(self, "axes", (int(rows), int(columns)))
        object.__setattr__(self, "index", clean)

    @property
    def ndim(self) -> int:
        """Axes of the image, without colour."""
        return len(self.index)

    def shape_in(self, shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of the plane in an image of this shape.

        Raises
        ------
        InputError
            If the image has no such plane.
        """
        if len(shape) < self.ndim or not all(
            0 <= i < size for i, size in zip(self.index, shape[: self.ndim], strict=True)
        ):
            raise InputError(f"An image of shape {tuple(shape)} has no plane at {self}.")
        return int(shape[self.axes[0]]), int(shape[self.axes[1]])

    def view(self, data: Any) -> Any:
        """Cut the plane out of an array of any kind without computing it; an axis of colour stays behind."""
        cut = data[tuple(slice(None) if axis in self.axes else i for axis, i in enumerate(self.index))]
        return cut.swapaxes(0, 1) if self.axes[0] > self.axes[1] else cut

    def indices(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[NDArray[np.intp], ...]:
        """Index pixels of the plane in an array of the image's shape, one (N,) array an axis."""
        full = [np.full_like(rows, i) for i in self.index]
        full[self.axes[0]], full[self.axes[1]] = rows, columns
        return tuple(full)

    def moved(self, axis: int, index: int) -> PlaneKey:
        """The plane beside it: the same but for the index of one axis that is not seen."""
        if axis in self.axes or not 0 <= axis < self.ndim:
            raise InputError(f"The plane at {self} cannot be moved along axis {axis}.")
        return PlaneKey(self.axes, (*self.index[:axis], int(index), *self.index[axis + 1 :]))

    def __str__(self) -> str:
        """As one would index it: ``"[3, :, :]"``."""
        return "[" + ", ".join(":" if axis in self.axes else str(i) for axis, i in enumerate(self.index)) + "]"

    def to_record(self) -> dict[str, Any]:
        """``{"axes": [1, 2], "index": [3, 0, 0]}``."""
        return {"axes": list(self.axes), "index": list(self.index)}

    @classmethod
    def from_record(cls, record: Any) -> PlaneKey:
        """Read what :meth:`to_record` wrote; InputError where it is something else."""
        try:
            rows, columns = (int(axis) for axis in record["axes"])
            index = tuple(int(i) for i in record["index"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("A plane must be an object with axes and index.") from error
        return cls((rows, columns), index)
