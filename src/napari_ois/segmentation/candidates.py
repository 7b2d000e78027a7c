"""One rule: a candidate is a mask in its box, and of candidates that say the same only the best one stays.

Candidates come from the network without anybody having clicked: see :mod:`napari_ois.segmentation.everything`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_ois.segmentation.view import View

Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the last two are the first row and column beyond it."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """An object that may be one.

    Attributes
    ----------
    box : (top, left, bottom, right)
        In image pixels; the smallest that holds the mask.
    window : (bottom - top, right - left) bool
        The mask in its box.
    score : float
        Mean probability over the mask.
    stability : float
        How little the mask changes with its threshold: IoU of the masks at a higher and at a lower one.
    point : (float, float)
        Row and column of the prompt, which lies on the mask.
    view : View
        What the network looked at.
    votes : int
        Prompts that gave this mask, or nearly.
    """

    box: Box
    window: NDArray[np.bool_]
    score: float
    stability: float
    point: tuple[float, float]
    view: View
    votes: int = 1

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.window))

    @property
    def rank(self) -> float:
        """What the best of several that say the same has most of."""
        return self.score * self.stability

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask in an image of this shape, (H, W) bool."""
        full = np.zeros(shape, bool)
        top, left, bottom, right = self.box
        full[top:bottom, left:right] = self.window
        return full


def overlap(one: Candidate, other: Candidate) -> float:
    """Intersection over union of two masks."""
    top, left = max(one.box[0], other.box[0]), max(one.box[1], other.box[1])
    bottom, right = min(one.box[2], other.box[2]), min(one.box[3], other.box[3])
    if top >= bottom or left >= right:
        return 0.0
    parts = [c.window[top - c.box[0] : bottom - c.box[0], left - c.box[1] : right - c.box[1]] for c in (one, other)]
    both = int(np.count_nonzero(parts[0] & parts[1]))
    return both / (one.area + other.area - both)


def without_duplicates(candidates: Iterable[Candidate], most: float) -> list[Candidate]:
    """Keep the best of those that overlap each other; it gets the votes of the others.

    Parameters
    ----------
    candidates : iterable of Candidate
    most : float
        Two that stay have at most this intersection over union. One inside of another is no duplicate.

    Returns
    -------
    list of Candidate
        The best first.
    """
    ranked = sorted(candidates, key=lambda each: -each.rank)
    boxes = np.array([each.box for each in ranked], np.int64).reshape(-1, 4)
    areas = np.array([each.area for each in ranked], np.int64)
    kept: list[int] = []
    votes: dict[int, int] = {}
    for number, candidate in enumerate(ranked):
        chosen = np.array(kept, np.int64)
        # Masks share no more than their boxes do: most pairs need no look at the pixels.
        sides = np.minimum(boxes[chosen, 2:], boxes[number, 2:]) - np.maximum(boxes[chosen, :2], boxes[number, :2])
        shared = np.minimum(sides.clip(min=0).prod(axis=1), np.minimum(areas[chosen], areas[number]))
        near = chosen[shared > most * (areas[chosen] + areas[number] - shared)]
        same = next((int(other) for other in near if overlap(ranked[other], candidate) > most), None)
        if same is None:
            kept.append(number)
        votes[number if same is None else same] = votes.get(number if same is None else same, 0) + candidate.votes
    return [replace(ranked[number], votes=votes[number]) for number in kept]


def paint_candidates(candidates: Sequence[Candidate], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Make labels: candidate ``i`` gets ``i + 1``; smaller ones lie over larger ones.

    Returns
    -------
    (H, W) int32
    """
    labels = np.zeros(shape, np.int32)
    for number in sorted(range(len(candidates)), key=lambda each: -candidates[each].area):
        top, left, bottom, right = candidates[number].box
        labels[top:bottom, left:right][candidates[number].window] = number + 1
    return labels


def candidate_table(candidates: Sequence[Candidate]) -> dict[str, list[Any]]:
    """Table of candidates by their labels: score, stability, votes, area, box and prompt."""
    return {
        "index": list(range(1, len(candidates) + 1)),
        "score": [round(each.score, 4) for each in candidates],
        "stability": [round(each.stability, 4) for each in candidates],
        "votes": [each.votes for each in candidates],
        "area_px": [each.area for each in candidates],
        "top": [each.box[0] for each in candidates],
        "left": [each.box[1] for each in candidates],
        "bottom": [each.box[2] for each in candidates],
        "right": [each.box[3] for each in candidates],
        "row": [round(each.point[0], 2) for each in candidates],
        "column": [round(each.point[1], 2) for each in candidates],
    }


def candidates_csv(candidates: Sequence[Candidate]) -> str:
    """:func:`candidate_table` as CSV, one line a candidate."""
    table = candidate_table(candidates)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()
