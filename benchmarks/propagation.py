"""How far one click goes through a stack, and how many corrections make every slice good: made stacks, known truth.

    python benchmarks/propagation.py [--seeds 2] [--bodies 4]

One click in the middle of each body on the middle of 21 slices, propagated both ways. Then a robot corrects: it
clicks once on the worst slice, deepest in the larger error, and what depends on that slice is filled anew; until
every slice has an IoU of 0.85. Prints the mean IoU over the other 20 slices, and the clicks that the robot took.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

GOOD, MOST = 0.85, 20


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union; 1 where both are empty."""
    union = int((one | other).sum())
    return 1.0 if union == 0 else int((one & other).sum()) / union


def deepest(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Row and column of the pixel farthest from what is not the mask."""
    from scipy.ndimage import distance_transform_edt

    inside = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(inside.argmax()), mask.shape)
    return float(row), float(column)


class Answers:
    """Answers clicks on any slice of one stack; each slice is embedded once."""

    def __init__(self, predictor: Any, stack: NDArray[np.uint8]) -> None:
        self._predictor, self._stack = predictor, stack
        self._slices: dict[int, Any] = {}

    def __call__(self, index: int, clicks: Any, before: Any) -> Any:
        """See :data:`napari_ois.annotation.propagation.PredictSlice`."""
        from napari_ois.annotation.stack_answers import SliceAnswers

        if index not in self._slices:
            self._slices[index] = SliceAnswers(self._predictor.twin(), lambda z: self._stack[z])
        return self._slices[index](index, clicks, before)

    def see(self, index: int, mask: NDArray[np.bool_]) -> Any:
        """See :data:`napari_ois.annotation.contrast.See`."""
        from napari_ois.annotation.contrast import contrast

        return contrast(self._stack[index], mask)


def follow(answers: Answers, truth: NDArray[np.bool_]) -> tuple[list[float], list[int], list[float], bool]:
    """Propagate one body from one click, then correct it.

    Returns
    -------
    list of float
        IoU of each slice but the middle one, before any correction.
    list of int
        Slices below the bar that were not in the review list.
    list of float
        Lowest IoU after 0, 1, 2... corrections.
    bool
        Whether every slice became good.
    """
    from napari_ois.annotation import Clicks, StackObject

    slices, middle = len(truth), len(truth) // 2
    found = StackObject(0, slices - 1)
    asked = {middle: (Clicks().added(*deepest(truth[middle])), None)}
    empty = np.zeros_like(truth[middle])

    def settle(index: int) -> None:
        clicks, before = asked[index]
        mask, score, _ = answers(index, clicks, before)
        if mask.any():
            found.set_key(index, mask, score=score, clicks=clicks)

    def measured() -> list[float]:
        return [iou(found[z].mask if z in found else empty, truth[z]) for z in range(slices)]

    settle(middle)
    for _ in found.run(answers, answers.see):
        pass
    ious = measured()
    first = [value for z, value in enumerate(ious) if z != middle]
    listed = {one.index for one in found.review()}
    unlisted = [z for z, value in enumerate(ious) if value < GOOD and z != middle and z not in listed]
    lowest = [min(ious)]
    while lowest[-1] < GOOD and len(lowest) <= MOST:
        worst = int(np.argmin(ious))
        have = found[worst].mask if worst in found else empty
        missing, surplus = truth[worst] & ~have, have & ~truth[worst]
        positive = missing.sum() >= surplus.sum()
        if worst not in asked:
            one = found[worst] if worst in found and have.any() else None
            asked[worst] = (Clicks(), None) if one is None else (one.clicks, one.before)
        clicks, before = asked[worst]
        asked[worst] = (clicks.added(*deepest(missing if positive else surplus), bool(positive)), before)
        settle(worst)
        for _ in found.run(answers, answers.see):
            pass
        ious = measured()
        lowest.append(min(ious))
    return first, unlisted, lowest, lowest[-1] >= GOOD


def ends(answers: Answers, truth: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Propagate a body that ends within the stack from one click.

    Returns
    -------
    int, int, int, int
        Slices without the body that were filled, of how many; slices with it that were not, of how many.
    """
    from napari_ois.annotation import Clicks, StackObject

    middle = len(truth) // 2
    clicks = Clicks().added(*deepest(truth[middle]))
    mask, score, _ = answers(middle, clicks, None)
    found = StackObject(0, len(truth) - 1)
    found.set_key(middle, mask, score=score, clicks=clicks)
    for _ in found.run(answers, answers.see):
        pass
    here = truth.any(axis=(1, 2))
    filled = np.array([z in found and bool(found[z].mask.any()) for z in range(len(truth))])
    return int((filled & ~here).sum()), int((~here).sum()), int((~filled & here).sum()), int(here.sum())


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="stacks to make")
    parser.add_argument("--bodies", type=int, default=4, help="bodies of each; at most 7 go through all slices")
    parser.add_argument("--model", default="ois-compact")
    options = parser.parse_args()

    from napari_ois import Predictor
    from napari_ois.segmentation.volumes import made_volume

    predictor = Predictor(options.model)
    first: list[float] = []
    corrections: list[int] = []
    below, unlisted, good = 0, 0, 0
    for seed in range(options.seeds):
        volume = made_volume(seed)
        answers = Answers(predictor, volume.stack)
        for body in range(1, options.bodies + 1):
            ious, missed, lowest, reached = follow(answers, volume.labels == body)
            first += ious
            below += sum(value < GOOD for value in ious)
            unlisted += len(missed)
            corrections.append(len(lowest) - 1)
            good += reached
            print(
                f"stack {seed}, body {body}: IoU {np.mean(ious):.3f}, lowest {lowest[0]:.3f}; {len(lowest) - 1} clicks"
            )
    beyond, empty, lost, there = 0, 0, 0, 0
    for seed in range(options.seeds):
        volume = made_volume(seed)
        answers = Answers(predictor, volume.stack)
        for body in (8, 9):  # these end within the stack
            truth = volume.labels == body
            counted = ends(answers, truth)
            beyond, empty, lost, there = (a + b for a, b in zip((beyond, empty, lost, there), counted, strict=True))
    bodies = options.seeds * options.bodies
    share = np.mean([value >= GOOD for value in first])
    print(f"one click on the middle slice: mean IoU of the other 20 {np.mean(first):.3f}, {share:.0%} above {GOOD}")
    print(f"slices below {GOOD}: {below}, of them not in the review list {unlisted}")
    middle = np.median(corrections)
    print(f"corrections until every slice is above {GOOD}: mean {np.mean(corrections):.1f}, median {middle:.0f}")
    print(f"reached within {MOST}: {good} of {bodies} bodies")
    print(f"bodies that end within: {beyond} of {empty} slices beyond their ends filled, {lost} of {there} inside not")


if __name__ == "__main__":
    main()
