"""Rule: `summary.md` says for every set what the paper's tables say, and how sure each figure is.

Rows are methods. IoU is in percent, as the paper has it; intervals are 95 % by bootstrap over objects.
Methods with switches (`MODEL:use_order=false`) are set beside their model as in Tables 4 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_ois.evaluation.methods import parse_model
from napari_ois.evaluation.metrics import bootstrap_interval, differences, mean_over_sets
from napari_ois.evaluation.report import ALL, MEAN, figures_of, object_values
from napari_ois.evaluation.run import ObjectResult

COLUMNS = {
    "noc85": "NoC85",
    "noc90": "NoC90",
    "noc95": "NoC95",
    "iou_1": "1-mIoU",
    "iou_3": "3-mIoU",
    "iou_5": "5-mIoU",
    "biou_1": "1-mBIoU",
    "biou_3": "3-mBIoU",
    "biou_5": "5-mBIoU",
    "nof85": "NoF85",
    "nof90": "NoF90",
    "nof95": "NoF95",
}
"""Figures of the tables by set, with their titles."""

_SPEED = {
    "parameters": "parameters (M)",
    "spc": "SPC (ms)",
    "spc_with_embedding": "SPC with embedding (ms)",
    "sat_sequential": "SAT, one by one (s)",
    "sat_batched": "SAT, in batches (s)",
    "peak_mb": "peak memory (MB)",
}


def markdown(summaries: Mapping[str, dict[str, Any]], results: Mapping[str, Sequence[ObjectResult]], data: str) -> str:
    """Write all tables.

    Parameters
    ----------
    summaries : mapping of method to what :func:`napari_ois.evaluation.report.summarize` gives
        With ``speed`` (see :mod:`napari_ois.evaluation.speed`) where it was measured.
    results : mapping of method to its results
        For paired differences.
    data : str
        What was measured on, in words.
    """
    first = next(iter(summaries.values()))
    lines = [
        "# Clicks on known objects",
        "",
        f"Robot clicks on {first['objects']} objects of {data}, up to {first['max_clicks']} clicks, at the images' own "
        "resolution. NoC: clicks until the IoU is reached, the budget if never. NoF: objects whose NoC is the budget "
        "(over sets: their mean). Over all objects, each weighs alike, as in the paper's table of HQSeg-44K. "
        "mIoU, mBIoU: IoU and boundary IoU after so many clicks, in percent. In brackets: 95 % interval by bootstrap "
        "over objects. In bold: the best.",
        "",
        f"## {MEAN.capitalize()}",
        "",
        *set_table(summaries, MEAN, intervals=True),
        "",
        f"## {ALL.capitalize()}",
        "",
        *set_table(summaries, ALL),
    ]
    if any("speed" in summary for summary in summaries.values()):
        lines += ["", "## Speed", "", *_speed_table(summaries)]
    for base in dict.fromkeys(base for base, _ in _variants(summaries)):
        variants = [name for parent, name in _variants(summaries) if parent == base]
        lines += ["", f"## {base} with other switches", "", *_switch_table(results, base, variants)]
    for name in first["sets"]:
        lines += ["", f"## {name}", "", *set_table(summaries, name)]
    return "\n".join(lines) + "\n"


def set_table(summaries: Mapping[str, dict[str, Any]], name: str, *, intervals: bool = False) -> list[str]:
    """One set in the form of Tables 1 and 2; `name` may be all objects, or the mean over sets."""
    rows = {method: figures_of(summary, name) for method, summary in summaries.items()}
    shown = [key for key in COLUMNS if all(key in row for row in rows.values())]
    best = {key: (max if "iou" in key else min)(row[key] for row in rows.values()) for key in shown}
    lines = _head(["method", "objects", *(COLUMNS[key] for key in shown)])
    for method, row in rows.items():
        cells = [method, str(row.get("objects", summaries[method]["objects"]))]
        for key in shown:
            text = _number(key, row[key])
            if row[key] == best[key] and any(other[key] != best[key] for other in rows.values()):
                text = f"**{text}**"
            if intervals and key in summaries[method]["intervals"][name]:
                low, high = summaries[method]["intervals"][name][key]
                text += f" [{_number(key, low)}, {_number(key, high)}]"
            cells.append(text)
        lines.append(_row(cells))
    return lines


def _speed_table(summaries: Mapping[str, dict[str, Any]]) -> list[str]:
    """The form of Table 3."""
    lines = _head(["method", *_SPEED.values(), "NoC90 (mean over sets)", "5-mIoU (mean over sets)"])
    for method, summary in summaries.items():
        speed, mean = summary.get("speed", {}), summary["mean_over_sets"]
        cells = [method]
        for key in _SPEED:
            value = speed.get(key)
            scale, digits = {"parameters": (1e-6, 2), "spc": (1e3, 0), "spc_with_embedding": (1e3, 0)}.get(key, (1, 1))
            cells.append("-" if value is None else f"{scale * value:.{digits}f}")
        cells += [_number(key, mean[key]) if key in mean else "-" for key in ("noc90", "iou_5")]
        lines.append(_row(cells))
    return lines


def _variants(methods: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Methods with switches whose model is there without."""
    return [(base, name) for name in methods if (base := parse_model(name)[0]) != name and base in methods]


def _switch_table(results: Mapping[str, Sequence[ObjectResult]], base: str, variants: Sequence[str]) -> list[str]:
    """The form of Tables 4 and 5: each variant's difference to the model, on the same objects."""
    full = object_values(results[base])
    shown = [key for key in ("noc90", "noc95", "iou_1", "iou_3", "iou_5") if key in full]
    lines = _head(["variant", *(COLUMNS[key] for key in shown)])
    lines.append(_row([base, *(_number(key, mean_over_sets(full[key])) for key in shown)]))
    for name in variants:
        own = object_values(results[name])
        cells = [name.removeprefix(base + ":")]
        for key in shown:
            change = differences(own[key], full[key])
            low, high = bootstrap_interval(change)
            difference = _number(key, mean_over_sets(change), sign="+")
            interval = f"[{_number(key, low, sign='+')}, {_number(key, high, sign='+')}]"
            cells.append(f"{_number(key, mean_over_sets(own[key]))} ({difference} {interval})")
        lines.append(_row(cells))
    return lines


def _number(key: str, value: float, sign: str = "") -> str:
    if key.startswith("nof"):
        return f"{value:{sign}.4g}"
    return f"{(100 if 'iou' in key else 1) * value:{sign}.2f}"


def _head(titles: Sequence[str]) -> list[str]:
    return [_row(titles), "| --- " + "| ---: " * (len(titles) - 1) + "|"]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
