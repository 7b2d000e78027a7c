"""One rule: these commands measure a model or make one; they need data, and take their time."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from napari_ois.cli.parts import load_predictor, model_options, progress_bar, spoken_warnings
from napari_ois.errors import InputError


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


@click.command("order-control")
@click.option("--scenes", default=150, show_default=True, type=click.IntRange(1), help="Made scenes.")
@click.option("--kind", default="photo", show_default=True, help="photo, microscopy, medical or all.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures for programs.")
@model_options
def order_control(
    scenes: int,
    kind: str,
    as_json: bool,
    model: str,
    device: str,
    precision: str,
    input_size: int | None,
) -> None:
    """Measure what order is worth: the same clicks with true, constant and estimated depth.

    On made scenes that no training has seen. A model that ignores order scores the same in all three.
    """
    from napari_ois.training import order_control as control

    predictor = load_predictor(model, device, precision, input_size)
    with progress_bar(None, "clicked objects") as step, spoken_warnings():
        found = control.order_control(
            predictor, scenes=scenes, kind=None if kind == "all" else kind, progress=step
        )
    click.echo(json.dumps(asdict(found), indent=2) if as_json else control.format_control(found))


@click.command()
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Its folder.")
@click.option("--data", type=click.Path(path_type=Path), help="Collection with MANIFEST.csv.")
@click.option("--scenes", default=3600, show_default=True, type=click.IntRange(0), help="Made scenes.")
@click.option("--preset", help="Network to train; by default the recipe's.")
@click.option("--steps", type=click.IntRange(1), help="Length; by default the recipe's.")
@click.option("--seed", type=int, help="By default the recipe's.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for packed data.")
@click.option("--device", default="auto", show_default=True)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after this time.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(0))
@click.option("--export", type=click.Path(path_type=Path), help="Write the weights as safetensors.")
def train(
    output: Path,
    data: Path | None,
    scenes: int,
    preset: str | None,
    steps: int | None,
    seed: int | None,
    cache: Path | None,
    device: str,
    minutes: float | None,
    workers: int,
    export: Path | None,
) -> None:
    """Train a network, or go on with a training that was stopped.

    Learns from made scenes and, with --data, from real images. The folder holds checkpoints and a log.
    """
    from napari_ois.network import PRESETS
    from napari_ois.segmentation.files import check_target
    from napari_ois.segmentation.placement import choose_device
    from napari_ois.training.run import train as run
    from napari_ois.training.trainer import Recipe

    for folder in (output, None if export is None else export.parent):
        if folder is not None:
            check_target(folder)
    given: dict[str, Any] = {"preset": preset, "steps": steps, "seed": seed}
    recipe = Recipe(**{name: value for name, value in given.items() if value is not None})
    if recipe.preset not in PRESETS:  # said now, not after the scenes are made
        raise InputError(f"There is no preset {recipe.preset}; use one of {', '.join(PRESETS)}.")
    trainer = run(
        recipe,
        output,
        data=data,
        scenes=scenes,
        cache=cache,
        device=str(choose_device(device)),
        seconds=None if minutes is None else minutes * 60,
        workers=workers,
    )
    click.echo(f"{trainer.step} of {recipe.steps} steps are done; checkpoint: {trainer.checkpoint}")
    if export is not None:
        from napari_ois.checkpoints import save_checkpoint

        metadata = {"preset": recipe.preset, "steps": str(trainer.step), "seed": str(recipe.seed)}
        export.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(trainer.averaged().state_dict(), export, metadata=metadata)
        click.echo(f"weights: {export}")
