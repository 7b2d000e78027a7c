"""Rule: figures are computed from the per-object IoU curves and from nothing else.

One CSV row an object for whoever wants to look closer; one summary, as JSON for programs and as a
text table for people.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_ois.errors import InputError
from napari_ois.evaluation.metrics import k_miou, mean_over_sets, noc, nof
from napari_ois.evaluation.run import ObjectResult

_THRESHOLDS = (85, 90, 95)
_CLICKS = (1, 3, 5)
_TABLE = ("iou_1", "iou_3", "iou_5", "noc85", "noc90")


def write_csv(results: Sequence[ObjectResult], path: str | Path) -> None:
    """Write one row an object: set, image, object, iou_1 .. iou_N, noc85, noc90, noc95."""
    budget = _budget(results)
    names = [f"iou_{click}" for click in range(1, budget + 1)]
    names += [f"noc{percent}" for percent in _THRESHOLDS]
    with Path(path).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["set", "image", "object", *names])
        for result in results:
            curve = [f"{value:.4f}" for value in result.ious]
            clicks = [noc(result.ious, percent / 100, budget=budget) for percent in _THRESHOLDS]
            writer.writerow([result.set, result.image, result.object, *curve, *clicks])


def summarize(results: Sequence[ObjectResult]) -> dict[str, Any]:
    """Figures of each set and their mean over sets.

    Parameters
    ----------
    results : sequence of ObjectResult
        All made with the same number of clicks.

    Returns
    -------
    dict
        `max_clicks`; `objects`; `sets`: {name: {domain, objects, iou_1, iou_3, iou_5, noc85, noc90,
        noc95, nof95}}; `mean_over_sets`: the same figures; `seconds_per_click`. Clicks beyond
        `max_clicks` have no IoU figure. Everything can be written as JSON.

    Raises
    ------
    InputError
        When there is no result, or they differ in their number of clicks.
    """
    budget = _budget(results)
    by_set: dict[str, list[ObjectResult]] = defaultdict(list)
    for result in results:
        by_set[result.set].append(result)
    sets = {name: _figures(members, budget) for name, members in sorted(by_set.items())}
    names = [name for name in next(iter(sets.values())) if name not in ("domain", "objects")]
    clicks = sum(result.clicks for result in results)
    return {
        "max_clicks": budget,
        "objects": len(results),
        "sets": sets,
        "mean_over_sets": {
            name: mean_over_sets({key: [figures[name]] for key, figures in sets.items()}) for name in names
        },
        "seconds_per_click": sum(result.seconds for result in results) / max(clicks, 1),
    }


def write_json(summary: dict[str, Any], path: str | Path) -> None:
    """Write a summary for programs."""
    Path(path).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def format_table(summary: dict[str, Any]) -> str:
    """Text table of a summary: a line a set, the mean over sets last."""
    shown = [name for name in _TABLE if name in summary["mean_over_sets"]]
    width = max(len("mean over sets"), *(len(name) for name in summary["sets"]))
    head = f"{'set':<{width}}  objects" + "".join(f"  {_title(name):>6}" for name in shown)
    lines = [head, "-" * len(head)]
    for name, figures in summary["sets"].items():
        lines.append(_line(name, figures["objects"], figures, shown, width))
    lines.append("-" * len(head))
    mean = summary["mean_over_sets"]
    lines.append(_line("mean over sets", summary["objects"], mean, shown, width))
    lines.append(f"NoC: clicks until the IoU is reached, {summary['max_clicks']} if never.")
    return "\n".join(lines)


def _figures(members: list[ObjectResult], budget: int) -> dict[str, Any]:
    curves = [member.ious for member in members]
    figures: dict[str, Any] = {"domain": members[0].domain, "objects": len(members)}
    for k in _CLICKS:
        if k <= budget:
            figures[f"iou_{k}"] = k_miou(curves, k)
    for percent in _THRESHOLDS:
        needed = [noc(curve, percent / 100, budget=budget) for curve in curves]
        figures[f"noc{percent}"] = sum(needed) / len(needed)
        if percent == _THRESHOLDS[-1]:
            figures[f"nof{percent}"] = nof(needed, budget=budget)
    return figures


def _budget(results: Sequence[ObjectResult]) -> int:
    lengths = {len(result.ious) for result in results}
    if len(lengths) != 1:
        raise InputError("There must be at least one result, all with the same number of clicks.")
    return lengths.pop()


def _title(name: str) -> str:
    kind, number = name[:3], name[3:].lstrip("_")
    return f"IoU@{number}" if kind == "iou" else f"NoC{number}"


def _line(name: str, count: int, figures: dict[str, Any], shown: list[str], width: int) -> str:
    cells = "".join(f"  {figures[key]:>6.3f}" if key.startswith("iou") else f"  {figures[key]:>6.2f}" for key in shown)
    return f"{name:<{width}}  {count:>7}{cells}"
