"""One rule: an image of a batch is one plane, named once: a file of a folder, or a plane of an OME-Zarr.

An OME-Zarr has planes along its leading axes; an image file is one plane, with or without colour. A large plane is
opened and not read: what works on it reads windows.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ois.errors import InputError
from napari_ois.segmentation.image_files import open_file, open_image
from napari_ois.segmentation.lazy_plane import is_large
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
    if not os.path.isdir(source):  # Path.is_dir fails below a folder that may not be entered
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
    # Without the suffix where no other result, on a disk that knows no capitals either, could have that name.
    stems = Counter(file.stem.casefold() for file in files)
    whole = {file.name.casefold() for file in files}
    short = [stems[stem] == 1 and stem not in whole for stem in (file.stem.casefold() for file in files)]
    return [Plane(file.stem if alone else file.name, str(file)) for file, alone in zip(files, short, strict=True)]


def open_plane(plane: Plane) -> tuple[Any, int | None]:
    """Read the pixels of a plane; of more than 4096 x 4096 pixels, open it.

    Returns
    -------
    pixels : (H, W), (H, W, 3 or 4), or (H, W, C) array
        What :meth:`napari_ois.Predictor.set_image` takes; of a large plane it is read where it is sliced, and a list
        where the file has the levels of a pyramid. A file whose channels do not come last has them as they are.
    channel_axis : int or None
        2 where the last axis holds channels that are no colours.

    Raises
    ------
    InputError
        If it cannot be opened or read, or is not there any more.
    """
    path = Path(plane.path)
    if is_zarr(path):
        opened = open_image(path, plane.index)
        return opened.pixels, opened.channel_axis
    levels, _ = open_file(path)
    # Which axis holds channels is not known here, and a session may say it: the two longest are rows and columns.
    if is_large(sorted(levels[0].shape)[-2:] if levels[0].ndim > 1 else (0, 0)):
        return (levels if len(levels) > 1 else levels[0]), None
    return np.asarray(levels[0]), None
