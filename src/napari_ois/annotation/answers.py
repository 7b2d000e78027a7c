"""One rule: the network's answer, on whatever frame it lies, becomes a packed mask of the whole plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.annotation.objects import AnnotatedObject
from napari_ois.annotation.packed import Box, PackedMask
from napari_ois.annotation.reading import played_positives, read_answer
from napari_ois.segmentation.lazy_plane import is_large


def pack_answer(prediction: Any, shape: tuple[int, int], obj: AnnotatedObject | None = None) -> PackedMask:
    """Pack an answer, as its object reads it.

    Parameters
    ----------
    prediction : Prediction
        Of an ordinary image, or of a region of a large one.
    shape : (int, int)
        Rows and columns of the plane.
    obj : AnnotatedObject, optional
        Whose clicks were answered; without it the mask is the predictor's own.
    """
    mask = read_cells(prediction, shape, obj)
    if not is_large(shape):
        return PackedMask.pack(mask)
    return PackedMask.from_cells(mask, frame_box(prediction.frame), shape)


def read_cells(prediction: Any, shape: tuple[int, int], obj: AnnotatedObject | None) -> NDArray[np.bool_]:
    """The answer's own mask, on its own frame, as the object reads it; parameters are those of :func:`pack_answer`."""
    if obj is None:
        return np.asarray(prediction.mask)
    positives = played_positives(prediction, obj.clicks)
    if is_large(shape):
        positives = prediction.frame.to_cells(positives)
    return read_answer(prediction, obj.settings, positives)


def frame_box(frame: Any) -> Box:
    """The box of a frame, in pixels of the plane."""
    view = frame.view
    return view.top, view.left, view.bottom, view.right
