"""How good a network in training is by the clicks that it needs.

The rule of this file: it measures by the evaluation's own protocol and draws nothing at random, so that a
training that is measured on the way and one that is not see the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from napari_ois.errors import InputError
from napari_ois.evaluation.manifest import MANIFEST, data_folder
from napari_ois.evaluation.readers import FORMS, EvalCollection, EvalImage, EvalObject
from napari_ois.evaluation.report import object_values, summarize
from napari_ois.evaluation.run import ClickPredictor, evaluate
from napari_ois.training.datasets import IGNORE_ID, TrainImage, read_image
from napari_ois.training.folders import read_collection
from napari_ois.training.windows import IGNORE, MIN_POSITIVE

FIGURES = ("iou_1", "iou_3", "iou_5", "noc85", "noc90")
MAX_CLICKS = 20


class Labelled:
    """Images with label maps as the evaluation reads them, each id one object; pixels are read in their turn.

    Parameters
    ----------
    items : sequence of TrainImage
    most : int, optional
        At most so many objects over all images, spread evenly.
    """

    def __init__(self, items: Sequence[TrainImage], *, most: int | None = None) -> None:
        self.items = [item for item in items if item.mask is not None]
        present = [object_ids(read_image(item)[1]) for item in self.items]
        every = [(index, int(i)) for index, ids in enumerate(present) for i in ids]
        if most is not None and len(every) > most:
            every = [every[round(at)] for at in np.linspace(0, len(every) - 1, most)]
        self.chosen = every
        self.n_objects = len(every)

    def __iter__(self) -> Iterator[EvalImage]:
        """Read the images one after the other."""
        for index, item in enumerate(self.items):
            wanted = [i for at, i in self.chosen if at == index]
            if not wanted:
                continue
            rgb, ids, _ = read_image(item)
            objects = [
                EvalObject(name=str(i), target=target_of(ids, i), set=item.set, domain=item.kind) for i in wanted
            ]
            yield EvalImage(path=item.image, name=item.image.name, image=rgb, objects=objects, depth=None)


def dev_images(folder: str | Path) -> EvalCollection | Labelled:
    """Open a folder to measure on: what the evaluation alone reads, or any other that training reads.

    Of HQSeg-44K these are its validation images; training reads those that it learns from.

    Raises
    ------
    InputError
        When there is nothing to measure on.
    """
    folder = data_folder(folder)
    if _is_for_evaluation(folder):
        return EvalCollection(folder)
    images = Labelled(read_collection(folder))
    if not images.n_objects:
        raise InputError(f"{folder} holds no object of {MIN_POSITIVE} pixels or more to measure on.")
    return images


def _is_for_evaluation(folder: Path) -> bool:
    """Whether it has one object a row, or is one of the published sets."""
    manifest = folder / MANIFEST
    if manifest.is_file():
        with manifest.open("rb") as stream:
            return b"object_id" in stream.readline()
    return any(form.matches(folder) for form in FORMS if form.name in ("HQSeg-44K", "DAVIS"))


def measure(
    predictor: ClickPredictor,
    images: Iterable[EvalImage],
    *,
    progress: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Means over sets after 20 clicks: IoU after 1, 3 and 5 clicks, clicks needed for 85 and 90 %.

    Returns
    -------
    dict of FIGURES to float
    """
    return measure_objects(predictor, images, progress=progress)[0]


def measure_objects(
    predictor: ClickPredictor,
    images: Iterable[EvalImage],
    *,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Measure as :func:`measure` does, and say how many clicks each object needed for 85 %, by set."""
    results = evaluate(predictor, images, max_clicks=MAX_CLICKS, progress=progress)
    means = summarize(results)["mean_over_sets"]
    return {name: float(means[name]) for name in FIGURES}, object_values(results)["noc85"]


def identity_of(images: Iterable[EvalImage]) -> str:
    """A hash of the names of images and objects, by which figures on others can be told apart; empty if unknown."""
    if isinstance(images, EvalCollection):
        names = [f"{entry.set} {entry.image} {entry.object}" for entry in images.entries]
    elif isinstance(images, Labelled):
        names = [f"{images.items[at].set} {images.items[at].image.name} {i}" for at, i in images.chosen]
    else:
        return ""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def is_better(new: Mapping[str, float], old: Mapping[str, float] | None) -> bool:
    """Whether fewer clicks are needed for 85 %; where as many, for 90 %; then the larger IoU."""
    if old is None:
        return True

    def key(figures: Mapping[str, float]) -> tuple[float, float, float]:
        return figures["noc85"], figures["noc90"], -(figures["iou_1"] + figures["iou_3"] + figures["iou_5"])

    return key(new) < key(old)


def object_ids(ids: np.ndarray) -> np.ndarray:
    """Ids of the objects that are large enough to be clicked."""
    counts = np.bincount(ids.ravel(), minlength=1)[:IGNORE_ID]
    counts[0] = 0
    return np.flatnonzero(counts >= MIN_POSITIVE)


def target_of(ids: np.ndarray, i: int) -> np.ndarray:
    """(H, W) uint8: 1 the object, 0 not, 255 ignore."""
    target = (ids == i).astype(np.uint8)
    target[ids == IGNORE_ID] = IGNORE
    return target
