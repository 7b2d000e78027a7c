"""One rule: a slice is answered as any object is - its clicks, and the neighbour's mask as its seed - so it replays.

Each slice is read when its turn comes, and embedded once for all that is asked of it in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.annotation.clicks import Clicks
from napari_ois.annotation.contrast import Contrast, contrast
from napari_ois.annotation.objects import DEFAULT_SETTINGS, AnnotatedObject, Settings
from napari_ois.annotation.planes import PlaneKey
from napari_ois.annotation.propagation import SliceAnswer
from napari_ois.annotation.replay import Replay, answerable
from napari_ois.annotation.stacks import neighbour_seed
from napari_ois.errors import InputError
from napari_ois.segmentation.lazy_plane import is_large

UNSURE = (0.2, 0.8)
"""Probabilities between which a pixel is neither surely the object nor surely not."""


def check_planes(shape: Sequence[int]) -> None:
    """InputError for planes so large that an answer is of a region: no mask of the slice to go on from."""
    if is_large(shape):
        raise InputError("These planes are worked on in regions, which cannot be propagated yet; crop the stack.")


class SliceAnswers:
    """Answers slices of one stack; a :data:`~napari_ois.annotation.propagation.PredictSlice`.

    Parameters
    ----------
    predictor : Predictor
        Its image is changed. What it is given must have ``set_image``, ``predict`` and ``state_from_mask``.
    read : callable
        From a slice's number, its pixels as the predictor takes them.
    settings : Settings, optional
        Strength of order and threshold; a depth map is of one slice only, so the others have the model's own.
    channel_axis : int, optional
        Of the pixels read, any of the three; by default they have none but colour.
    orders : callable, optional
        From the key of a depth map (see :class:`Settings`), the map for the slice; None for the model's own.
    """

    def __init__(
        self,
        predictor: Any,
        read: Callable[[int], Any],
        settings: Settings = DEFAULT_SETTINGS,
        *,
        channel_axis: int | None = None,
        orders: Callable[[str], Any] = lambda key: None,
    ) -> None:
        self._predictor, self._read = predictor, read
        self._channel_axis = channel_axis
        self._options = {} if channel_axis is None else {"channel_axis": 2}
        self._slice = AnnotatedObject(0, PlaneKey(), "a slice", settings=replace(settings, order=""))
        self._orders = orders
        self._set: tuple[int, str] | None = None  # the slice that is embedded, and with which order
        self._last: tuple[int, NDArray[Any]] | None = None  # the slice read last
        self._replay: Replay | None = None

    def __call__(self, index: int, clicks: Clicks, before: NDArray[np.bool_] | None) -> SliceAnswer:
        """Answer clicks on a slice, going on from the (H, W) mask of its neighbour where there is one."""
        obj = replace(self._slice, clicks=clicks, seed=neighbour_seed(before))
        answer = self._answer(index, obj)
        mask = obj.mask(answer)
        if answer is None or mask is None:
            return SliceAnswer(np.zeros(self._pixels(index).shape[:2] if before is None else before.shape, bool), 0.0)
        unsure = int(((answer.probability > UNSURE[0]) & (answer.probability < UNSURE[1])).sum())
        return SliceAnswer(mask, float(answer.score), unsure / max(1, int(mask.sum())))

    def mask_of(self, index: int, obj: AnnotatedObject) -> tuple[NDArray[np.bool_] | None, float]:
        """Mask and score of an object on a slice, with its brush strokes; None where there is nothing to go by."""
        answer = self._answer(index, obj)
        return obj.mask(answer), 1.0 if answer is None else float(answer.score)

    def see(self, index: int, mask: NDArray[np.bool_]) -> Contrast | None:
        """A :data:`~napari_ois.annotation.contrast.See`: the contrast of a (H, W) mask on a slice."""
        return contrast(self._pixels(index), mask)

    def _pixels(self, index: int) -> NDArray[Any]:
        if self._last is None or self._last[0] != index:
            pixels = np.asarray(self._read(index))
            pixels = pixels if self._channel_axis is None else np.moveaxis(pixels, self._channel_axis, -1)
            check_planes(pixels.shape)
            self._last = index, pixels
        return self._last[1]

    def _answer(self, index: int, obj: AnnotatedObject) -> Any:
        if not answerable(obj.clicks, obj.seed):
            return None
        if self._replay is None or (index, obj.settings.order) != self._set:
            depth = self._orders(obj.settings.order)
            given = {} if depth is None else {"depth": depth}  # not every predictor takes one
            self._predictor.set_image(self._pixels(index), **self._options, **given)
            self._replay, self._set = Replay(self._predictor), (index, obj.settings.order)
        return self._replay.answer(obj.clicks, seed=obj.seed, order_strength=obj.settings.order_strength)
