"""Which images are learnt from, which ones choose, and which ones measure.

The rule of this file: an image has one part alone, and so have the parts of one field; what measures is neither
learnt from nor chosen by.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_ois.errors import InputError
from napari_ois.training.datasets import TrainImage, read_image
from napari_ois.training.dev import object_ids
from napari_ois.training.folders import read_collection
from napari_ois.training.sources import shrink
from napari_ois.training.tuning import LONGEST
from napari_ois.training.windows import MIN_POSITIVE

_NUMBERS = re.compile(r"([_-]\d+)+$")

FEWEST_IMAGES = 2

_FEWEST_TO_CHOOSE = 5
"""Images to learn from below which none is set apart: each is worth more as a lesson."""

_SET_APART = 0.2


def usable(items: Sequence[TrainImage]) -> tuple[list[TrainImage], list[str]]:
    """Divide images into those with an object, at the size that windows are cut from, and names of those without.

    Raises
    ------
    InputError
        Below two.
    """
    good, empty = [], []
    for item in items:
        if item.mask is not None and len(object_ids(shrink(*read_image(item), LONGEST)[1])):
            good.append(item)
        else:
            empty.append(item.image.name)
    if len(good) < FEWEST_IMAGES:
        raise InputError(
            f"Fine-tuning needs at least {FEWEST_IMAGES} images with labelled objects, one of them to measure on, "
            f"but only {len(good)} of {len(items)} have any of {MIN_POSITIVE} pixels or more at {LONGEST} pixels on "
            "the longest side; label more images, or cut large ones into parts."
        )
    return good, empty


def divide(items: Sequence[TrainImage], holdout: float, seed: int) -> tuple[list[TrainImage], list[TrainImage]]:
    """Divide images at random into those to learn from and those kept back; at least one of each.

    Parts of one field stay on one side, or the count would be of what was learnt: those of one source, or else those
    whose names differ only in the numbers at their end (``field_0.png``, ``field_500.png``). Where that makes all
    images one field, each counts for itself.
    """
    if not 0 < holdout < 1:
        raise InputError(f"holdout={holdout} is out of range; keep back a share between 0 and 1.")
    fields: dict[tuple[str, str], list[int]] = {}
    for index, item in enumerate(items):
        fields.setdefault((item.set, item.source or _NUMBERS.sub("", item.image.stem)), []).append(index)
    groups = list(fields.values()) if len(fields) > 1 else [[index] for index in range(len(items))]
    count = min(max(1, round(holdout * len(items))), len(items) - 1)
    kept: set[int] = set()
    for group in np.random.default_rng([seed, len(items)]).permutation(len(groups))[: len(groups) - 1]:
        if not kept or len(kept) + len(groups[group]) <= count:
            kept.update(groups[group])
    learned = [item for index, item in enumerate(items) if index not in kept]
    return learned, [item for index, item in enumerate(items) if index in kept]


def set_apart(items: Sequence[TrainImage], seed: int) -> tuple[list[TrainImage], list[TrainImage]]:
    """Divide images to learn from into those that are and a fifth to choose by; of a few, none."""
    if len(items) < _FEWEST_TO_CHOOSE:
        return list(items), []
    return divide(items, _SET_APART, seed)


def apart(dev: str | Path, learned: Sequence[TrainImage]) -> list[TrainImage]:
    """The images of another folder that have objects to count clicks on.

    Raises
    ------
    InputError
        When there is none, or one of them is learnt from.
    """
    kept = [item for item in read_collection(dev) if item.mask is not None and len(object_ids(read_image(item)[1]))]
    if not kept:
        raise InputError(f"{dev} holds no object of {MIN_POSITIVE} pixels or more to count clicks on.")
    known = {item.image.resolve() for item in learned}
    both = [item.image.name for item in kept if item.image.resolve() in known]
    if both:
        raise InputError(
            f"{len(both)} of the images in {dev} would be learnt from too, {both[0]} first, so that counting clicks on "
            "them would prove nothing; take them out of one of the two folders."
        )
    return kept
