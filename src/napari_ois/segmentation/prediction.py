"""One rule: an answer has the image's own resolution; order maps are made when first read.

Of an image of more than 4096 x 4096 pixels an answer holds the region that was worked on, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_ois.network.order import depth_at_clicks, order_map, positive_order_map
from napari_ois.segmentation.frame import Frame
from napari_ois.segmentation.view import View

if TYPE_CHECKING:
    from napari_ois.segmentation.inspection import Looked


@dataclass(frozen=True, eq=False)
class PredictionState:
    """What the next click on the same object needs; opaque to callers, who pass it as ``previous``.

    Attributes
    ----------
    logits : (1, 1, h, w) float32 tensor
        Logits at the network's input resolution.
    view : View
        The part of the image that they belong to.
    image : object
        Stands for the image that was set when the click was answered.
    before : tensor like ``logits``, or None
        What the network had said before in this view, to answer the same clicks again.
    frame : Frame or None
        Of a large image: where the answer lies. None = all of the image.
    bound : View or None
        A box that the object is known to lie in, for as long as no positive click says otherwise.
    """

    logits: torch.Tensor
    view: View
    image: object
    before: torch.Tensor | None = None
    frame: Frame | None = None
    bound: View | None = None


def bound_of(state: PredictionState | None, positives: NDArray[np.float32]) -> View | None:
    """The box that a state keeps its object in, if all (N, 2) positive clicks lie there too."""
    bound = None if state is None else state.bound
    return bound if bound is not None and bound.holds(positives).all() else None


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to a set of clicks on one object.

    (H, W) are the rows and columns of the image or, where the image is large, of :attr:`frame`.

    Attributes
    ----------
    mask : (H, W) bool
        Where the probability is above 0.49.
    probability : (H, W) float32 in [0, 1]
    score : float
        Confidence: mean probability over the mask's pixels; 0 for an empty mask.
    depth : (H, W) float32 in [0, 1]
        Normalised depth of the whole image, larger = nearer. In a close-up the network normalises the
        depth anew, so that order is as fine there as the view is.
    points : (N, 2) float32
        The clicks, row and column in image pixels.
    labels : (N,) int64
        1 positive, 0 negative.
    state : PredictionState
        Pass it as ``previous`` with the next click.
    looked : Looked or None
        What the attention looked at, where it was asked for; see
        :class:`napari_ois.segmentation.inspection.Inspection`.
    """

    mask: NDArray[np.bool_]
    probability: NDArray[np.float32]
    score: float
    depth: NDArray[np.float32] = field(repr=False)
    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    state: PredictionState = field(repr=False)
    looked: Looked | None = field(default=None, repr=False)

    @property
    def view(self) -> View:
        """The part of the image that was looked at: all of it, or a close-up of a small object."""
        return self.state.view

    @property
    def frame(self) -> Frame:
        """Where the arrays lie: all of the image; of a large one, the region that was worked on."""
        height, width = self.mask.shape
        return self.state.frame or Frame.whole((height, width))

    @cached_property
    def positive_order_map(self) -> NDArray[np.float32]:
        """Distance in depth to the mean of the positive clicks, (H, W) float32 (Eq. 1)."""
        depth, points, labels = self._tensors()
        return positive_order_map(depth, points, labels)[0, 0].numpy()

    @cached_property
    def negative_order_maps(self) -> NDArray[np.float32]:
        """Distance in depth to each negative click, oldest first, (K, H, W) float32 (Eq. 2).

        NaN for a click outside of a large image's frame, on whose scale its depth is not known.
        """
        references = torch.from_numpy(self.depths_at_clicks()[self.labels == 0])
        return order_map(torch.from_numpy(self.depth), references[:, None, None]).numpy()

    def depths_at_clicks(self) -> NDArray[np.float32]:
        """Depth under each click, (N,) float32 in [0, 1]; NaN outside of the frame."""
        depth, points, _ = self._tensors()
        inside = torch.from_numpy(self.frame.view.holds(self.points))
        return torch.where(inside, depth_at_clicks(depth, points)[0], torch.nan).numpy()

    @property
    def local_view(self) -> View:
        """The part of the arrays that was looked at."""
        frame, view = self.state.frame, self.state.view
        if frame is None:
            return view
        if view == frame.view:
            return View.whole(frame.shape)
        top, left = view.top - frame.view.top, view.left - frame.view.left
        return View(top, left, top + view.shape[0], left + view.shape[1])

    @property
    def local_points(self) -> NDArray[np.float32]:
        """The clicks, row and column in the arrays, (N, 2) float32; those outside of the frame lie outside of these."""
        return self.points if self.state.frame is None else self.state.frame.to_cells(self.points)

    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Depth (1, 1, H, W), points (1, N, 2) and labels (1, N), as floor 0 takes them."""
        return (
            torch.from_numpy(self.depth)[None, None],
            torch.from_numpy(self.local_points)[None],
            torch.from_numpy(self.labels)[None],
        )
