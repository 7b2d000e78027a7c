"""One rule: an answer that nobody asked for must earn its place, and it does so before it is enlarged.

What is unsure, changes with its threshold, is cut off by a window or fills what was looked at goes at the network's
resolution. Only what is left is brought to the image's own, and only where it is; there it must hold its prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_ois.errors import InputError
from napari_ois.segmentation.candidates import Candidate
from napari_ois.segmentation.runner import MASK_LOGIT
from napari_ois.segmentation.view import View, cut_off


@dataclass(frozen=True)
class Sieve:
    """What an answer must be like to become a candidate.

    Attributes
    ----------
    score : float
        Mean probability over the mask, at least.
    stability : float
        At least; see :class:`Candidate`.
    offset : float
        Logits by which the two thresholds of the stability differ from the mask's own.
    overlap : float
        Intersection over union above which two candidates are one.
    smallest : int
        Pixels of the image, at least.
    largest : float
        Share of what was looked at, at most: beyond it, it is the background.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    score: float = 0.8
    stability: float = 0.7
    offset: float = 1.0
    overlap: float = 0.7
    smallest: int = 16
    largest: float = 0.8

    def __post_init__(self) -> None:
        for name in ("score", "stability", "overlap", "largest"):
            value = getattr(self, name)
            if not 0 <= value <= 1:  # NaN is refused too
                raise InputError(f"{name}={value} is out of range; give a number from 0 to 1.")
        if not self.offset > 0 or self.smallest < 1:
            raise InputError("The offset must be positive, and the smallest object has at least one pixel.")


def sift(
    logits: torch.Tensor, points: NDArray[np.float32], view: View, shape: tuple[int, int], sieve: Sieve
) -> list[Candidate]:
    """Keep of a batch of answers what may be an object, at the image's resolution.

    Parameters
    ----------
    logits : (N, h, w) float32 tensor
        At the network's resolution, in the view.
    points : (N, 2) float32
        The prompts, in image pixels.
    view : View
    shape : (int, int)
        Of the image.
    sieve : Sieve
    """
    with torch.inference_mode():
        inside = logits > MASK_LOGIT
        counts = inside.flatten(1).sum(1)
        scores = (logits.sigmoid() * inside).flatten(1).sum(1) / counts.clamp_min(1)
        sure = (logits > MASK_LOGIT + sieve.offset).flatten(1).sum(1)
        stabilities = sure / (logits > MASK_LOGIT - sieve.offset).flatten(1).sum(1).clamp_min(1)
        share = counts / inside[0].numel()
        good = (scores >= sieve.score) & (stabilities >= sieve.stability) & (counts > 0) & (share <= sieve.largest)
    candidates = []
    for number in np.flatnonzero(good.cpu().numpy()):
        if cut_off(inside[number].cpu().numpy(), view, shape):
            continue
        candidate = _candidate(logits[number], points[number], view, float(scores[number]), float(stabilities[number]))
        if candidate is not None and candidate.area >= sieve.smallest:
            candidates.append(candidate)
    return candidates


def _candidate(
    logits: torch.Tensor, point: NDArray[np.float32], view: View, score: float, stability: float
) -> Candidate | None:
    """Enlarge the part of an answer that holds the mask; None where the prompt does not lie on it."""
    part, top, left = enlarged(logits, view.shape)
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not len(rows):
        return None
    window = np.ascontiguousarray(part[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    top, left = view.top + top + int(rows[0]), view.left + left + int(columns[0])
    row, column = round(float(point[0])) - top, round(float(point[1])) - left
    if not (0 <= row < window.shape[0] and 0 <= column < window.shape[1] and window[row, column]):
        return None
    box = (top, left, top + window.shape[0], left + window.shape[1])
    return Candidate(box, window, score, stability, (float(point[0]), float(point[1])), view)


def enlarged(logits: torch.Tensor, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], int, int]:
    """The mask at a view's resolution, as :meth:`Predictor.predict` makes it, without what is far from it.

    Parameters
    ----------
    logits : (h, w) float32 tensor
    shape : (int, int)
        Of the view.

    Returns
    -------
    part : 2D bool
    top, left : int
        Where it lies in the view.
    """
    inside = (logits > MASK_LOGIT).cpu().numpy()
    if shape[0] < inside.shape[0] or shape[1] < inside.shape[1]:  # shrunk: the view is small anyway
        small = logits[None, None].cpu()  # the antialiased kernel is not there on every version of MPS
        full = functional.interpolate(small, size=shape, mode="bilinear", antialias=True)[0, 0]
        return (full > MASK_LOGIT).numpy(), 0, 0
    spots = [np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))]
    if not len(spots[0]):
        return np.zeros((0, 0), bool), 0, 0
    # Between two samples a bilinear surface may rise above the threshold only next to one that is above it.
    spans = [
        (max(0, int((spot[0] - 1) * to / of)), min(to, int(np.ceil((spot[-1] + 2) * to / of))))
        for spot, of, to in zip(spots, inside.shape, shape, strict=True)
    ]
    values = logits
    for axis, (start, stop) in enumerate(spans):
        values = _stretch(values, axis, start, stop, shape[axis])
    return (values > MASK_LOGIT).cpu().numpy(), spans[0][0], spans[1][0]


def _stretch(values: torch.Tensor, axis: int, start: int, stop: int, to: int) -> torch.Tensor:
    """Linear interpolation along one axis, at pixels ``start`` to ``stop`` of ``to``."""
    of = values.shape[axis]
    place = (torch.arange(start, stop, device=values.device, dtype=torch.float32) + 0.5) * (of / to) - 0.5
    place = place.clamp(0, of - 1)
    low = place.floor().long()
    high = (low + 1).clamp_max(of - 1)
    weight = place - low
    if axis == 0:
        weight = weight[:, None]
    return values.index_select(axis, low) * (1 - weight) + values.index_select(axis, high) * weight
