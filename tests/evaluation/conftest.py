"""A small collection of disks, and a network that costs nothing."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from skimage.io import imsave


def disk(shape, place, radius):
    rows, columns = np.indices(shape)
    return (rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= radius**2


@pytest.fixture
def disks(tmp_path):
    """Two sets, three images, four bright disks on dark ground."""
    folder = tmp_path / "disks"
    rows = []
    for name, places in {"x": [(20, 18), (20, 44)], "y": [(24, 30)], "z": [(18, 40)]}.items():
        labels = np.zeros((40, 60), np.uint8)
        for number, place in enumerate(places, start=1):
            labels[disk(labels.shape, place, 9)] = number
            owner = "round" if name == "x" else "single"
            rows.append([owner, "made", f"{name}.png", f"{name}-mask.png", "", str(number)])
        image = np.stack([np.where(labels > 0, 200, 40), np.where(labels > 0, 90, 60), labels * 0 + 50], axis=-1)
        folder.mkdir(exist_ok=True)
        imsave(folder / f"{name}.png", image.astype(np.uint8), check_contrast=False)
        imsave(folder / f"{name}-mask.png", labels, check_contrast=False)
    with (folder / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["set", "domain", "image", "mask", "depth", "object_id"], *rows])
    return folder
