"""One rule: a map of order that a session needs lies beside the session's file, under the map's own key."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ois.errors import InputError
from napari_ois.segmentation.depth import depth_key, prepare_depth
from napari_ois.segmentation.files import read_image


def map_file(session: Path, key: str) -> Path:
    """Where the map of a session lies: ``cells.json`` has ``cells.order-KEY.tif``."""
    return session.with_name(f"{session.stem}.order-{key}.tif")


def read_maps(session: Path, keys: Iterable[str], others: Iterable[Path] = ()) -> dict[str, NDArray[np.float32]]:
    """Read the maps that are there.

    Parameters
    ----------
    session : Path
        The session's file.
    keys : iterable of str
        Which maps.
    others : iterable of Path
        More files to look in; whatever they hold is prepared as a depth where larger is nearer.

    Returns
    -------
    dict of str to (H, W) float32
        By their keys: a file whose pixels do not have the key that its name or its session tells is passed over.

    Raises
    ------
    InputError
        If one of the other files cannot be read.
    """
    wanted = set(keys)
    found: dict[str, NDArray[np.float32]] = {}
    for path in [path for path in (map_file(session, key) for key in sorted(wanted)) if path.is_file()]:
        try:
            _take(path, wanted, found)
        except InputError:  # damaged: the same as not there
            continue
    for path in others:
        _take(path, wanted, found)
    return found


def _take(path: Path, wanted: set[str], found: dict[str, NDArray[np.float32]]) -> None:
    values = read_image(path)
    depth = prepare_depth(values, (values.shape[0], values.shape[-1]))
    key = depth_key(depth)
    if key in wanted:
        found[key] = depth
