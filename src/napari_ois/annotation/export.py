"""One rule: what is exported can be read back as the same labels; each format says what it does not hold.

=========  ==========================  ====================================================================
format     file                        holds
=========  ==========================  ====================================================================
tiff       ``.tif``, ``.tiff``         labels, pixel size and unit (ImageJ's metadata)
ome-zarr   ``.zarr``                   labels, scale and unit (OME-NGFF 0.4, one resolution)
coco       ``.json``                   one annotation an object and plane: RLE, box, area, label, name
imagej     ``.zip``                    one ROI an object and plane, named by its label (see export_rois.py)
csv        ``.csv``                    the table of features; no pixels
=========  ==========================  ====================================================================

Axes are those of the label array; the last two are rows and columns, and each plane of the others is one image
to COCO and ImageJ.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.annotation.export_rois import write_rois
from napari_ois.annotation.features import area_unit, to_csv
from napari_ois.annotation.packed import PackedMask
from napari_ois.errors import InputError

Table = Mapping[str, Sequence[Any]]

SUFFIXES = {".tif": "tiff", ".tiff": "tiff", ".zarr": "ome-zarr", ".json": "coco", ".zip": "imagej", ".csv": "csv"}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
_AXES = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TZCYX"}
_NGFF = {**{ndim: names.lower() for ndim, names in _AXES.items()}, 5: "tczyx"}
"""OME-NGFF asks for time, channel and space in this order."""


def choose_format(path: Path, name: str | None = None) -> str:
    """Find the format by its name, or else by the file's suffix.

    Raises
    ------
    InputError
        If there is no such format, or the suffix says none.
    """
    if name is not None and name.lower() not in FORMATS:
        raise InputError(f'There is no format "{name}"; choose one of {", ".join(FORMATS)}.')
    found = name.lower() if name is not None else SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise InputError(f"{path} does not say its format; end it with {', '.join(SUFFIXES)}, or name the format.")
    return found


def export_labels(
    labels: NDArray[Any],
    path: str | Path,
    *,
    to: str | None = None,
    features: Table | None = None,
    pixel_size: Sequence[float] | None = None,
    unit: str = "pixel",
) -> None:
    """Write labels in one of :data:`FORMATS`, whole or not at all.

    Parameters
    ----------
    labels : integer array of two or more axes
        0 where there is no object.
    path : path
        A file of the same name is replaced; an OME-Zarr folder is not.
    to : str, optional
        By default what the suffix says.
    features : mapping of str to sequence, optional
        Table of the objects with a column ``index`` (the label), as :func:`features` makes it; by default the
        areas alone.
    pixel_size : sequence of float, optional
        One an axis; by default 1.
    unit : str
        Of the pixel size, like ``"micrometer"``.

    Raises
    ------
    InputError
        If these are no labels, a library is missing, or the file cannot be written.
    """
    path = Path(path)
    chosen = choose_format(path, to)
    array = _checked(labels)
    size = _checked_size(pixel_size, array.ndim)
    if path.is_dir():
        raise InputError(f"{path} is a folder that is there already; choose another name.")
    table = label_table(array, size, unit) if features is None else features
    write: dict[str, Callable[[Path], None]] = {
        "tiff": lambda file: write_labels_tiff(file, array, size, unit),
        "ome-zarr": lambda file: write_ome_zarr(file, array, size, unit),
        "coco": lambda file: _text(file, json.dumps(coco_record(array, table), indent=1)),
        "imagej": lambda file: write_rois(file, array, table),
        "csv": lambda file: _text(file, to_csv({name: list(column) for name, column in table.items()})),
    }
    staging = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    if chosen == "imagej":  # roifile writes a zip where the name says so
        staging = staging.with_suffix(".zip")
    try:
        write[chosen](staging)
        staging.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        _remove(staging)


def label_table(labels: NDArray[Any], pixel_size: Sequence[float] | None = None, unit: str = "pixel") -> Table:
    """Table of labels about which no more is known: index, area (or volume) in pixels and in units."""
    values, counts = np.unique(labels[labels != 0], return_counts=True)
    size = 1.0 if pixel_size is None else float(np.prod(np.abs(pixel_size[-3:])))
    power = "²" if labels.ndim == 2 else "³"
    return {
        "index": [int(value) for value in values],
        "area_px": [int(count) for count in counts],
        "area": [float(count) * size for count in counts],
        "unit": [area_unit(unit, power)] * len(values),
    }


def write_labels_tiff(path: Path, labels: NDArray[Any], pixel_size: Sequence[float] | None, unit: str) -> None:
    """Write labels with pixel size and unit as ImageJ reads them.

    The labels keep every id: as uint8 or uint16 where they fit; else as int32, which is a plain TIFF with
    resolution, since ImageJ has no such type.
    """
    import tifffile

    highest = int(labels.max(initial=0))
    dtype = np.uint8 if highest < 2**8 else np.uint16 if highest < 2**16 else np.int32
    array = labels.astype(dtype)
    size = [1.0] * labels.ndim if pixel_size is None else [abs(float(side)) or 1.0 for side in pixel_size]
    # Without a unit of its own a plain TIFF would say inches.
    options: dict[str, Any] = {"resolution": (1 / size[-1], 1 / size[-2]), "resolutionunit": "NONE"}
    if dtype is not np.int32 and labels.ndim <= 5:
        # ImageJ's description is ASCII, with the escapes of Java's property files.
        escaped = "".join(sign if sign.isascii() else f"\\u{ord(sign):04X}" for sign in unit)
        metadata: dict[str, Any] = {"unit": escaped, "axes": _AXES[labels.ndim]}
        if labels.ndim > 2:
            metadata["spacing"] = size[_AXES[labels.ndim].index("Z")]
        options |= {"imagej": True, "metadata": metadata}
    tifffile.imwrite(path, array, compression="zlib", **options)


def write_ome_zarr(path: Path, labels: NDArray[Any], pixel_size: Sequence[float] | None, unit: str) -> None:
    """Write a folder with one label image, ``labels/objects``, by OME-NGFF 0.4.

    Raises
    ------
    InputError
        If zarr is not installed, or the labels have more than five axes.
    """
    try:
        import zarr
    except ImportError as error:
        raise InputError('OME-Zarr needs zarr, which is not installed; run: pip install "zarr>=3".') from error
    if labels.ndim > 5:
        raise InputError(f"OME-Zarr holds up to five axes, but these labels have {labels.ndim}.")
    group = zarr.open_group(str(path), mode="w", zarr_format=2)  # NGFF 0.4 stands on Zarr 2
    listed = group.create_group("labels")
    listed.attrs["labels"] = ["objects"]
    image = listed.create_group("objects")
    array = image.create_array(
        "0",
        shape=labels.shape,
        dtype=labels.dtype,
        chunks=tuple(min(side, 1024) if axis >= labels.ndim - 2 else 1 for axis, side in enumerate(labels.shape)),
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    array[...] = labels
    image.attrs.update(ngff_metadata(labels, pixel_size, unit))


def ngff_metadata(labels: NDArray[Any], pixel_size: Sequence[float] | None, unit: str) -> dict[str, Any]:
    """Attributes of the label image: multiscales with one level, and image-label."""
    names = _NGFF[labels.ndim]
    kinds = {"t": "time", "c": "channel"}
    axes: list[dict[str, str]] = []
    for name in names:
        axis = {"name": name, "type": kinds.get(name, "space")}
        if axis["type"] == "space" and unit != "pixel":
            axis["unit"] = unit
        axes.append(axis)
    scale = [1.0] * labels.ndim if pixel_size is None else [float(side) for side in pixel_size]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    return {
        "multiscales": [{"version": "0.4", "name": "objects", "axes": axes, "datasets": [level]}],
        "image-label": {"version": "0.4"},
    }


def coco_record(labels: NDArray[Any], table: Table | None = None) -> dict[str, Any]:
    """COCO's JSON: one image a plane, one annotation an object on it, with compressed RLE.

    ``label`` (the id in the array) and ``name`` are additions of ours.
    """
    names = _names(table)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    height, width = (int(side) for side in labels.shape[-2:])
    for number, (index, plane) in enumerate(planes_of(labels), start=1):
        file = "labels" + "".join(f"_{i:04d}" for i in index)
        images.append({"id": number, "file_name": file, "height": height, "width": width, "index": list(index)})
        for label in np.unique(plane[plane != 0]):
            mask = PackedMask.pack(plane == label)
            top, left, bottom, right = mask.box or (0, 0, 0, 0)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "segmentation": mask.to_record(),
                "area": mask.area,
                "bbox": [left, top, right - left, bottom - top],
                "label": int(label),
            }
            if int(label) in names:
                annotation["name"] = names[int(label)]
            annotations.append(annotation)
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}


def read_coco(record: Mapping[str, Any]) -> NDArray[np.int32]:
    """Read back what :func:`coco_record` made; overlaps, which it never writes, go to the later annotation."""
    images = {image["id"]: image for image in record["images"]}
    last = record["images"][-1]  # planes are written in order
    labels = np.zeros((*(i + 1 for i in last["index"]), last["height"], last["width"]), np.int32)
    for annotation in record["annotations"]:
        mask = PackedMask.from_record(annotation["segmentation"]).unpack()
        labels[tuple(images[annotation["image_id"]]["index"])][mask] = annotation["label"]
    return labels


def planes_of(labels: NDArray[Any]) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """Every plane along the last two axes, with its index."""
    for index in np.ndindex(labels.shape[:-2]):
        yield tuple(int(i) for i in index), labels[index]


def _names(table: Table | None) -> dict[int, str]:
    if table is None or "name" not in table:
        return {}
    return {int(label): str(name) for label, name in zip(table["index"], table["name"], strict=True)}


def _checked(labels: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(labels)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iu" or array.ndim < 2:
        raise InputError(f"Labels must be integers of two or more axes, not {array.dtype} of shape {array.shape}.")
    if array.size and (int(array.min()) < 0 or int(array.max()) >= 2**31):
        raise InputError("Labels must lie between 0 and 2147483647; renumber them first.")
    return array


def _checked_size(pixel_size: Sequence[float] | None, ndim: int) -> tuple[float, ...] | None:
    if pixel_size is None:
        return None
    size = tuple(float(side) for side in pixel_size)
    if len(size) != ndim or not all(np.isfinite(size)) or 0 in size:
        raise InputError(f"The pixel size {size} does not give one length for each of {ndim} axes.")
    return size


def _text(path: Path, text: str) -> None:
    path.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
