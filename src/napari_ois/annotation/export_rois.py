"""One rule: an object of one plane is one ImageJ ROI, whose outline runs between its pixels and the others.

A single outline is a polygon; holes and separate parts make a composite. Coordinates are ImageJ's: x, y with
the first pixel from 0 to 1. A slice of a three-axis array is the ROI's position; of more axes, its time and z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.errors import InputError

MOVE, LINE, CLOSE = 0.0, 1.0, 4.0
"""ImageJ's codes for the parts of a path."""


def write_rois(path: Path, labels: NDArray[Any], table: Mapping[str, Sequence[Any]] | None = None) -> None:
    """Write a zip of ROIs that ImageJ's ROI manager opens.

    Names are ``label-index`` or, with the table's names, ``label-index name``, so that the id can be read back.

    Parameters
    ----------
    path : path
        Ends with ``.zip``.
    labels : integer array of two to four axes
    table : mapping, optional
        With columns ``index`` and ``name``.

    Raises
    ------
    InputError
        If roifile is not installed, there is no object, or there are more than four axes.
    """
    roifile = _library()
    if labels.ndim > 4:
        raise InputError(f"ImageJ ROIs hold up to four axes, but these labels have {labels.ndim}.")
    names: dict[int, str] = {}
    if table is not None and "name" in table:
        names = {int(label): str(name) for label, name in zip(table["index"], table["name"], strict=True)}
    rois = []
    for index in np.ndindex(labels.shape[:-2]):
        plane = labels[index]
        for label in np.unique(plane[plane != 0]):
            parts = [f"{int(label)}", *(str(i) for i in index)]
            name = "-".join(parts) + (f" {names[int(label)]}" if int(label) in names else "")
            rois.append(_roi(roifile, outlines(plane == label), name, tuple(int(i) for i in index)))
    if not rois:
        raise InputError("There is no object to export; these labels are empty.")
    roifile.roiwrite(path, rois, mode="w")


def read_rois(path: Path, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Read back what :func:`write_rois` wrote into labels of a shape; a pixel is in a ROI if its centre is."""
    roifile = _library()
    labels = np.zeros(shape, np.int32)
    found = roifile.roiread(path)
    for roi in found if isinstance(found, list) else [found]:
        label, *index = (int(part) for part in roi.name.split(" ")[0].split("-"))
        paths = roi.coordinates(multi=True) if roi.composite else [roi.coordinates()]
        labels[tuple(index)][fill(paths, (shape[-2], shape[-1]))] = label
    return labels


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.float32]]:
    """The closed outlines of a mask, holes too: each (N, 2) float32 x, y, halfway between pixels in and out."""
    from skimage.measure import find_contours

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    corner = np.array([columns[0], rows[0]], np.float32)
    window = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    # Less 1 for the padding, and 0.5 more since ImageJ's first pixel has its centre at 0.5.
    return [
        (line[:-1, ::-1] - 0.5).astype(np.float32) + corner
        for line in find_contours(window.astype(np.float32), 0.5, fully_connected="low")
    ]


def fill(paths: Sequence[NDArray[Any]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie in an odd number of closed paths, (H, W) bool."""
    crossings = np.zeros((shape[0], shape[1] + 1), np.int32)
    for path in paths:
        points = np.asarray(path, np.float64) - 0.5  # pixel centres at integers
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            low, high = (y0, y1) if y0 <= y1 else (y1, y0)
            rows = np.arange(max(0, int(np.ceil(low))), min(shape[0], int(np.ceil(high))))
            if len(rows):
                across = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
                np.add.at(crossings, (rows, np.clip(np.ceil(across), 0, shape[1]).astype(int)), 1)
    return np.cumsum(crossings[:, :-1], axis=1) % 2 == 1


def _roi(roifile: Any, paths: list[NDArray[np.float32]], name: str, index: tuple[int, ...]) -> Any:
    place: dict[str, int] = {}
    if len(index) == 1:
        place = {"position": index[0]}
    elif len(index) == 2:
        place = {"t": index[0], "z": index[1]}
    roi = roifile.ImagejRoi.frompoints(np.concatenate(paths), name=name, **place)
    if len(paths) > 1:
        # A composite is a rectangle with a path: codes and coordinates one after the other.
        codes: list[float] = []
        for path in paths:
            for number, (x, y) in enumerate(path):
                codes += [LINE if number else MOVE, float(x), float(y)]
            codes.append(CLOSE)
        roi.roitype = roifile.ROI_TYPE.RECT
        roi.options &= ~roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION
        roi.n_coordinates = 0
        roi.integer_coordinates = roi.subpixel_coordinates = None
        roi.multi_coordinates = np.array(codes, np.float32)
        roi.shape_roi_size = len(codes)
    return roi


def _library() -> Any:
    try:
        import roifile
    except ImportError as error:
        raise InputError("ImageJ ROIs need roifile, which is not installed; run: pip install roifile.") from error
    return roifile
