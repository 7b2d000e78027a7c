"""Rule: the collection's MANIFEST.csv has one row per object and says where everything is.

Its `object_id` is an id of the label map, or several joined by "+", which are merged. Depth images
hold distances, 0 = unknown.
"""

from __future__ import annotations

import csv
from pathlib import Path

from napari_ois.errors import InputError, reading_table
from napari_ois.evaluation.folders import check_files
from napari_ois.evaluation.samples import Entry
from napari_ois.evaluation.targets import LabelTarget

MANIFEST = "MANIFEST.csv"
_COLUMNS = ("set", "domain", "image", "mask", "depth", "object_id")


def data_folder(path: str | Path) -> Path:
    """The folder that is meant, where its MANIFEST.csv may be named instead."""
    path = Path(path)
    return path.parent if path.name == MANIFEST and path.is_file() else path


def list_manifest(folder: Path) -> list[Entry]:
    """List the objects of a folder with MANIFEST.csv.

    Raises
    ------
    InputError
        When the manifest is damaged, or names files that are missing or damaged: which ones.
    """
    rows = _read_rows(folder / MANIFEST)
    check_files(
        [(folder / row["image"], folder / row["mask"]) for row in rows],
        folder,
        [folder / row["depth"] for row in rows if row["depth"]],
    )
    return [
        Entry(
            set=row["set"],
            domain=row["domain"],
            image=row["image"],
            path=folder / row["image"],
            object=row["object_id"],
            target=LabelTarget(folder / row["mask"], row["object_id"]),
            depth=folder / row["depth"] if row["depth"] else None,
        )
        for row in rows
    ]


def _read_rows(manifest: Path) -> list[dict[str, str]]:
    with reading_table(manifest), manifest.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{manifest} lacks the columns {', '.join(missing)}.")
        rows = list(reader)
    for number, row in enumerate(rows, start=1):
        if None in row.values() or not (row["image"] and row["mask"] and row["object_id"]):
            raise InputError(f"{manifest}, object {number}, lacks its image, mask or object_id.")
    return rows
