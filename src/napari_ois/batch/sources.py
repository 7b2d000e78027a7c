"""One rule: an image of a batch is one plane, named once: a file of a folder, or a plane of an OME-Zarr.

An OME-Zarr has planes along its leading axes; an image file is one plane, with or without colour.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.errors import InputError
from napari_ois.segmentation.files import read_image

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


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any((path / name).is_file() for name in (".zgroup", ".zarray", ".zattrs", "zarr.json"))


def open_zarr(path: Path) -> tuple[Any, list[str]]:
    """Open the finest level of an OME-Zarr, or a plain array.

    Returns
    -------
    array : zarr array
    axes : list of str
        Their names, such as t, c, z, y, x; the last two are rows and columns.

    Raises
    ------
    InputError
        If zarr is not installed, or this is no image.
    """
    try:
        import zarr
    except ImportError as error:
        raise InputError("OME-Zarr needs zarr, which is not installed; run: pip install 'zarr>=3'.") from error
    try:
        found: Any = zarr.open(str(path), mode="r")
        if isinstance(found, zarr.Array):
            return found, _axes(None, found.ndim, path)
        attributes: dict[str, Any] = dict(found.attrs)
        image = attributes.get("ome", attributes)["multiscales"][0]  # version 0.5 put it one level deeper
        array = found[image["datasets"][0]["path"]]
    except (KeyError, IndexError, TypeError, ValueError, OSError) as error:
        raise InputError(f"{path} is no OME-Zarr image that can be read ({error}).") from error
    return array, _axes(image.get("axes"), array.ndim, path)


def _axes(named: Any, ndim: int, path: Path) -> list[str]:
    usual = ["t", "c", "z", "y", "x"]
    names = [str(axis["name"] if isinstance(axis, dict) else axis) for axis in named or usual[-ndim:]]
    if len(names) != ndim or ndim < 2:
        raise InputError(f"{path} has {ndim} axes, but its metadata name {len(names)}; the file is damaged.")
    if "c" in names[-2:]:
        raise InputError(f"The last two axes of {path} must be rows and columns, not channels.")
    return [re.sub(r"\W", "", name).lower() or "axis" for name in names]
