"""Disks on small planes, and labels to write them into."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Disk = Callable[..., NDArray[np.bool_]]

SHAPE = (24, 30)


@pytest.fixture
def disk() -> Disk:
    """Makes a (24, 30) mask of a disk."""

    def make(row: float, column: float, radius: float, shape: tuple[int, int] = SHAPE) -> NDArray[np.bool_]:
        rows, columns = np.indices(shape)
        return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2

    return make
