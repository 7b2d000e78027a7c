"""One rule: an image of a batch is one plane, named once: a file of a folder, or a plane of an OME-Zarr.

An OME-Zarr has planes along its leading axes; an image file is one plane, with or without colour.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.errors import InputError
from napari_ois.segmentation.files import read_image
from napari_ois.segmentation.ome_zarr import is_zarr, open_zarr

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".npy")


@dataclass(frozen=True)
class Plane:
    """One plane to be worked on.

    Attributes
    ----------
    name : str
        Its results' name, the same each time.
    path : str
        Of the image's file or OME-Zarr; absolute, as a worker elsewhere sees it too.
    index : tuple of int
        Of the leading axes of an OME-Zarr, channels left out; empty for an image file.
    """

    name: str
    path: str
    index: tuple[int, ...] = ()


def list_planes(source: str | Path) -> list[Plane]:
    """Find all planes of a folder of images or of an OME-Zarr, in order.

    Raises
    ------
    InputError
        If there is no such folder, no image in it, or the OME-Zarr cannot be read.
    """
    source = Path(source).absolute()
    if not source.is_dir():
        raise InputError(f"There is no folder {source}; give a folder of images or an OME-Zarr.")
    if is_zarr(source):
        array, axes = open_zarr(source)
        leading = [axis for axis, name in enumerate(axes[:-2]) if name != "c"]
        shape = tuple(array.shape[axis] for axis in leading)
        names = [axes[axis] for axis in leading]
        return [
            Plane("_".join(f"{n}{i:04d}" for n, i in zip(names, index, strict=True)) or "plane", str(source), index)
            for index in np.ndindex(shape)
        ]
    files = sorted(
        file
        for file in source.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not files:
        raise InputError(f"There is no image in {source}; give a folder of {', '.join(SUFFIXES)} files.")
    stems = Counter(file.stem for file in files)
    return [Plane(file.stem if stems[file.stem] == 1 else file.name, str(file)) for file in files]


def read_plane(plane: Plane) -> tuple[NDArray[Any], int | None]:
    """Read the pixels of a plane.

    Returns
    -------
    pixels : (H, W), (H, W, 3 or 4), or (H, W, C) array
    channel_axis : int or None
        2 where the last axis holds channels that are no colours.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = Path(plane.path)
    if not is_zarr(path):
        return read_image(path), None
    array, axes = open_zarr(path)
    rest = iter(plane.index)
    try:
        cut = array[tuple(slice(None) if name == "c" else next(rest) for name in axes[:-2])]
    except (StopIteration, IndexError) as error:
        raise InputError(f"{path} has no plane {plane.name}; it has changed.") from error
    pixels = np.asarray(cut)
    return (np.moveaxis(pixels, 0, -1), 2) if pixels.ndim == 3 else (pixels, None)
