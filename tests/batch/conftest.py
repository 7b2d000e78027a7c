"""A predictor that answers at once, by rules that a test can compute itself."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zarr

from napari_ois.errors import InputError


class Squares:
    """The square of 5 x 5 pixels around the newest positive click; bright pixels for prompts."""

    def __init__(self):
        self.images = 0

    def set_image(self, image, channel_axis=None, depth=None):
        image = np.asarray(image)
        if image.dtype.kind not in "buif":
            raise InputError("no image")
        self.images += 1
        self.image = image if image.ndim == 2 else image.mean(-1 if channel_axis is None else channel_axis)

    @property
    def image_shape(self):
        return self.image.shape

    def predict(self, points, labels, previous=None):
        row, column = (round(float(i)) for i in points[np.flatnonzero(labels)[-1]])
        mask = np.zeros(self.image.shape, bool)
        mask[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = True
        return SimpleNamespace(mask=mask, probability=mask.astype(np.float32), score=0.75, state=len(points))

    def answer_each(self, points, view):
        logits = np.where(self.image > 100, 8.0, -8.0).astype(np.float32)
        return torch.from_numpy(np.repeat(logits[None], len(points), axis=0))


@pytest.fixture
def squares():
    return Squares()


@pytest.fixture
def make_zarr():
    """Write an array as an OME-Zarr, by version 0.4 or, nested, 0.5."""

    def make(path, array, axes, *, nested=False):
        group = zarr.open_group(str(path), mode="w", zarr_format=3 if nested else 2)
        group.create_array("0", shape=array.shape, dtype=array.dtype)[...] = array
        described = [{"multiscales": [{"axes": [{"name": name} for name in axes], "datasets": [{"path": "0"}]}]}]
        group.attrs.update({"ome": described[0]} if nested else described[0])
        return path

    return make
