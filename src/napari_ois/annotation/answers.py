"""One rule: the network's answer, on whatever frame it lies, becomes a packed mask of the whole plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ois.annotation.packed import Box, PackedMask
from napari_ois.segmentation.lazy_plane import is_large


def pack_answer(prediction: Any, shape: tuple[int, int], threshold: float | None = None) -> PackedMask:
    """Pack an answer.

    Parameters
    ----------
    prediction : Prediction
        Of an ordinary image, or of a region of a large one.
    shape : (int, int)
        Rows and columns of the plane.
    threshold : float, optional
        Of the probability; None for the predictor's own.
    """
    mask = np.asarray(prediction.mask if threshold is None else prediction.probability > threshold)
    if not is_large(shape):
        return PackedMask.pack(mask)
    return PackedMask.from_cells(mask, frame_box(prediction.frame), shape)


def frame_box(frame: Any) -> Box:
    """The box of a frame, in pixels of the plane."""
    view = frame.view
    return view.top, view.left, view.bottom, view.right
