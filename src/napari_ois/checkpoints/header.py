"""What a checkpoint file says of itself, read without torch.

The rule of this file: it opens headers and counts bytes; the tensors stay on the disk.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError, safe_open

from napari_ois.errors import WeightsError

FORMAT = "napari-ois 1"
"""Written into every header, so that a file of another program is told from a damaged one."""


def read_metadata(path: Path) -> dict[str, str]:
    """Read a checkpoint's header.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or none of ours.
    """
    if not path.is_file():
        raise WeightsError(f"There is no checkpoint file {path}; check the path.")
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise damaged(path) from error
    if metadata.get("format") != FORMAT or not metadata.get("preset"):
        raise WeightsError(
            f"{path} is no checkpoint of napari-ois; choose a file that `napari-ois train --export` wrote."
        )
    return metadata


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; remembered for 32 files until they change."""
    status = os.stat(path)
    return _hash(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=32)
def _hash(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def damaged(path: Path) -> WeightsError:
    """Say that a file cannot be read."""
    return WeightsError(f"{path} is damaged or no file of weights; copy or download it again.")
