"""One rule: what the network said at its input's resolution becomes a mask at the image's, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional

from napari_ois.errors import InputError
from napari_ois.segmentation.frame import Frame
from napari_ois.segmentation.image import resize
from napari_ois.segmentation.large_scene import LargeScene
from napari_ois.segmentation.prediction import Prediction, PredictionState
from napari_ois.segmentation.regions import region_around
from napari_ois.segmentation.runner import MASK_THRESHOLD
from napari_ois.segmentation.view import View

if TYPE_CHECKING:
    from napari_ois.segmentation.runner import Answer, Asked
    from napari_ois.segmentation.scene import Scene
    from napari_ois.segmentation.view import CloseUp

SURE = 6.0
"""Logit of a pixel that a given mask holds: probability 0.998."""


def at_image_resolution(scene: Scene, asked: Asked, answer: Answer, depth: NDArray[np.float32]) -> Prediction:
    """Bring an answer to the image's resolution; nothing of the object lies outside of its view."""
    view = answer.view
    # The antialiased kernel is not there on every version of MPS; the copy is small.
    source = answer.logits.cpu() if answer.logits.device.type == "mps" else answer.logits
    with torch.inference_mode():
        full = functional.interpolate(source, size=view.shape, mode="bilinear", antialias=True)
    probability = part = full[0, 0].sigmoid().cpu().numpy()
    mask = inside = part > MASK_THRESHOLD
    if view.shape != scene.shape:
        probability, mask = np.zeros(scene.shape, np.float32), np.zeros(scene.shape, bool)
        probability[view.rows, view.columns], mask[view.rows, view.columns] = part, inside
    return Prediction(
        mask=mask,
        probability=probability,
        score=float(part[inside].mean()) if inside.any() else 0.0,
        depth=depth,
        points=asked.points,
        labels=asked.labels,
        state=PredictionState(logits=answer.logits, view=view, image=scene, before=answer.before, bound=asked.bound),
        looked=answer.looked,
    )


def on_frame(scene: LargeScene, asked: Asked, answer: Answer, frame: Frame, depth: NDArray[np.float32]) -> Prediction:
    """Bring an answer to the cells of a frame of a large image."""
    view = answer.view
    source = answer.logits.cpu() if answer.logits.device.type == "mps" else answer.logits
    own = view == frame.view
    with torch.inference_mode():
        seen = functional.interpolate(source, size=frame.shape if own else view.shape, mode="bilinear", antialias=True)
    part = seen[0, 0].sigmoid().cpu().numpy()
    probability = part
    if not own:  # a close-up lies in a frame of pixels
        probability = np.zeros(frame.shape, np.float32)
        top, left = view.top - frame.view.top, view.left - frame.view.left
        probability[top : top + view.shape[0], left : left + view.shape[1]] = part
    inside = part > MASK_THRESHOLD
    return Prediction(
        mask=probability > MASK_THRESHOLD,
        probability=probability,
        score=float(part[inside].mean()) if inside.any() else 0.0,
        depth=depth,
        points=asked.points,
        labels=asked.labels,
        state=PredictionState(
            logits=answer.logits, view=view, image=scene, before=answer.before, frame=frame, bound=asked.bound
        ),
        looked=answer.looked,
    )


def plane_under(prediction: Prediction) -> NDArray[np.float32]:
    """The image as the network sees it, where a prediction lies: (h, w, 3) float32 in [0, 1], of its mask's shape."""
    scene: Any = prediction.state.image
    colours = scene.colours(prediction.frame.view)
    shape = prediction.frame.shape
    return colours if colours.shape[:2] == shape else resize(colours, shape).clip(0.0, 1.0)


def state_of_mask(
    scene: Scene,
    mask: ArrayLike,
    corner: tuple[int, int] | None,
    close_up: CloseUp | None,
    device: torch.device,
    bound: View | None,
) -> PredictionState:
    """Make a state of a mask that comes from elsewhere; see :meth:`napari_ois.Predictor.state_from_mask`."""
    shape = np.asarray(mask) != 0
    if corner is None and shape.shape != scene.shape:
        raise InputError(f"The mask has shape {shape.shape}, but the image has {scene.shape}; give one of its size.")
    if not shape.any():
        raise InputError("The mask is empty; give one with the object on it, or none.")
    make = sure_of_part if isinstance(scene, LargeScene) else sure_of
    logits, view = make(scene, shape, corner or (0, 0), close_up)  # type: ignore[arg-type]
    return PredictionState(logits=logits.to(device), view=view, image=scene, bound=bound)


def sure_of(
    scene: Scene, mask: NDArray[np.bool_], corner: tuple[int, int], close_up: CloseUp | None
) -> tuple[torch.Tensor, View]:
    """Logits that say a given (h, w) mask at a place of the image, on the CPU, and the view that they are in."""
    view = scene.whole.view
    if mask.shape != scene.shape or corner != (0, 0):
        mask = _placed(mask, corner, scene.shape)
        if not mask.any():
            raise InputError("The mask lies outside of the image; check its corner.")
    if close_up is not None:
        rows, columns = np.nonzero(mask)
        inside = np.array([[rows[0], columns[0]]], np.float32)
        view = close_up.closer(mask, view, inside, scene.shape) or view
    size = scene.look(view).geometry.input_shape
    return _sure(mask[view.rows, view.columns], size), view


def _placed(part: NDArray[np.bool_], corner: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask of the image's size with a part at its place; what lies beyond the image is cut off."""
    mask = np.zeros(shape, bool)
    here, there = [], []
    for start, length, side in zip(corner, part.shape, shape, strict=True):
        first, last = max(0, start), min(side, start + length)
        here.append(slice(first, max(first, last)))
        there.append(slice(first - start, max(first, last) - start))
    mask[tuple(here)] = part[tuple(there)]
    return mask


def sure_of_part(
    scene: LargeScene, mask: NDArray[np.bool_], corner: tuple[int, int], close_up: CloseUp | None
) -> tuple[torch.Tensor, View]:
    """Logits that say a given (h, w) mask of a part of a large image, and the region or close-up that they are in."""
    part = View(corner[0], corner[1], corner[0] + mask.shape[0], corner[1] + mask.shape[1])
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    low = np.array([part.top + rows[0], part.left + columns[0]], np.float32)
    high = np.array([part.top + rows[-1], part.left + columns[-1]], np.float32)
    view = region_around(low.astype(np.float64), high.astype(np.float64), scene.region_side, scene.shape)
    if close_up is not None:
        view = close_up.closer(np.zeros((1, 1), bool), view, np.stack([low, high]), scene.shape) or view
    frame = Frame.bounded(view)
    rows, columns = (
        np.floor((start + (np.arange(count) + 0.5) * cell) - first).astype(np.intp)
        for start, count, cell, first in zip(
            (view.top, view.left), frame.shape, frame.cell, (part.top, part.left), strict=True
        )
    )
    placed = np.zeros(frame.shape, bool)
    here = (rows >= 0) & (rows < mask.shape[0]), (columns >= 0) & (columns < mask.shape[1])
    placed[np.ix_(*here)] = mask[np.ix_(rows[here[0]], columns[here[1]])]
    return _sure(placed, scene.look(view).geometry.input_shape), view


def _sure(mask: NDArray[np.bool_], size: tuple[int, int]) -> torch.Tensor:
    return torch.from_numpy(SURE * (2 * resize(mask.astype(np.float32), size) - 1))[None, None]
