"""Rule: a collection of real images is what its MANIFEST.csv says; file names tell nothing.

This file reads the manifest and, one image at a time, the picture, its label map and its depth in
the one convention that training uses: ids 0 background, 1..n objects, 65535 ignore; depth 0
unknown, else 1..65535, larger = nearer. Folders without a manifest are listed by
:mod:`napari_ois.training.folders` and read here too.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from napari_ois.errors import InputError, reading_table
from napari_ois.evaluation.targets import ignored_ids, is_object
from napari_ois.segmentation.colour import to_plane
from napari_ois.segmentation.files import read_image as open_image

IGNORE_ID = 65535
"""Id of the pixels whose object is unknown, in every label map handed on by this package."""

_COLUMNS = (
    "set",
    "image",
    "mask",
    "depth",
    "depth_kind",
    "width",
    "height",
    "kind",
    "union_ok",
    "licence_class",
)
# Kinds that grow with the distance; their inverse is the order that we want, in whatever unit.
_DISTANCE_KINDS = {"depth_mm", "depth_0.1mm"}
_NEARNESS_KINDS = {"disparity_px"}
_PICTURE = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
# What a manifest of evaluation leaves out.
_OF_EVALUATION = {"depth_kind": "depth_mm", "kind": "instances", "union_ok": "0", "licence_class": "unstated"}


@dataclass(frozen=True)
class TrainImage:
    """One image of a collection, as its manifest row describes it.

    Attributes
    ----------
    image, mask, depth : Path or None
        Files on disk; `mask` and `depth` are None where the image has none.
    depth_kind : str
        Unit of the depth file: "depth_mm", "depth_0.1mm", "disparity_px", or "" without depth.
    set, kind, licence_class : str
        Name of the source set; what its ids mean ("instances", "regions", ...); the licence class.
    union_ok : bool
        Whether the union of all ids is itself an object.
    width, height : int
        Size in pixels; 0 = not known before the file is read.
    mask_kind : str
        "packed": ids of 8 or 16 bits whose highest value is ignored, as manifests have them; "ids": any whole
        numbers, ignored as :func:`napari_ois.evaluation.targets.ignored_ids` says; "binary": any value above 0
        is the one object.
    source : str
        Where it comes from; images of one source are parts of one field, volume or film. Empty = not known.
    objects : tuple of str
        Objects that a manifest of evaluation names, "3", or "1+2" for ids that are one object together; empty =
        every id is one.
    """

    image: Path
    mask: Path | None
    depth: Path | None
    depth_kind: str
    set: str
    kind: str
    union_ok: bool
    licence_class: str
    width: int
    height: int
    mask_kind: str = "packed"
    source: str = ""
    objects: tuple[str, ...] = ()


def read_manifest(folder: str | Path) -> list[TrainImage]:
    """Read FOLDER/MANIFEST.csv.

    Parameters
    ----------
    folder : str or Path
        Folder of the collection.

    Returns
    -------
    list of TrainImage
        One entry a row, in the manifest's order; every file that it names exists. A manifest of evaluation,
        with one row an object (`object_id`), gives one entry an image, with its objects; its depth is in
        millimetres.

    Raises
    ------
    InputError
        When the manifest or a file that it names is missing, or a row cannot be read.
    """
    folder = Path(folder)
    manifest = folder / "MANIFEST.csv"
    if not manifest.is_file():
        raise InputError(f"There is no {manifest}; give the folder that holds MANIFEST.csv.")
    with reading_table(manifest), manifest.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        names = reader.fieldnames or ()
        extra = {k: v for k, v in _OF_EVALUATION.items() if k not in names} if "object_id" in names else {}
        missing = [name for name in _COLUMNS if name not in names and name not in extra]
        if missing:
            raise InputError(f"{manifest} lacks the columns {', '.join(missing)}.")
        items = [_parse_row(folder, manifest, reader.line_num, {**extra, **row}) for row in reader]
    if "object_id" not in names:
        return items
    named: dict[Path, list[str]] = {}
    for item in items:
        named.setdefault(item.image, []).extend(item.objects)
    return [replace(item, objects=tuple(named[path])) for path, item in {i.image: i for i in items}.items()]


def _parse_row(folder: Path, manifest: Path, line: int, row: dict[str, str]) -> TrainImage:
    where = f"{manifest}, line {line}"

    def existing(column: str) -> Path | None:
        if not row[column]:
            return None
        path = folder / row[column]
        if not path.is_file():
            raise InputError(f"{where} names {path}, which does not exist.")
        return path

    if None in row.values():
        raise InputError(f"{where} has too few fields.")
    image = existing("image")
    if image is None:
        raise InputError(f"{where} names no image.")
    try:
        width, height = int(row["width"]), int(row["height"])
    except ValueError as error:
        raise InputError(f"{where} has a width or height that is not a whole number.") from error
    depth = existing("depth")
    if depth is not None and row["depth_kind"] not in _DISTANCE_KINDS | _NEARNESS_KINDS:
        raise InputError(f"{where} has an unknown depth_kind {row['depth_kind']!r}.")
    return TrainImage(
        image=image,
        mask=existing("mask"),
        depth=depth,
        depth_kind=row["depth_kind"],
        set=row["set"],
        kind=row["kind"],
        union_ok=row["union_ok"] == "1",
        licence_class=row["licence_class"],
        width=width,
        height=height,
        source=row.get("source") or "",
        objects=(row["object_id"],) if row.get("object_id") else (),
    )


class Licensed(Protocol):
    """An image of a collection, packed or not."""

    @property
    def licence_class(self) -> str:
        """As a manifest names it."""


def licensed(images: Sequence[Licensed], classes: Collection[str]) -> list[bool]:
    """Whether each image is of one of these licence classes; all are where none is named.

    Raises
    ------
    InputError
        When none is.
    """
    keep = [not classes or image.licence_class in classes for image in images]
    if images and not any(keep):
        known = ", ".join(sorted({image.licence_class for image in images}))
        raise InputError(f"No image has the licence class {' or '.join(classes)}; there are {known}.")
    return keep


def read_image(item: TrainImage) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read the picture, label map and depth of one manifest row.

    Returns
    -------
    rgb : (H, W, 3) uint8
        As the network sees it: see :func:`napari_ois.segmentation.colour.to_plane`.
    ids : (H, W) uint16, 0 background, 65535 ignore
    depth : (H, W) uint16 or None, 0 unknown, else 1..65535, larger = nearer

    Raises
    ------
    InputError
        When a file cannot be decoded or the sizes differ from the manifest's, or from each other.
    """
    if item.mask_kind != "packed":
        return (*read_pair(item), None)
    shape = (item.height, item.width)
    rgb = _as_seen(_decode(item.image, _PICTURE, shape))
    ids = np.zeros(shape, np.uint16)
    if item.mask is not None:
        ids = ids_from_mask(_decode(item.mask, cv2.IMREAD_UNCHANGED, shape), item.mask, item.objects)
    if item.depth is None:
        return rgb, ids, None
    depth = _decode(item.depth, cv2.IMREAD_UNCHANGED, shape)
    if depth.ndim != 2:
        raise InputError(f"{item.depth} is no depth map: it has more than one channel.")
    return rgb, ids, nearness(depth, distance=item.depth_kind in _DISTANCE_KINDS)


def read_pair(item: TrainImage) -> tuple[np.ndarray, np.ndarray]:
    """Read a picture and its mask from a folder without a manifest, in any of the usual formats.

    Returns
    -------
    rgb : (H, W, 3) uint8
        As the network sees it: see :func:`napari_ois.segmentation.colour.to_plane`.
    ids : (H, W) uint16
        0 background; ids renumbered 1, 2, ... in their order, 65535 ignore.

    Raises
    ------
    InputError
        When a file cannot be read, the mask has channels or no whole numbers, or the sizes differ.
    """
    try:
        plane = to_plane(open_image(item.image))
    except InputError as error:
        raise InputError(f"{item.image}: {error}") from error
    assert item.mask is not None
    labels = _read_labels(item.mask)
    if labels.shape != plane.shape[:2]:
        raise InputError(f"{item.mask} has the size {labels.shape}, but its image {plane.shape[:2]} (rows, columns).")
    rgb = _in_bytes(plane)
    if item.mask_kind == "binary":
        return rgb, is_object(labels, item.mask).astype(np.uint16)
    values, places = np.unique(labels, return_inverse=True)
    if np.count_nonzero(values > 0) >= IGNORE_ID:
        raise InputError(f"{item.mask} holds more than {IGNORE_ID - 1} objects; cut the image into parts.")
    ignored = ignored_ids(values)
    objects = (values > 0) & ~ignored
    numbers = np.cumsum(objects).astype(np.uint16)
    numbers[~objects] = 0
    numbers[ignored] = IGNORE_ID
    return rgb, numbers[places].reshape(labels.shape)


def _as_seen(decoded: np.ndarray) -> np.ndarray:
    """What OpenCV decoded (grey, or blue, green, red; 8 or 16 bits) as the network will see it, (H, W, 3) uint8.

    Grey is stretched here as it will be in use: a network taught on dark fields as they are filed would meet
    bright ones only.
    """
    if decoded.ndim == 2:
        return _in_bytes(to_plane(decoded))
    rgb = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    return rgb if rgb.dtype == np.uint8 else _in_bytes(to_plane(rgb))


def _in_bytes(plane: np.ndarray) -> np.ndarray:
    return np.round(plane * 255).astype(np.uint8)


def _read_labels(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".png":
        # Image programs write label maps with a palette: the index is the id, not the colour it stands for.
        try:
            with Image.open(path) as picture:
                labels = np.asarray(picture.convert("L") if picture.mode == "LA" else picture)
        except OSError as error:
            raise InputError(f"{path} cannot be read as an image; it may be damaged.") from error
    else:
        labels = np.asarray(open_image(path))
    if labels.ndim == 3 and labels.shape[2] in (3, 4) and (labels[..., :1] == labels[..., :3]).all():
        labels = labels[..., 0]  # grey, saved as colour
    if labels.ndim != 2:
        raise InputError(f"{path} is no label map: its shape is {labels.shape}, but it must be (rows, columns).")
    if labels.dtype.kind == "f" and not (labels == np.round(labels)).all():
        raise InputError(f"{path} is no label map: its values must be whole numbers.")
    return labels.astype(np.uint8) if labels.dtype.kind == "b" else labels


def _decode(path: Path, flags: int, shape: tuple[int, int]) -> np.ndarray:
    # By its bytes: OpenCV opens no path with umlauts on Windows. Turned by its tag, a picture would leave its mask.
    content = np.fromfile(path, np.uint8)
    array = cv2.imdecode(content, flags) if content.size else None
    if array is None:
        raise InputError(f"{path} cannot be read as an image; it may be damaged.")
    if array.shape[:2] != shape:
        raise InputError(f"{path} has the size {array.shape[:2]} (rows, columns), but its manifest says {shape}.")
    return array


def ids_from_mask(mask: np.ndarray, path: Path, objects: Sequence[str] = ()) -> np.ndarray:
    """Bring an 8- or 16-bit label map to uint16 ids with the one ignore value 65535.

    Parameters
    ----------
    mask : (H, W) uint8 or uint16
    path : Path
        Named in errors.
    objects : sequence of str
        Objects that are named, as :class:`TrainImage` has them, become 1, 2, ...; the rest is background. One that
        has pixels of another before it is left out, since an id can be of one object only.
    """
    if mask.ndim != 2 or mask.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path} is no label map: it must have one channel of 8 or 16 bits.")
    ids = mask if mask.dtype == np.uint16 else np.where(mask == 255, np.uint16(IGNORE_ID), mask.astype(np.uint16))
    if not objects:
        return ids
    named, number = np.where(ids == IGNORE_ID, ids, np.uint16(0)), 0
    taken: set[int] = set()
    for one in objects:
        try:
            members = {int(part) for part in one.split("+")}
        except ValueError as error:
            raise InputError(f"{one!r} is no object id of {path}.") from error
        if not members & taken:
            number += 1
            named[np.isin(mask, list(members))] = number
            taken |= members
    return named


def nearness(depth: np.ndarray, *, distance: bool) -> np.ndarray:
    """Scale a raw depth map to uint16 nearness, from the 1st to the 99th percentile.

    Parameters
    ----------
    depth : (H, W) integer or float
        Raw values, 0 = unknown.
    distance : bool
        Whether the values grow with the distance (then 1 / value is scaled) or with nearness.
    """
    known = depth > 0
    scaled = np.zeros(depth.shape, np.uint16)
    if not known.any():
        return scaled
    values = depth[known].astype(np.float64)
    if distance:
        values = 1.0 / values
    low, high = np.percentile(values, (1, 99))
    unit = np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)
    scaled[known] = np.round(1 + unit * 65534).astype(np.uint16)
    return scaled
