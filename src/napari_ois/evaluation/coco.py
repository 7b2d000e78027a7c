"""Rule: a COCO file's shapes are drawn as its format says, polygons and both kinds of run lengths.

Run lengths go down the columns and alternate between background and object, background first. Annotations
of crowds are left out: they are no single object. So are, with a warning, those without a shape: boxes alone.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from skimage.draw import polygon2mask

from napari_ois.annotation.packed import PackedMask
from napari_ois.errors import InputError
from napari_ois.evaluation.folders import SUFFIXES, image_size, refuse
from napari_ois.evaluation.samples import Entry
from napari_ois.evaluation.targets import ShapeTarget


def find_coco(path: Path) -> list[Path]:
    """COCO files at a path: itself, or JSON files in the folder or in its `annotations`."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    return sorted([*path.glob("*.json"), *path.glob("annotations/*.json")])


def list_coco(path: Path) -> list[Entry]:
    """List the objects of a COCO file.

    Parameters
    ----------
    path : Path
        The file, or a folder with exactly one. Images are looked for beside the file, in the folder
        above it, and there in `images` and in the folder that the file is named after
        (`annotations/instances_val2017.json`: `val2017`).

    Raises
    ------
    InputError
        When there are several files, it is no COCO file, or images are missing or damaged: which ones.

    Warns
    -----
    RuntimeWarning
        When annotations have an empty segmentation: how many.
    """
    files = find_coco(path)
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:5])
        raise InputError(f"{path} holds several COCO files ({names}); give the one to be used.")
    file = files[0]
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        pictures = {picture["id"]: str(picture["file_name"]) for picture in content["images"]}
        objects = [
            (str(each["id"]), pictures[each["image_id"]], each.get("segmentation"))
            for each in content["annotations"]
            if not each.get("iscrowd", 0)
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is no COCO file of instances: images, annotations or their ids are wrong.") from error
    if without := sum(_is_empty(shape) for _, _, shape in objects):
        objects = [each for each in objects if not _is_empty(each[2])]
        warnings.warn(
            f"{file}: {without} annotations have no segmentation and are left out.", RuntimeWarning, stacklevel=2
        )
    # In the file's order of images, so that an image's objects stand together.
    place = {name: index for index, name in enumerate(pictures.values())}
    objects.sort(key=lambda each: place[each[1]])
    paths = {name: _find_image(file, name) for name in dict.fromkeys(name for _, name, _ in objects)}
    wrong = [f"{name} (missing)" for name, found in paths.items() if found is None]
    wrong += [f"{name} (damaged)" for name, found in paths.items() if found is not None and not image_size(found)]
    refuse(wrong, file)
    return [
        Entry(file.stem, "", name, found, key, ShapeTarget(file, key, shape))
        for key, name, shape in objects
        if (found := paths[name]) is not None
    ]


def _is_empty(shape: Any) -> bool:
    return shape is None or (isinstance(shape, list) and not any(shape))


def _find_image(file: Path, name: str) -> Path | None:
    if Path(name).suffix.lower() not in SUFFIXES:
        return None
    for root in (file.parent, file.parent.parent):
        for folder in ("", "images", file.stem, file.stem.rpartition("_")[2]):
            if (found := root / folder / name).is_file():
                return found
    return None


def draw(shape: Any, size: tuple[int, int], owner: str) -> np.ndarray:
    """Draw a ``segmentation``.

    Parameters
    ----------
    shape : list of polygons, or dict with ``size`` and ``counts``
        A polygon is x, y, x, y, ... with (0, 0) at the image's corner; ``counts`` is a list of
        numbers, or their compressed text.
    size : (int, int)
        Rows and columns of the image.
    owner : str
        Whose shape it is, for errors.

    Returns
    -------
    (H, W) uint8
        1 object, 0 not.

    Raises
    ------
    InputError
        When it is damaged, or made for another size.
    """
    try:
        if isinstance(shape, dict):
            if isinstance(shape["counts"], list):
                return _draw_runs(shape["counts"], tuple(shape["size"]), size)
            packed = PackedMask.from_record(shape)
            if packed.shape != tuple(size):
                raise ValueError("made for another size")
            return packed.unpack().astype(np.uint8)
        drawn = np.zeros(size, bool)
        for polygon in shape:
            corners = np.asarray(polygon, float).reshape(-1, 2)[:, ::-1]
            # A corner at 0 is the edge of pixel 0, whose centre is at 0 for us.
            drawn |= polygon2mask(size, corners - 0.5)
        return drawn.astype(np.uint8)
    except (KeyError, TypeError, ValueError, IndexError) as error:  # InputError is a ValueError
        raise InputError(f"{owner} has a damaged segmentation, or one for another image size.") from error


def _draw_runs(runs: list[int], written: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    if written != tuple(size) or sum(runs) != size[0] * size[1] or min(runs) < 0:
        raise ValueError("the runs do not fill the image")
    values = np.arange(len(runs)) % 2
    return np.repeat(values, runs).astype(np.uint8).reshape(size[::-1]).T
