"""Rule: a target says where its object's pixels are written, and is read only when its turn comes.

Each kind is a small frozen record, so that it can be sent to another process. In label maps 255
(8 bit) or 65535 (16 bit and more) is ignored, and so are negative ids, unless it is named as an object:
by a manifest, or as the only id of a file, which then is a mask of 0 and 255 (:func:`ignored_ids`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from napari_ois.errors import InputError
from napari_ois.evaluation.metrics import IGNORE
from napari_ois.segmentation.files import read_ids, read_image

Cache = dict[Path, np.ndarray]
"""Mask files read for the present image; several objects share one."""


class Target(Protocol):
    """Where an object's pixels are written."""

    def read(self, shape: tuple[int, int], cache: Cache) -> np.ndarray | None:
        """Give (H, W) uint8: 1 object, 0 not, 255 ignore; None where there is no object, InputError if damaged."""


@dataclass(frozen=True)
class LabelTarget:
    """Ids of a label map, merged.

    Attributes
    ----------
    path : Path
    object_id : str
        "3", or "1+2" for ids to merge.
    """

    path: Path
    object_id: str

    def read(self, shape: tuple[int, int], cache: Cache) -> np.ndarray:
        """Cut the object out of the label map."""
        if self.path not in cache:
            cache[self.path] = read_labels(self.path)
        _check_size(cache[self.path], shape, self.path)
        return target_of(cache[self.path], self.object_id, self.path)


@dataclass(frozen=True)
class BinaryTarget:
    """A mask of one object: every pixel that is not black in any colour; see :func:`is_object`."""

    path: Path

    def read(self, shape: tuple[int, int], cache: Cache) -> np.ndarray:
        """Read the mask; an alpha channel says nothing about the object."""
        mask = read_image(self.path)
        if mask.ndim == 3:
            mask = mask[..., : 1 if mask.shape[2] == 2 else 3].max(axis=2)
        _check_size(mask, shape, self.path)
        target = is_object(mask, self.path).astype(np.uint8)
        if not target.any():
            raise InputError(f"{self.path} holds no object: it is black all over.")
        return target


@dataclass(frozen=True)
class ShapeTarget:
    """An object of a COCO file: polygons or run lengths.

    Attributes
    ----------
    path : Path
        The COCO file, named in errors.
    annotation : str
        Id of the annotation, named in errors.
    shape : Any
        Its ``segmentation``, as in the file.
    """

    path: Path
    annotation: str
    shape: Any

    def read(self, shape: tuple[int, int], cache: Cache) -> np.ndarray | None:
        """Draw the object; None, with a warning, where it is too thin to cover a pixel."""
        from napari_ois.evaluation.coco import draw

        owner = f"{self.path}, annotation {self.annotation},"
        target = draw(self.shape, shape, owner)
        if target.any():
            return target
        warnings.warn(f"{owner} covers no pixel of its image and is left out.", RuntimeWarning, stacklevel=2)
        return None


def target_of(labels: np.ndarray, object_id: str, path: Path) -> np.ndarray:
    """Target of one object, cut out of a label map.

    Parameters
    ----------
    labels : (H, W) unsigned integers
    object_id : str
        "3", or "1+2" for ids to merge.
    path : Path
        The label map's file, named in errors.

    Returns
    -------
    (H, W) uint8
        1 object, 0 not, 255 ignore.

    Raises
    ------
    InputError
        If it is no label map, or holds no such object.
    """
    check_labels(labels, path)
    try:
        members = [int(part) for part in object_id.split("+")]
    except ValueError as error:
        raise InputError(f"{object_id!r} is no object id of {path}.") from error
    target = np.isin(labels, members).astype(np.uint8)
    if not target.any():
        raise InputError(f"{path} holds no object {object_id}.")
    ignored = ignored_label(labels.dtype)
    target[(labels < 0) if ignored in members else (labels < 0) | (labels == ignored)] = IGNORE
    return target


def read_labels(path: Path) -> np.ndarray:
    """Read a label map, (H, W) integers; of an image with a palette the indices, not the colours.

    Raises
    ------
    InputError
        If there is no such file, it is damaged, or it is no label map.
    """
    labels = read_ids(path)
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
    check_labels(labels, path)
    return labels


def check_labels(labels: np.ndarray, path: Path) -> None:
    """Refuse what is no label map."""
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise InputError(f"{path} is no label map: it must have one channel of whole numbers.")


def is_lossy(path: Path) -> bool:
    """Whether a file's format changes values."""
    return path.suffix.lower() in (".jpg", ".jpeg")


def is_object(mask: np.ndarray, path: Path) -> np.ndarray:
    """Which pixels of a mask of one object belong to it: all above 0; of a JPEG, which blurs outlines, above half."""
    return mask > (mask.max() / 2 if is_lossy(path) else 0)


def ignored_label(dtype: Any) -> int:
    """Value of a label map that is ignored."""
    return 255 if dtype == np.uint8 else 65535


def ignored_ids(ids: np.ndarray) -> np.ndarray:
    """Which ids of a label map without a manifest are ignored; in evaluation and in training.

    Negative ones, and 255 (8 bit) or 65535 (16 bit and more) where it stands beside other ids, as the outlines
    of VOC do. Alone, it is the object: the file is a mask of 0 and 255.

    Parameters
    ----------
    ids : (N,) numbers
        All that occur in the file, each once, in the file's type.

    Returns
    -------
    (N,) bool
    """
    highest = ids == ignored_label(ids.dtype)
    return (ids < 0) | (highest & (np.count_nonzero(ids > 0) > 1))


def _check_size(mask: np.ndarray, shape: tuple[int, int], path: Path) -> None:
    if mask.shape[:2] != shape:
        raise InputError(f"{path} has another size ({mask.shape[:2]}) than its image {shape}.")
