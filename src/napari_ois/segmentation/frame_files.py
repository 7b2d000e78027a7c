"""One rule: what was answered on a region of a large image is written so that its place in the image is known.

The mask covers the whole image, in tiles that are never held together; everything else lies on the region.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_ois.segmentation.frame import Frame
from napari_ois.segmentation.prediction import Prediction

TILE = 512
"""Side of the tiles of what is written, in pixels."""


def cell_places(frame: Frame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the image's pixels in the middle of the cells of a frame."""
    rows, columns = (
        np.floor(start + (np.arange(count) + 0.5) * cell).astype(np.intp)
        for start, count, cell in zip((frame.view.top, frame.view.left), frame.shape, frame.cell, strict=True)
    )
    return rows, columns


def on_cells(array: Any, frame: Frame) -> NDArray[Any]:
    """Read the pixels in the middle of a frame's cells, (h, w), from an array of any kind of the image's shape."""
    if frame.native:
        return np.asarray(array[frame.view.rows, frame.view.columns])
    rows, columns = cell_places(frame)
    steps = [max(1, int(places[1] - places[0])) if len(places) > 1 else 1 for places in (rows, columns)]
    # A regular grid is read, which every array has; then the nearest of it.
    cut = np.asarray(array[rows[0] : frame.view.bottom : steps[0], columns[0] : frame.view.right : steps[1]])
    nearest = [
        np.clip(np.round((places - places[0]) / step), 0, side - 1).astype(np.intp)
        for places, step, side in zip((rows, columns), steps, cut.shape, strict=True)
    ]
    return cut[np.ix_(*nearest)]


def write_whole_mask(path: str | Path, prediction: Prediction, shape: tuple[int, int]) -> None:
    """Write the mask as a tiled TIFF of the image's size, uint8: 0 and 255.

    Parameters
    ----------
    path : path
    prediction : Prediction
    shape : (int, int)
        Rows and columns of the image.
    """
    write_tiles(path, _tiles(prediction, shape), shape, np.dtype(np.uint8))


def write_tiles(
    path: str | Path,
    tiles: Iterator[NDArray[Any]],
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    *,
    side: int = TILE,
    big: bool | None = None,
    pixel_size: Sequence[float] | None = None,
) -> None:
    """Write a compressed TIFF tile after tile, so that it is never held whole.

    Parameters
    ----------
    path : path
    tiles : iterator of (side, side) array
        Row by row, those at the border filled up.
    shape : (int, int)
        Rows and columns of the image.
    dtype : dtype
    side : int
        Of a tile, in pixels.
    big : bool, optional
        Whether it is a BigTIFF; by default tifffile decides.
    pixel_size : (float, float), optional
        Height and width of a pixel, kept as the file's resolution.
    """
    height, width = (1.0, 1.0) if pixel_size is None else (abs(float(side)) or 1.0 for side in pixel_size)
    tifffile.imwrite(
        path,
        tiles,
        shape=shape,
        dtype=dtype,
        tile=(side, side),
        compression="zlib",
        photometric="minisblack",
        bigtiff=big,
        resolution=(1 / width, 1 / height),
    )


def write_region(path: str | Path, prediction: Prediction) -> None:
    """Write where the other files lie, as JSON: box in pixels of the image, rows and columns of cells in it."""
    frame = prediction.frame
    view = frame.view
    record = {
        "top": view.top,
        "left": view.left,
        "bottom": view.bottom,
        "right": view.right,
        "rows": frame.shape[0],
        "columns": frame.shape[1],
    }
    Path(path).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _tiles(prediction: Prediction, shape: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    frame = prediction.frame
    cells = prediction.mask.astype(np.uint8) * 255
    empty = np.zeros((TILE, TILE), np.uint8)
    for top in range(0, shape[0], TILE):
        rows, in_rows = _cells_of(top, frame.view.top, frame.cell[0], cells.shape[0])
        for left in range(0, shape[1], TILE):
            columns, in_columns = _cells_of(left, frame.view.left, frame.cell[1], cells.shape[1])
            if not (in_rows.any() and in_columns.any()):
                yield empty
                continue
            tile = empty.copy()
            tile[np.ix_(in_rows, in_columns)] = cells[np.ix_(rows[in_rows], columns[in_columns])]
            yield tile


def _cells_of(start: int, first: int, cell: float, count: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The cell of each pixel from ``start`` on along one axis, and whether there is one."""
    cells = np.floor((np.arange(start, start + TILE) + 0.5 - first) / cell).astype(np.intp)
    return cells, (cells >= 0) & (cells < count)
