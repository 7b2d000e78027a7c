"""Rule: figures are computed from the per-object IoU curves and from nothing else.

One summary a method, as JSON for programs and as text tables for people.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_ois.errors import InputError
from napari_ois.evaluation.journal import THRESHOLDS
from napari_ois.evaluation.metrics import bootstrap_interval, k_miou, mean_over_sets, noc, nof
from napari_ois.evaluation.run import BOUNDARY_CLICKS, ObjectResult

CLICKS = (1, 3, 5)
MEAN = "mean over sets"
ALL = "all objects"
_TOTALS = {ALL: "over_objects", MEAN: "mean_over_sets"}
_TABLE = ("iou_1", "iou_3", "iou_5", "noc85", "noc90")


def summarize(results: Sequence[ObjectResult]) -> dict[str, Any]:
    """Figures of each set, over all objects, and their mean over sets.

    Parameters
    ----------
    results : sequence of ObjectResult
        All made with the same number of clicks.

    Returns
    -------
    dict
        `max_clicks`; `objects`; `sets`: {name: {domain, objects, iou_1, iou_3, iou_5, biou_1, biou_3,
        biou_5 (boundary IoU, where measured), noc85, noc90, noc95, nof85, nof90, nof95}};
        `over_objects`: the same figures of all objects, as papers count HQSeg-44K's (NoF is their number);
        `mean_over_sets`: the same figures, each set weighing alike; `intervals`: {name of a set or "mean over
        sets": {figure: [low, high]}}, 95 % by bootstrap over objects; `curves`: {the same names: mean IoU after
        click 1, 2, ...}; `seconds_per_click` (in `predict`) and `seconds_per_click_with_embedding`. Clicks
        beyond `max_clicks` have no IoU figure. Everything can be written as JSON.

    Raises
    ------
    InputError
        When there is no result, or they differ in their number of clicks.
    """
    budget = _budget(results)
    by_set: dict[str, list[ObjectResult]] = defaultdict(list)
    for result in sorted(results, key=lambda each: each.set):
        by_set[result.set].append(result)
    values = object_values(results)
    sets = {name: _figures(members, values, budget) for name, members in by_set.items()}
    figures = [name for name in next(iter(sets.values())) if name not in ("domain", "objects")]
    mean = {name: mean_over_sets({key: [each[name]] for key, each in sets.items()}) for name in figures}
    intervals, curves = {}, {}
    for title, members in (*by_set.items(), (MEAN, results)):
        names = {member.set for member in members}
        intervals[title] = {
            name: list(bootstrap_interval({key: v for key, v in per_set.items() if key in names}))
            for name, per_set in values.items()
        }
    for name, members in by_set.items():
        curves[name] = [k_miou([member.ious for member in members], k) for k in range(1, budget + 1)]
    curves[MEAN] = [mean_over_sets({n: [c[k]] for n, c in curves.items()}) for k in range(budget)]
    clicks = max(sum(result.clicks for result in results), 1)
    seconds = sum(result.seconds for result in results)
    embedding = sum({(result.set, result.image): result.embed_seconds for result in results}.values())
    return {
        "max_clicks": budget,
        "objects": len(results),
        "sets": sets,
        "over_objects": _over_objects(values, sets),
        "mean_over_sets": mean,
        "intervals": intervals,
        "curves": curves,
        "seconds_per_click": seconds / clicks,
        "seconds_per_click_with_embedding": (seconds + embedding) / clicks,
    }


def object_values(results: Sequence[ObjectResult]) -> dict[str, dict[str, list[float]]]:
    """Figures that are means over objects: {figure: {set: one value an object, in the results' order}}."""
    budget = _budget(results)
    boundary = all(result.boundary for result in results)
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        own: dict[str, float] = {f"iou_{k}": result.ious[k - 1] for k in CLICKS if k <= budget}
        if boundary:
            measured = [k for k in BOUNDARY_CLICKS if k <= budget]
            own |= {f"biou_{k}": value for k, value in zip(measured, result.boundary, strict=True)}
        own |= {f"noc{percent}": noc(result.ious, percent / 100, budget=budget) for percent in THRESHOLDS}
        for name, value in own.items():
            values[name][result.set].append(value)
    return {name: dict(per_set) for name, per_set in values.items()}


def write_json(summary: dict[str, Any], path: str | Path) -> None:
    """Write a summary for programs."""
    Path(path).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def figures_of(summary: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Figures of a set, or of what is over the sets: :data:`ALL` or :data:`MEAN`."""
    return summary[_TOTALS[title]] if title in _TOTALS else summary["sets"][title]


def format_table(summary: dict[str, Any]) -> str:
    """Text table of a summary: a line a set, then all objects, the mean over sets last."""
    shown = [name for name in _TABLE if name in summary["mean_over_sets"]]
    width = max(len(name) for name in (MEAN, *summary["sets"]))
    head = f"{'set':<{width}}  objects" + "".join(f"  {_title(name):>6}" for name in shown)
    lines = [head, "-" * len(head)]
    for name, figures in summary["sets"].items():
        lines.append(_line(name, figures["objects"], figures, shown, width))
    lines.append("-" * len(head))
    for title in _TOTALS:
        lines.append(_line(title, summary["objects"], figures_of(summary, title), shown, width))
    lines.append(f"NoC: clicks until the IoU is reached, {summary['max_clicks']} if never.")
    return "\n".join(lines)


def format_comparison(summaries: Mapping[str, dict[str, Any]]) -> str:
    """Text table of several methods: a line a set, IoU after 1, 3 and 5 clicks; a star marks the best."""
    first = next(iter(summaries.values()))
    shown = [name for name in ("iou_1", "iou_3", "iou_5") if name in first["mean_over_sets"]]
    width = max(len(name) for name in (MEAN, *first["sets"]))
    cell = max(7, *(-(-(len(name) + 2) // len(shown)) for name in summaries))
    start = f"{'set':<{width}}  objects"
    names = "".join(f"{name:>{cell * len(shown)}}" for name in summaries)
    head = start + "".join(f"{_title(name):>{cell}}" for name in shown) * len(summaries)
    lines = [" " * len(start) + names, head, "-" * len(head)]
    for title in (*first["sets"], *_TOTALS):
        rows = [figures_of(summary, title) for summary in summaries.values()]
        best = {name: max(row[name] for row in rows) for name in shown}
        count = rows[0].get("objects", first["objects"])
        cells = [f"{row[n]:.3f}{'*' if row[n] == best[n] else ' '}" for row in rows for n in shown]
        if title == ALL:
            lines.append("-" * len(head))
        lines.append(f"{title:<{width}}  {count:>7}" + "".join(f"{text:>{cell}}" for text in cells))
    lines.append("")
    for name, summary in summaries.items():
        mean = summary["mean_over_sets"]
        figures = ", ".join(f"NoC{percent} {mean[f'noc{percent}']:.2f}" for percent in THRESHOLDS)
        lines.append(f"{name}: {figures}, {1000 * summary['seconds_per_click']:.0f} ms a click")
    lines.append(f"NoC: clicks until the IoU is reached, {first['max_clicks']} if never; * the best of the line.")
    return "\n".join(lines)


def _figures(members: list[ObjectResult], values: dict[str, dict[str, list[float]]], budget: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"domain": members[0].domain, "objects": len(members)}
    name = members[0].set
    for kind, per_set in values.items():
        figures[kind] = sum(per_set[name]) / len(per_set[name])
    for percent in THRESHOLDS:
        needed = [int(value) for value in values[f"noc{percent}"][name]]
        figures[f"nof{percent}"] = nof(needed, budget=budget)
    return figures


def _over_objects(values: dict[str, dict[str, list[float]]], sets: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Figures in which each object weighs as much as another, whichever set it is of."""
    pooled = {name: [v for own in per_set.values() for v in own] for name, per_set in values.items()}
    figures = {name: sum(own) / len(own) for name, own in pooled.items()}
    return figures | {f"nof{percent}": sum(each[f"nof{percent}"] for each in sets.values()) for percent in THRESHOLDS}


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
