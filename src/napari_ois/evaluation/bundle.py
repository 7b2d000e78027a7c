"""Rule: a report's folder holds everything that was found, and each file in it stands alone.

``run.json`` what was run, ``objects.csv`` one row a method and object, ``summary.json`` for programs,
``summary.md`` for people, three plots, and for each method a contact sheet of its worst and median objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_ois import __version__
from napari_ois.errors import InputError
from napari_ois.evaluation.campaign import Campaign
from napari_ois.evaluation.journal import OBJECTS, Journal, write_csv
from napari_ois.evaluation.methods import Method
from napari_ois.evaluation.plots import draw_plots
from napari_ois.evaluation.report import summarize, write_json
from napari_ois.evaluation.run import ClickPredictor, ObjectResult
from napari_ois.evaluation.sheet import draw_sheet
from napari_ois.evaluation.speed import Speed
from napari_ois.evaluation.tables import markdown
from napari_ois.segmentation.files import whole_folder


def results_by_method(campaign: Campaign, journal: Journal) -> dict[str, list[ObjectResult]]:
    """Results in the collection's order, the same objects for every method; none of those that cover no pixel."""
    keys = [(entry.set, entry.image, entry.object) for entry in campaign.collection.entries]
    return {
        method.name: [journal.results[method.name, *key] for key in keys if (method.name, *key) in journal.results]
        for method in campaign.methods
    }


def describe(method: Method, predictor: ClickPredictor) -> dict[str, str]:
    """What a method is: its name, where it runs, and which weights it has."""
    info = getattr(predictor, "model_info", None)
    return {
        "model": method.name,
        "device": getattr(predictor, "device", "cpu"),
        "precision": getattr(predictor, "precision", "fp32"),
        "sha256": getattr(info, "sha256", ""),
    }


def plan_of(campaign: Campaign, descriptions: Sequence[Mapping[str, str]], **more: Any) -> dict[str, Any]:
    """What makes a run the same run: it may go on on another device, or with more jobs.

    Parameters
    ----------
    campaign : Campaign
    descriptions : sequence of what :func:`describe` gives, in the order of the methods
    **more
        Options that chose the objects or changed the methods.
    """
    return {
        "methods": {each["model"]: {k: v for k, v in each.items() if k != "device"} for each in descriptions},
        "max_clicks": campaign.max_clicks,
        "measured_depth": campaign.measured_depth,
        "objects": campaign.collection.n_objects,
        "version": __version__,
        **more,
    }


def summaries_of(
    results: Mapping[str, Sequence[ObjectResult]],
    descriptions: Sequence[Mapping[str, str]],
    speeds: Mapping[str, Speed] | None = None,
) -> dict[str, dict[str, Any]]:
    """One summary a method: what it is, its figures, and its speed where measured."""
    summaries = {}
    for each in descriptions:
        name = each["model"]
        summaries[name] = {**each, **summarize(results[name])}
        if speeds:
            summaries[name]["speed"] = asdict(speeds[name])
    return summaries


def joined(summaries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """One object for programs: the first method's summary, and with several, all of them in ``methods``."""
    first = next(iter(summaries.values()))
    return {**first, "methods": dict(summaries)} if len(summaries) > 1 else dict(first)


def write_report(
    folder: Path,
    campaign: Campaign,
    results: Mapping[str, Sequence[ObjectResult]],
    summaries: Mapping[str, dict[str, Any]],
    predictors: Mapping[int, ClickPredictor],
    *,
    data: str,
) -> list[str]:
    """Write everything but ``run.json``, which the journal has written.

    Returns
    -------
    list of str
        What had to be left out, and why; a sentence each.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    left_out = []
    with whole_folder(folder) as staging:
        rows = [(method, result) for method, own in results.items() for result in own]
        write_csv(rows, staging / OBJECTS, campaign.max_clicks)
        write_json(joined(summaries), staging / "summary.json")
        (staging / "summary.md").write_text(markdown(summaries, results, data), encoding="utf-8")
        try:
            draw_plots(summaries, results, staging)
        except InputError as error:
            left_out.append(str(error))
        names = sheet_names([method.name for method in campaign.methods])
        for number, (method, name) in enumerate(zip(campaign.methods, names, strict=True)):
            sheet = draw_sheet(
                predictors[number],
                campaign.collection,
                results[method.name],
                measured_depth=campaign.measured_depth,
            )
            sheet.save(staging / name)
    return left_out


def sheet_names(methods: Sequence[str]) -> list[str]:
    """Names of the methods' contact sheets; two that would be called alike bear their numbers too."""
    found: list[str] = []
    for number, method in enumerate(methods, start=1):
        name = f"sheet-{file_name(method)}.png"
        taken = {other.casefold() for other in found}
        found.append(f"sheet-{number}-{file_name(method)}.png" if name.casefold() in taken else name)
    return found


def file_name(method: str) -> str:
    """A method's name as a part of a file's name: of a path its last part."""
    return re.sub(r"[^\w.=-]+", "-", re.split(r"[/\\]", method.rstrip("/\\"))[-1]).strip("-.") or "method"
