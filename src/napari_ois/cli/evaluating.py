"""One rule: what the user measures on annotated images of theirs; nothing here changes a model."""

from __future__ import annotations

import json
from pathlib import Path

import click

from napari_ois.cli.parts import load_predictor, model_options, progress_bar, spoken_warnings


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--set", "sets", multiple=True, help="Only this set; repeatable.")
@click.option("--max-clicks", default=20, show_default=True, type=click.IntRange(1, 100))
@click.option("--limit", type=click.IntRange(1), help="At most so many objects of each set.")
@click.option("--measured-depth", is_flag=True, help="Use the collection's depth where there is one.")
@click.option("--report", type=click.Path(path_type=Path), help="Folder for objects.csv and summary.json.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary for programs.")
@model_options
def evaluate(
    data: Path,
    sets: tuple[str, ...],
    max_clicks: int,
    limit: int | None,
    measured_depth: bool,
    report: Path | None,
    as_json: bool,
    model: str,
    device: str,
    precision: str,
    input_size: int | None,
) -> None:
    """Measure a model on the collection DATA (a folder with MANIFEST.csv) by robot clicks."""
    from napari_ois.evaluation import report as reports
    from napari_ois.evaluation.readers import EvalCollection
    from napari_ois.evaluation.run import evaluate as run
    from napari_ois.segmentation.files import check_target, whole_folder

    if report is not None:
        check_target(report)
    collection = EvalCollection(data, sets=sets or None, per_set=limit)
    predictor = load_predictor(model, device, precision, input_size)
    with progress_bar(collection.n_objects, "objects") as step, spoken_warnings():
        results = run(
            predictor,
            collection,
            max_clicks=max_clicks,
            measured_depth=measured_depth,
            progress=lambda done: step(1),
        )
    summary = reports.summarize(results)
    summary = {
        "model": model,
        "device": predictor.device,
        "precision": predictor.precision,
        **summary,
    }
    if report is not None:
        with whole_folder(report) as folder:
            reports.write_csv(results, folder / "objects.csv")
            reports.write_json(summary, folder / "summary.json")
    click.echo(json.dumps(summary, indent=2) if as_json else reports.format_table(summary))
