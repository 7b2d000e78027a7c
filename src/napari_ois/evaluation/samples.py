"""Rule: an image is read once, with all the objects that are to be clicked in it.

A collection is a list of entries, one an object, in whatever form of folder they were found; pixels
are read when an image's turn comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

from napari_ois.errors import InputError
from napari_ois.evaluation.targets import Cache, Target
from napari_ois.segmentation.files import read_image


@dataclass(frozen=True)
class Entry:
    """One object, before any pixel is read.

    Attributes
    ----------
    set, domain : str
        Names of the source set and of its field; the field may be empty.
    image : str
        The image's name in reports.
    path : Path
        The image's file.
    object : str
        The object's name within its image.
    target : Target
    depth : Path or None
        Image of distances, 0 = unknown.
    """

    set: str
    domain: str
    image: str
    path: Path
    object: str
    target: Target
    depth: Path | None = None


@dataclass(frozen=True)
class EvalObject:
    """One object to be clicked.

    Attributes
    ----------
    name : str
        Its name within the image, for instance its `object_id` in the manifest.
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
        Its name in reports.
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


class Collection:
    """Objects in their images, in a fixed order.

    Parameters
    ----------
    entries : sequence of Entry
        Entries with the same `path` are objects of one image.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = list(entries)
        self._images: dict[Path, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            self._images[entry.path].append(entry)
        self._order = list(self._images)

    @property
    def n_objects(self) -> int:
        """Number of objects."""
        return len(self.entries)

    @property
    def sets(self) -> list[str]:
        """Names of the sets, in the order in which they come."""
        return list(dict.fromkeys(entry.set for entry in self.entries))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._order)

    def __iter__(self) -> Iterator[EvalImage]:
        """Read the images one after the other; errors as :meth:`read`."""
        for index in range(len(self)):
            yield self.read(index)

    def entries_of(self, index: int) -> list[Entry]:
        """Objects of the image at `index`."""
        return self._images[self._order[index]]

    def read(self, index: int, names: Sequence[tuple[str, str]] | None = None) -> EvalImage:
        """Read one image with its objects.

        Parameters
        ----------
        index : int
            0 .. ``len(self) - 1``.
        names : sequence of (set, object), optional
            Only these objects of it.

        Returns
        -------
        EvalImage
            Without the objects that cover no pixel.

        Raises
        ------
        InputError
            When a file is missing or damaged, or an object is not in its mask.

        Warns
        -----
        RuntimeWarning
            When a shape covers no pixel.
        """
        entries = [e for e in self.entries_of(index) if names is None or (e.set, e.object) in names]
        first = self.entries_of(index)[0]
        image = read_image(first.path)
        shape = (image.shape[0], image.shape[1])
        cache: Cache = {}
        targets = [e.target.read(shape, cache) for e in entries]
        objects = [
            EvalObject(e.object, target, e.set, e.domain)
            for e, target in zip(entries, targets, strict=True)
            if target is not None
        ]
        near = None
        if first.depth is not None:
            distances = read_image(first.depth)
            if distances.shape != shape:
                raise InputError(f"{first.depth} must have one channel and the size of its image {first.path}.")
            near = nearness(distances)
        return EvalImage(first.path, first.image, image, objects, near)


def thin(entries: Sequence[Entry], per_set: int) -> list[Entry]:
    """Keep at most `per_set` objects of each set, spread evenly: a quicker, coarser measure."""
    if per_set < 1:
        raise InputError("The number of objects of a set must be at least 1.")
    by_set: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        by_set[entry.set].append(index)
    kept: set[int] = set()
    for members in by_set.values():
        picks = np.linspace(0, len(members) - 1, min(per_set, len(members)))
        kept.update(members[round(pick)] for pick in picks)
    return [entry for index, entry in enumerate(entries) if index in kept]


def nearness(depth: np.ndarray) -> np.ndarray | None:
    """Turn distances (0 or NaN = unknown) into 0..1, larger = nearer, with the holes filled.

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
