"""One rule: a file is there whole or not at all, and the one before stays until then."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a place beside a file to write into; it takes the file's name when the block ends well.

    Parameters
    ----------
    path : Path
        In a folder that is there.

    Raises
    ------
    OSError
        If it cannot be moved there; nothing is left beside it.
    """
    staging = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        yield staging
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)
