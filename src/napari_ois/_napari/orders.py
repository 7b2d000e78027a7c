"""One rule: a depth map that objects were answered with is kept under its key, with what it means.

The key follows from the map alone, so a map that comes again - chosen anew, read from a file - is the same one.
Beside a session file lies one TIFF for each map that the session's objects need.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_ois.annotation import AnnotatedObject
from napari_ois.errors import InputError
from napari_ois.segmentation.depth import depth_key
from napari_ois.segmentation.order_files import map_file, read_maps
from napari_ois.segmentation.whole_file import whole_file

UNKNOWN = "a map that is not here"


class Orders:
    """The depth maps of one image."""

    def __init__(self) -> None:
        self._maps: dict[str, NDArray[np.float32]] = {}
        self._records: dict[str, dict[str, Any]] = {}

    def add(self, depth: NDArray[np.float32], record: dict[str, Any]) -> str:
        """Keep a map.

        Parameters
        ----------
        depth : (H, W) float32 in [0, 1]
            As :func:`napari_ois.segmentation.depth.prepare_depth` gives it.
        record : dict
            What a session file says of it; ``statement`` for the user.

        Returns
        -------
        str
            Its key.
        """
        key = depth_key(depth)
        self._maps[key] = depth
        self._records[key] = dict(record)
        return key

    def depth(self, key: str) -> NDArray[np.float32] | None:
        """The map; None where it is the model's own, or not here."""
        return self._maps.get(key)

    def statement(self, key: str) -> str:
        """What the map means, for the user."""
        return str(self._records.get(key, {}).get("statement", UNKNOWN))

    def learn(self, record: dict[str, Any], maps: dict[str, NDArray[np.float32]]) -> None:
        """Take over what a session file says of maps, and those of them that are here, by their keys."""
        self._maps.update(maps)
        said = record.get("maps", {})
        for key, one in said.items() if isinstance(said, dict) else ():
            if isinstance(one, dict):
                self._records.setdefault(str(key), dict(one))

    def record(self, objects: Iterable[AnnotatedObject]) -> dict[str, Any]:
        """What a session file says of the maps that these objects need."""
        needed = sorted({obj.settings.order for obj in objects} - {""})
        return {"maps": {key: self._records.get(key, {}) for key in needed}} if needed else {}

    def write(self, session: Path, objects: Iterable[AnnotatedObject]) -> None:
        """Write the maps that these objects need beside their session file, where they are not yet; in any thread.

        Raises
        ------
        InputError
            If a file cannot be written; what was there is there still.
        """
        needed = {obj.settings.order for obj in objects} & set(self._maps)
        for key in needed - set(read_maps(session, needed)):
            path = map_file(session, key)
            try:
                with whole_file(path) as staging:
                    tifffile.imwrite(staging, self._maps[key], compression="zlib")
            except OSError as error:
                raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
