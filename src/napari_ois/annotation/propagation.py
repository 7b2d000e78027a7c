"""One rule: every slice of a stack comes from the nearest slice that the user has settled, one neighbour at a time.

A slice that the user settled - clicked on, corrected, agreed with - is a key. From a key the mask goes to the
next slice: clicks are derived from it, the caller's predictor answers them, and that answer leads on. Between
two keys both sides are filled towards the middle, where nothing stops; beyond the outermost key a side stops
where the object seems to end. Where a key is set or changed, only the slices whose nearest key is now another
one, or this one, are filled anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.annotation.clicks import Clicks
from napari_ois.annotation.contrast import Contrast, See, kept
from napari_ois.annotation.gestures import mask_clicks
from napari_ois.errors import InputError


class SliceAnswer(NamedTuple):
    """What a predictor says of a slice.

    Attributes
    ----------
    mask : (H, W) bool
    score : float
    unsure : float
        Pixels that are neither surely the object nor surely not, as a share of the mask's; 0 where that is not known.
    """

    mask: NDArray[np.bool_]
    score: float
    unsure: float = 0.0


PredictSlice = Callable[[int, Clicks, NDArray[np.bool_]], tuple[Any, ...]]
"""From a slice's number, derived clicks and the neighbour's mask: a :class:`SliceAnswer`, or its first two parts."""


@dataclass(frozen=True)
class Rules:
    """When a slice is flagged, and when an open side stops.

    Attributes
    ----------
    flag_score, stop_score : float
        Scores below are flagged; below the second, an open side stops.
    flag_unsure : float
        Larger shares of unsure pixels are flagged.
    flag_contrast, stop_contrast : float
        Share of the key's contrast to its surroundings; see :mod:`napari_ois.annotation.contrast`.
    flag_overlap, stop_overlap : float
        Intersection over union with the neighbour that it came from.
    flag_area : float
        Areas that change by more than this factor from the neighbour's are flagged.
    positives : int
        Clicks inside each mask handed on.
    negatives : bool
        Whether there are clicks around it too.
    """

    flag_score: float = 0.75
    stop_score: float = 0.5
    flag_unsure: float = 0.1
    flag_contrast: float = 0.7
    stop_contrast: float = 0.35
    flag_overlap: float = 0.6
    stop_overlap: float = 0.2
    flag_area: float = 1.6
    positives: int = 1
    negatives: bool = False


@dataclass(frozen=True, eq=False)
class SliceMask:
    """The object on one slice.

    Attributes
    ----------
    index : int
        The slice.
    mask : (H, W) bool
    score : float
    clicks : Clicks
        Derived from the neighbour, or the user's own on a key.
    key : int
        The key that it came from; its own index if it is one.
    doubt : float
        0 sure to 1, 0.5 where one of the rules begins to flag; of all rules the largest; 0 on a key.
    flagged : str
        Why it should be looked at; empty if it should not.
    stops : bool
        Whether an open side ends here: the object seems to be no more.
    before : (H, W) bool or None
        The neighbour's mask that it went on from; None on a key.
    faded : bool
        Whether an answer was dropped because the object's contrast is gone, which counts on an open side only.
    """

    index: int
    mask: NDArray[np.bool_]
    score: float
    clicks: Clicks
    key: int
    doubt: float = 0.0
    flagged: str = ""
    stops: bool = False
    before: NDArray[np.bool_] | None = None
    faded: bool = False

    @property
    def is_key(self) -> bool:
        """Whether the user settled it."""
        return self.index == self.key

    @cached_property
    def is_empty(self) -> bool:
        """Whether the object is not there; looked at once, as a stack is asked after each of its slices."""
        return not self.mask.any()


class StackObject:
    """One object through the slices of a stack.

    Parameters
    ----------
    first, last : int
        The slices that it may lie on, both included.
    rules : Rules, optional
    """

    def __init__(self, first: int, last: int, rules: Rules | None = None) -> None:
        if last < first:
            raise InputError(f"There is no slice from {first} to {last}.")
        self.first, self.last = first, last
        self.rules = rules or Rules()
        self._slices: dict[int, SliceMask] = {}

    # -- read -------------------------------------------------------------------------------------

    @property
    def slices(self) -> tuple[SliceMask, ...]:
        """What is known, in order; a slice after the object's end is not among them."""
        return tuple(self._slices[index] for index in sorted(self._slices))

    @property
    def keys(self) -> tuple[int, ...]:
        """The slices that the user settled, in order."""
        return tuple(one.index for one in self.slices if one.is_key)

    def __getitem__(self, index: int) -> SliceMask:
        return self._slices[index]

    def __contains__(self, index: int) -> bool:
        return index in self._slices

    def review(self) -> tuple[SliceMask, ...]:
        """The flagged slices, the most doubtful first."""
        flagged = [one for one in self.slices if one.flagged]
        return tuple(sorted(flagged, key=lambda one: (-one.doubt, one.index)))

    def pending(self) -> tuple[int, ...]:
        """The slices that :meth:`run` would fill, in its order, if no side stopped before."""
        return tuple(index for index, _ in self._plan())

    # -- change -----------------------------------------------------------------------------------

    def copy(self) -> StackObject:
        """Another one with the same slices, for another thread to fill; what it finds is taken back by :meth:`take`."""
        other = StackObject(self.first, self.last, self.rules)
        other._slices = dict(self._slices)
        return other

    def take(self, found: SliceMask) -> None:
        """Take over what a copy has found, its keys too, as long as nothing was changed here in between."""
        self._slices[found.index] = found

    def set_key(self, index: int, mask: ArrayLike, *, score: float = 1.0, clicks: Clicks | None = None) -> None:
        """Settle a slice; what must come from it is forgotten until :meth:`run`.

        Raises
        ------
        InputError
            If the slice is outside of the range, or the mask is empty.
        """
        self._check(index)
        settled = np.asarray(mask) != 0
        if not settled.any():
            raise InputError("A settled slice needs a mask with pixels; use end_at where the object is no more.")
        self._slices[index] = SliceMask(index, settled, float(score), clicks or Clicks(), index)
        self._forget({index})

    def drop_key(self, index: int) -> None:
        """Settle a slice no more; it is filled like the others."""
        if index in self._slices and self._slices[index].is_key:
            del self._slices[index]
            self._forget({index})

    def end_at(self, first: int | None = None, last: int | None = None) -> None:
        """Say where the object begins or ends; slices and keys beyond are forgotten."""
        self.first = self.first if first is None else first
        self.last = self.last if last is None else last
        for index in [index for index in self._slices if not self.first <= index <= self.last]:
            del self._slices[index]
        self._forget(set())

    def run(self, predict_slice: PredictSlice, see: See | None = None) -> Iterator[SliceMask]:
        """Fill what is to be filled; gives each slice as it comes, and may be closed after any of them.

        What was given is kept, so that a later run goes on where this one was closed. Between two keys the
        sides take turns; open sides follow, outwards from their key.

        Parameters
        ----------
        predict_slice : callable
            See :data:`PredictSlice`.
        see : callable, optional
            See :data:`~napari_ois.annotation.contrast.See`; without it an object's end is seen by the network alone.

        Raises
        ------
        InputError
            If there is no key.
        """
        seen: dict[int, Contrast | None] = {}
        if not self.keys:
            raise InputError("No slice is settled yet; click on the object on one slice first.")
        for index, before in self._plan():
            source = self._slices.get(before)
            if source is None or (source.stops and self._is_open(index)):
                continue
            mask = self._last_mask(source)
            clicks = mask_clicks(mask, positives=self.rules.positives, negatives=self.rules.negatives)
            answer = SliceAnswer(*predict_slice(index, clicks, mask))
            left = None
            if see is not None:
                if source.key not in seen:
                    seen[source.key] = see(source.key, self._slices[source.key].mask)
                left = kept(see(index, np.asarray(answer.mask) != 0), seen[source.key])
            result = self._judged(index, answer, left, clicks, source)
            self._slices[index] = result
            yield result

    # -- how --------------------------------------------------------------------------------------

    def _nearest(self, index: int) -> int:
        """The key that a slice comes from; of two as near, the lower."""
        return min(self.keys, key=lambda key: (abs(key - index), key))

    def _is_open(self, index: int) -> bool:
        return not self.keys[0] <= index <= self.keys[-1]

    def _plan(self) -> list[tuple[int, int]]:
        """What is to be filled, and from which neighbour: near to the keys first, enclosed slices before open ones."""
        if not self.keys:
            return []
        steps = []
        for index in range(self.first, self.last + 1):
            if index in self._slices:
                continue
            key = self._nearest(index)
            if self._ended(index, key):
                continue
            steps.append((self._is_open(index), abs(index - key), index, index + (1 if key > index else -1)))
        return [(index, before) for _, _, index, before in sorted(steps)]

    def _ended(self, index: int, key: int) -> bool:
        """Whether an open side has stopped before it comes to this slice."""
        if not self._is_open(index):
            return False
        step = 1 if index > key else -1
        return any(i in self._slices and self._slices[i].stops for i in range(key, index, step))

    def _last_mask(self, source: SliceMask) -> NDArray[np.bool_]:
        """The mask to go on from: where one came out empty between two keys, the last that was not."""
        step = 1 if source.key > source.index else -1
        index = source.index
        while self._slices[index].is_empty:
            index += step
        return self._slices[index].mask

    def _forget(self, changed: set[int]) -> None:
        """Drop what comes from a changed key, or would now come from another one."""
        if not self.keys:
            self._slices.clear()
            return
        for one in self.slices:
            moved = one.key in changed or one.key != self._nearest(one.index)
            enclosed = one.faded and not self._is_open(one.index)
            # A key that is gone may leave slices beyond a stop that it had made one with the rest.
            if not one.is_key and (moved or enclosed or self._ended(one.index, one.key)):
                del self._slices[one.index]

    def _judged(
        self, index: int, answer: SliceAnswer, left: float | None, clicks: Clicks, source: SliceMask
    ) -> SliceMask:
        rules, before = self.rules, self._last_mask(source)
        mask, score = np.asarray(answer.mask) != 0, float(answer.score)
        both, either = int((mask & before).sum()), int((mask | before).sum())
        overlap = both / either
        smaller, larger = sorted((int(mask.sum()), int(before.sum())))
        reasons = []
        doubts = [
            _doubt(1 - score, 1 - rules.flag_score),
            _doubt(1 - overlap, 1 - rules.flag_overlap),
            _doubt(1 - smaller / larger, 1 - 1 / rules.flag_area),
            _doubt(float(answer.unsure), rules.flag_unsure),
            0.0 if left is None else _doubt(max(0.0, 1 - left), 1 - rules.flag_contrast),
        ]
        if not mask.any():
            reasons.append("nothing was found")
        else:
            if score < rules.flag_score:
                reasons.append(f"its score is {score:.2f}")
            if overlap < rules.flag_overlap:
                reasons.append(f"it covers {overlap:.0%} of its neighbour")
            if larger > rules.flag_area * smaller:
                reasons.append(f"its area changes by a factor of {larger / smaller:.1f}")
            if left is not None and left < rules.flag_contrast:
                reasons.append(f"it has {max(0.0, left):.0%} of the object's contrast")
            if answer.unsure > rules.flag_unsure:
                reasons.append("its outline is not sure")
        if self._meets_badly(index, mask, source):
            reasons.append("the two sides do not meet")
            doubts.append(1.0)
        stops = not mask.any() or score < rules.stop_score or overlap < rules.stop_overlap
        faded = left is not None and left < rules.stop_contrast and self._is_open(index)
        if faded:
            stops, mask = True, np.zeros_like(mask)  # what the network kept is not the object
        return SliceMask(
            index=index,
            mask=mask,
            score=score,
            clicks=clicks,
            key=source.key,
            doubt=float(np.clip(max(doubts), 0.0, 1.0)),
            flagged=", ".join(reasons),
            stops=stops and self._is_open(index),
            before=before,
            faded=faded,
        )

    def _meets_badly(self, index: int, mask: NDArray[np.bool_], source: SliceMask) -> bool:
        """Whether the slice beyond came from another key and shows something else."""
        beyond = self._slices.get(2 * index - source.index)
        if beyond is None or beyond.key == source.key:
            return False
        either = int((mask | beyond.mask).sum())
        return either > 0 and int((mask & beyond.mask).sum()) / either < self.rules.flag_overlap

    def _check(self, index: int) -> None:
        if not self.first <= index <= self.last:
            raise InputError(f"Slice {index} is outside of the stack, which goes from {self.first} to {self.last}.")


def _doubt(value: float, flagged: float) -> float:
    """Bring what grows with doubt to 0..1, so that 0.5 is where it is flagged."""
    return value / (value + flagged) if value + flagged > 0 else 0.0


def propagate(
    predict_slice: PredictSlice, start: int, stop: int, mask: ArrayLike, *, rules: Rules | None = None
) -> Iterator[SliceMask]:
    """Carry a mask from slice ``start`` to slice ``stop``, forwards or backwards; ends early where the object does.

    The short form of :class:`StackObject` for one key and one direction; gives every slice but ``start``.
    """
    stack = StackObject(min(start, stop), max(start, stop), rules)
    stack.set_key(start, mask)
    yield from stack.run(predict_slice)
