"""One rule: these commands make a model, or measure it on made scenes; both take their time."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import click

from napari_ois.cli.parts import load_predictor, model_options, progress_bar, spoken_warnings


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
        found = control.order_control(predictor, scenes=scenes, kind=None if kind == "all" else kind, progress=step)
    click.echo(json.dumps(asdict(found), indent=2) if as_json else control.format_control(found))


@click.command()
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Its folder.")
@click.option("--data", type=click.Path(path_type=Path), help="Collection with MANIFEST.csv.")
@click.option("--scenes", type=click.IntRange(0), help="Made scenes; by default 3600, for ViT presets none.")
@click.option("--preset", default="ois-compact", show_default=True, help="Network to train.")
@click.option("--steps", type=click.IntRange(1), help="Length; by default the recipe's.")
@click.option("--batch", type=click.IntRange(1), help="Windows in a batch; by default the recipe's.")
@click.option("--seed", default=0, show_default=True)
@click.option("--depth-weights", type=click.Path(path_type=Path), help="Depth Anything V2 weights, for ViT.")
@click.option("--start", help="Model or checkpoint to start from, instead of random weights.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for packed data.")
@click.option("--device", default="auto", show_default=True)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after this time.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(0))
@click.option("--export", "target", type=click.Path(path_type=Path), help="Write weights as safetensors.")
def train(
    output: Path,
    data: Path | None,
    scenes: int | None,
    preset: str,
    steps: int | None,
    batch: int | None,
    seed: int,
    depth_weights: Path | None,
    start: str | None,
    cache: Path | None,
    device: str,
    minutes: float | None,
    workers: int,
    target: Path | None,
) -> None:
    """Train a network, or go on with a training that was stopped.

    Learns from made scenes and, with --data, from real images. The folder holds checkpoints and a log.
    """
    from napari_ois.checkpoints import export
    from napari_ois.network import PRESETS
    from napari_ois.segmentation.files import check_target
    from napari_ois.segmentation.placement import choose_device
    from napari_ois.training.recipe import recipe_for
    from napari_ois.training.run import train as run

    for folder in (output, None if target is None else target.parent):
        if folder is not None:
            check_target(folder)
    recipe = recipe_for(preset, seed=seed)  # an unknown preset is said now, not after the scenes are made
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    if batch is not None:
        recipe = replace(recipe, phases=tuple(replace(phase, images=batch) for phase in recipe.phases))
    if scenes is None:
        scenes = 0 if PRESETS[preset].encoder == "vit" else 3600
    trainer = run(
        recipe,
        output,
        data=data,
        scenes=scenes,
        cache=cache,
        device=str(choose_device(device)),
        seconds=None if minutes is None else minutes * 60,
        workers=workers,
        depth_weights=depth_weights,
        start=start,
    )
    click.echo(f"{trainer.step} of {recipe.steps} steps are done; checkpoint: {trainer.checkpoint}")
    if target is not None:
        export(trainer.checkpoint, target, {})
        click.echo(f"weights: {target}")
