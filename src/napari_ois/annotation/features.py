"""One rule: the table of objects has one row an accepted label, in the units of the image.

An object that goes through several planes under one label is one row: its areas are summed, its score is the
lowest, its clicks are counted together, those that were derived from a neighbouring slice not among them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from napari_ois.annotation.canvas import Place, places_of, visible_areas
from napari_ois.annotation.objects import AnnotatedObject

COLUMNS = ("index", "name", "area_px", "area", "unit", "score", "clicks", "slice", "color")


def features(
    objects: Iterable[AnnotatedObject],
    target: str = "labels",
    *,
    pixel_size: Sequence[float] | None = None,
    unit: str = "pixel",
) -> dict[str, list[Any]]:
    """Make the table of the objects in one label array, as ``Labels.features`` takes it.

    Parameters
    ----------
    objects : iterable of AnnotatedObject
    target : str
    pixel_size : sequence of float, optional
        Size of a pixel along each axis of the image (its layer's scale); by default 1.
    unit : str
        Of the pixel size.

    Returns
    -------
    dict of str to list
        ``index`` (the label), ``name``, ``area_px`` (pixels that are to be seen, without those that later
        objects took), ``area`` (physical), ``unit`` (of the area), ``score`` (NaN where none was given),
        ``clicks``, ``slice`` (the planes, as one would index them), ``color``; sorted by label.
    """
    table = {obj.number: obj for obj in objects}
    areas = {place: visible_areas(layers) for place, layers in places_of(table).items() if place.target == target}
    rows: dict[int, dict[str, Any]] = {}
    for obj in sorted(table.values(), key=lambda one: one.number):
        accepted = obj.accepted
        if accepted is None or accepted.target != target:
            continue
        pixels = areas[Place(target, obj.plane)][accepted]
        size = 1.0
        for axis in obj.plane.axes:
            size *= 1.0 if pixel_size is None else abs(float(pixel_size[axis]))
        score = float("nan") if accepted.score is None else accepted.score
        clicks = len(obj.clicks) if obj.part is None or obj.part.settled else 0
        row = rows.get(accepted.label)
        if row is None:
            rows[accepted.label] = {
                "index": accepted.label,
                "name": obj.name,
                "area_px": pixels,
                "area": pixels * size,
                "unit": area_unit(unit),
                "score": score,
                "clicks": clicks,
                "slice": str(obj.plane),
                "color": obj.color or "",
            }
            continue
        row["area_px"] += pixels
        row["area"] += pixels * size
        row["clicks"] += clicks
        row["score"] = min(row["score"], score) if row["score"] == row["score"] else score
        row["slice"] += f" {obj.plane}"
    return {name: [rows[label][name] for label in sorted(rows)] for name in COLUMNS}


def area_unit(unit: str, power: str = "²") -> str:
    """Unit of an area, or of a volume, where sides have another; pixels are counted."""
    return unit if unit == "pixel" else unit + power


def as_seen(table: dict[str, list[Any]], counts: Mapping[int, int], pixel: float, unit: str) -> dict[str, list[Any]]:
    """A table with the areas that labels have, whoever has written them, and a row for each label that is no object.

    Parameters
    ----------
    table : dict of str to list
        Of :func:`features`.
    counts : mapping of int to int
        Pixels of each label but 0. An object without a pixel keeps its row.
    pixel : float
        Area of a pixel, for labels that are no object.
    unit : str
        Of that area.

    Returns
    -------
    dict of str to list
        As :func:`features` gives it; sorted by label.
    """
    nothing = {"name": "", "score": float("nan"), "clicks": 0, "slice": "", "color": ""}
    rows = {row[0]: dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)}
    for label in {*rows, *counts}:
        row = rows.setdefault(label, {"index": label, **nothing, "unit": unit, "area_px": 1, "area": pixel})
        each = row["area"] / row["area_px"] if row["area_px"] else pixel  # on the planes that the object lies on
        row["area_px"] = counts.get(label, 0)
        row["area"] = row["area_px"] * each
    return {name: [rows[label][name] for label in sorted(rows)] for name in COLUMNS}


def to_csv(table: dict[str, list[Any]]) -> str:
    """Write a table as CSV with one line a row; a score that is not there is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    for row in zip(*table.values(), strict=True):
        writer.writerow(["" if value != value else value for value in row])
    return text.getvalue()
