"""One rule: an OME-Zarr is its levels, finest first, and the names of its axes; nothing of its pixels is read here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from napari_ois.errors import InputError

MARKS = (".zgroup", ".zarray", ".zattrs", "zarr.json")
"""Files of which a Zarr array or group has one."""


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any((path / name).is_file() for name in MARKS)


def open_levels(path: Path) -> tuple[list[Any], list[str]]:
    """Open all levels of an OME-Zarr, or a plain array.

    Parameters
    ----------
    path : Path
        Of the folder. A group that says nothing of its levels has one, called 0.

    Returns
    -------
    levels : list of zarr array
        Finest first.
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
        raise InputError('OME-Zarr needs zarr, which is not installed; run: pip install "zarr>=3".') from error
    try:
        found: Any = zarr.open(str(path), mode="r")
        if isinstance(found, zarr.Array):
            return [found], _axes(None, found.ndim, path)
        attributes: dict[str, Any] = dict(found.attrs)
        attributes = attributes.get("ome", attributes)  # version 0.5 put it one level deeper
        if "multiscales" not in attributes and isinstance(found.get("0"), zarr.Array):
            return [found["0"]], _axes(None, found["0"].ndim, path)
        image = attributes["multiscales"][0]
        levels = [found[level["path"]] for level in image["datasets"]]
    except (KeyError, IndexError, TypeError, ValueError, OSError) as error:
        raise InputError(f"{path} is no OME-Zarr image that can be read ({error}).") from error
    return levels, _axes(image.get("axes"), levels[0].ndim, path)


def open_zarr(path: Path) -> tuple[Any, list[str]]:
    """The finest level and the names of its axes; see :func:`open_levels`."""
    levels, axes = open_levels(path)
    return levels[0], axes


def _axes(named: Any, ndim: int, path: Path) -> list[str]:
    usual = ["t", "c", "z", "y", "x"]
    names = [str(axis["name"] if isinstance(axis, dict) else axis) for axis in named or usual[-ndim:]]
    if len(names) != ndim or ndim < 2:
        raise InputError(f"{path} has {ndim} axes, but its metadata name {len(names)}; the file is damaged.")
    if "c" in names[-2:]:
        raise InputError(f"The last two axes of {path} must be rows and columns, not channels.")
    return [re.sub(r"\W", "", name).lower() or "axis" for name in names]
