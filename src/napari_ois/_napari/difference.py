"""One rule: of a mask that is shown, the pixels that differ are written, and napari's own undo goes back to none.

It would bring them back as strokes of the user's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ois._napari.quiet import slice_hidden

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ois._napari.plane import Plane

LARGE_CHANGE = 250_000
"""Pixels above which writing them one by one costs more than drawing the preview anew."""


def write_difference(layer: Labels, plane: Plane, mask: NDArray[np.bool_], shown: NDArray[np.bool_]) -> None:
    """Bring a layer from one mask to another.

    Parameters
    ----------
    layer : Labels
    plane : Plane
        That the masks are of.
    mask, shown : (H, W) bool
        What is to be shown, and what is.
    """
    box = changed_box(mask, shown)
    if box is None:
        return
    new = mask[box]
    changed = new != shown[box]
    blocked = getattr(layer, "_block_history", False)  # in the middle of a stroke, whose history would hold ours too
    if blocked or np.count_nonzero(changed) > LARGE_CHANGE:
        layer.data[...] = plane.lift(mask.astype(np.uint8))
        layer.refresh()
    else:
        slice_hidden(layer)
        with layer.block_history():
            for value in (1, 0):
                rows, columns = np.nonzero(changed & (new == value))
                layer.data_setitem(plane.lift_indices(rows + box[0].start, columns + box[1].start), value)
    if not blocked:
        layer._reset_history()


def changed_box(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The smallest box, rows and columns, of the pixels in which two masks differ; None where none does."""
    differ = one != other
    rows = np.flatnonzero(differ.any(axis=1))
    if not len(rows):
        return None
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(differ[band].any(axis=0))
    return band, slice(int(columns[0]), int(columns[-1]) + 1)
