"""Rule: an image is read once, with all the objects that are to be clicked in it.

The collection's MANIFEST.csv has one row per object; its `object_id` is an id of the label map, or
several joined by "+", which are merged. In label maps 255 (8 bit) or 65535 (16 bit) is ignored.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.io import imread

from napari_ois.errors import InputError
from napari_ois.evaluation.metrics import IGNORE

_COLUMNS = ("set", "domain", "image", "mask", "depth", "object_id")


@dataclass(frozen=True)
class EvalObject:
    """One object to be clicked.

    Attributes
    ----------
    name : str
        Its `object_id` in the manifest.
    target : (H, W) uint8
        1 object, 0 not, 255 ignore.
    set, domain : str
        Names of the source set and of its field.
    """

    name: str
    target: np.ndarray
    set: str
    domain: str


@dataclass(frozen=True)
class EvalImage:
    """One image with its objects.

    Attributes
    ----------
    path : Path
        The image file.
    name : str
        Its path as the manifest writes it.
    image : (H, W) or (H, W, 3) array
        As stored.
    objects : list of EvalObject
    depth : (H, W) float32 or None
        0..1, larger = nearer; unknown pixels carry the value of the nearest known one.
    """

    path: Path
    name: str
    image: np.ndarray
    objects: list[EvalObject]
    depth: np.ndarray | None


class EvalCollection:
    """A folder with MANIFEST.csv, iterated image by image; pixels are read when their turn comes.

    Parameters
    ----------
    folder : str or Path
        Folder of the collection.
    sets : sequence of str, optional
        Only these sets.
    per_set : int, optional
        At most so many objects of a set, spread evenly over its rows: a quicker, coarser measure.

    Raises
    ------
    InputError
        When the manifest is missing or damaged, or a set is asked for that it lacks.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        sets: Sequence[str] | None = None,
        per_set: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        rows = _read_rows(self.folder / "MANIFEST.csv")
        known = {row["set"] for row in rows}
        unknown = sorted(set(sets or ()) - known)
        if unknown:
            raise InputError(f"{self.folder} has no set {', '.join(unknown)}.")
        if sets is not None:
            rows = [row for row in rows if row["set"] in sets]
        if per_set is not None:
            rows = _thin(rows, per_set)
        self._groups: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in rows:
            self._groups[row["image"]].append(row)
        self.n_objects = len(rows)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._groups)

    def __iter__(self) -> Iterator[EvalImage]:
        """Read the images one after the other.

        Raises
        ------
        InputError
            When a file is missing or damaged, or an object id is not in its label map.
        """
        for name, rows in self._groups.items():
            yield self._read(name, rows)

    def _read(self, name: str, rows: list[dict[str, str]]) -> EvalImage:
        image = _imread(self.folder / name)
        objects = []
        masks: dict[str, np.ndarray] = {}
        for row in rows:
            path = self.folder / row["mask"]
            if row["mask"] not in masks:
                masks[row["mask"]] = _imread(path)
            labels = masks[row["mask"]]
            if labels.shape != image.shape[:2]:
                raise InputError(f"{path} has another size than its image {name}.")
            target = target_of(labels, row["object_id"], path)
            objects.append(EvalObject(row["object_id"], target, row["set"], row["domain"]))
        depth = rows[0]["depth"]
        near = nearness(_imread(self.folder / depth)) if depth else None
        return EvalImage(self.folder / name, name, image, objects, near)


def target_of(labels: np.ndarray, object_id: str, path: Path) -> np.ndarray:
    """Target of one object, cut out of a label map.

    Parameters
    ----------
    labels : (H, W) uint8 or uint16
    object_id : str
        "3", or "1+2" for ids to merge.
    path : Path
        The label map's file, named in errors.

    Returns
    -------
    (H, W) uint8
        1 object, 0 not, 255 ignore.
    """
    if labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path} is no label map: it must have one channel of 8 or 16 bits.")
    try:
        members = [int(part) for part in object_id.split("+")]
    except ValueError as error:
        raise InputError(f"{object_id!r} is no object id of {path}.") from error
    target = np.isin(labels, members).astype(np.uint8)
    if not target.any():
        raise InputError(f"{path} holds no object {object_id}.")
    target[labels == np.iinfo(labels.dtype).max] = IGNORE
    return target


def nearness(depth: np.ndarray) -> np.ndarray | None:
    """Turn distances (0 = unknown) into 0..1, larger = nearer, with the holes filled.

    Returns
    -------
    (H, W) float32 or None
        None when nothing is known.
    """
    known = depth > 0
    if not known.any():
        return None
    near = np.zeros(depth.shape, np.float64)
    near[known] = 1.0 / depth[known]
    low, high = np.percentile(near[known], (1, 99))
    near = np.clip((near - low) / max(high - low, 1e-12), 0.0, 1.0).astype(np.float32)
    if known.all():
        return near
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return near[rows, columns]


def _read_rows(manifest: Path) -> list[dict[str, str]]:
    if not manifest.is_file():
        raise InputError(f"There is no {manifest}; give the folder that holds MANIFEST.csv.")
    with manifest.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{manifest} lacks the columns {', '.join(missing)}.")
        rows = list(reader)
    for number, row in enumerate(rows, start=1):
        if None in row.values() or not (row["image"] and row["mask"] and row["object_id"]):
            raise InputError(f"{manifest}, object {number}, lacks its image, mask or object_id.")
    return rows


def _thin(rows: list[dict[str, str]], per_set: int) -> list[dict[str, str]]:
    if per_set < 1:
        raise InputError("The number of objects of a set must be at least 1.")
    by_set: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_set[row["set"]].append(index)
    kept: set[int] = set()
    for members in by_set.values():
        picks = np.linspace(0, len(members) - 1, min(per_set, len(members)))
        kept.update(members[round(pick)] for pick in picks)
    return [row for index, row in enumerate(rows) if index in kept]


def _imread(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{path}, named by the manifest, does not exist.")
    try:
        return imread(path)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path} cannot be read as an image; it may be damaged.") from error
