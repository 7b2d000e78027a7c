"""One rule: an accepted object never takes a pixel that another object has (rule "keep").

The function says what to write and where; whoever holds the labels writes it, so that the viewer's
own undo works. numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.errors import InputError


@dataclass(frozen=True, eq=False)
class NewObject:
    """What to write for one accepted object.

    Attributes
    ----------
    label : int
        Its id, larger than any in use.
    indices : tuple of (N,) int arrays
        The pixels to write, one array an axis, as ``labels[indices] = label`` takes them.
    kept : int
        Pixels of the mask that stay with the objects accepted before.
    """

    label: int
    indices: tuple[NDArray[np.intp], ...]
    kept: int

    @property
    def size(self) -> int:
        """How many pixels are written."""
        return len(self.indices[0])


def new_object(labels: ArrayLike, mask: ArrayLike, *, highest: int | None = None) -> NewObject:
    """Find where a mask goes in a label array under rule "keep".

    Parameters
    ----------
    labels : integer array
        Ids of the objects so far, 0 where there is none. Not changed.
    mask : array of the same shape
        The object: true or nonzero where it is.
    highest : int, optional
        Largest id in use, where ``labels`` is one plane of a larger array; by default its own largest.

    Raises
    ------
    InputError
        If the shapes differ, the mask is empty, all of its pixels belong to other objects, or the label
        array's type cannot hold another id.
    """
    ids = np.asarray(labels)
    shape = np.asarray(mask, dtype=bool)
    if ids.shape != shape.shape:
        raise InputError(
            f"The mask has shape {shape.shape} but the labels have {ids.shape}; both must be of one image."
        )
    if not np.issubdtype(ids.dtype, np.integer):
        raise InputError(f"Labels must be integers, not {ids.dtype}; convert the array first.")
    if not shape.any():
        raise InputError("There is no object to accept; click on one first.")
    free = shape & (ids == 0)
    if not free.any():
        raise InputError("Every pixel of this mask belongs to an object accepted before; nothing was written.")
    label = max(0, int(ids.max()) if highest is None else int(highest)) + 1
    if label > np.iinfo(ids.dtype).max:
        raise InputError(f"Labels of type {ids.dtype} hold no id {label}; use a wider type.")
    return NewObject(label, np.nonzero(free), int(shape.sum() - free.sum()))
