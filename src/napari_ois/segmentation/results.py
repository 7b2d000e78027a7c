"""One rule: what the network said at its input's resolution becomes a mask at the image's, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_ois.segmentation.image import resize
from napari_ois.segmentation.prediction import Prediction, PredictionState
from napari_ois.segmentation.runner import MASK_THRESHOLD

if TYPE_CHECKING:
    from napari_ois.segmentation.runner import Answer, Asked
    from napari_ois.segmentation.scene import Scene
    from napari_ois.segmentation.view import CloseUp, View

SURE = 6.0
"""Logit of a pixel that a given mask holds: probability 0.998."""


def at_image_resolution(scene: Scene, asked: Asked, answer: Answer, depth: NDArray[np.float32]) -> Prediction:
    """Bring an answer to the image's resolution; nothing of the object lies outside of its view."""
    view = answer.view
    # The antialiased kernel is not there on every version of MPS; the copy is small.
    source = answer.logits.cpu() if answer.logits.device.type == "mps" else answer.logits
    with torch.inference_mode():
        full = functional.interpolate(source, size=view.shape, mode="bilinear", antialias=True)
    probability = np.zeros(scene.shape, np.float32)
    probability[view.rows, view.columns] = full[0, 0].sigmoid().cpu().numpy()
    mask = probability > MASK_THRESHOLD
    return Prediction(
        mask=mask,
        probability=probability,
        score=float(probability[mask].mean()) if mask.any() else 0.0,
        depth=depth,
        points=asked.points,
        labels=asked.labels,
        state=PredictionState(logits=answer.logits, view=view, image=scene, before=answer.before),
        looked=answer.looked,
    )


def sure_of(scene: Scene, mask: NDArray[np.bool_], close_up: CloseUp | None) -> tuple[torch.Tensor, View]:
    """Logits that say a given (H, W) mask, on the CPU, and the view that they are in."""
    view = scene.whole.view
    if close_up is not None:
        rows, columns = np.nonzero(mask)
        inside = np.array([[rows[0], columns[0]]], np.float32)
        view = close_up.closer(mask, view, inside, scene.shape) or view
    size = scene.look(view).geometry.input_shape
    share = resize(mask[view.rows, view.columns].astype(np.float32), size)
    return torch.from_numpy(SURE * (2 * share - 1))[None, None], view
