"""One rule: of a large plane only the region that was worked on is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.annotation import PackedMask
from napari_ois.annotation.answers import frame_box, pack_answer
from napari_ois.segmentation.frame import Frame
from napari_ois.segmentation.lazy_plane import is_large

if TYPE_CHECKING:
    from napari_ois._napari.worker import Answer
    from napari_ois.annotation import AnnotatedObject


def shown_part(
    obj: AnnotatedObject | None, prediction: Any, shape: tuple[int, int]
) -> tuple[NDArray[np.bool_] | None, Frame | None]:
    """What the preview is to show of an object.

    Parameters
    ----------
    obj : AnnotatedObject or None
    prediction : Prediction or None
        The answer to its clicks, where it is known.
    shape : (int, int)
        Of the plane.

    Returns
    -------
    mask : bool array, or None where there is nothing
        (H, W); of a large plane, of the frame.
    frame : Frame or None
        None for an ordinary plane.
    """
    if obj is None:
        return None, None
    if not is_large(shape):
        return obj.mask(prediction), None
    if prediction is not None and obj.edits is None and obj.settings.read_as_it_is:
        return prediction.mask, prediction.frame
    packed = _packed(obj, prediction, shape)
    if packed is None:
        return None, None
    if prediction is not None:
        frame = prediction.frame
    else:
        box = packed.box or (0, 0, 1, 1)
        frame = Frame.around(box[:2], box[2:], shape)
    return packed.cells(frame_box(frame), frame.shape), frame


def whole_mask(obj: AnnotatedObject, answer: Answer | None, shape: tuple[int, int]) -> PackedMask | None:
    """An object's mask with its brush strokes, packed; those outside of the frame that is shown are in it too."""
    return _packed(obj, None if answer is None else answer.prediction, shape)


def _packed(obj: AnnotatedObject, prediction: Any, shape: tuple[int, int]) -> PackedMask | None:
    return obj.packed(None if prediction is None else pack_answer(prediction, shape, obj))
