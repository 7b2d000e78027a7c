"""One rule: these commands make a model, or measure it on made scenes; both take their time."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, replace
from pathlib import Path

import click

from napari_ois.cli.parts import compile_option, load_predictor, model_options, progress_bar, spoken_warnings
from napari_ois.errors import InputError


def _check_extra() -> None:
    """Say what is missing before anything is loaded; made scenes need it too."""
    if importlib.util.find_spec("cv2") is None:
        raise InputError('Training needs OpenCV; run: pip install "napari-ois[train]".')


@click.command()
@click.option("--from", "start", default="ois-compact", show_default=True, help="Model or checkpoint to start from.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="images + masks, or MANIFEST.csv.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder for the checkpoint.")
@click.option("--minutes", default=10.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--encoder", is_flag=True, help="Train the image encoder too; slower, for images of a new kind.")
@click.option("--holdout", default=0.2, show_default=True, type=click.FloatRange(0, 1, min_open=True, max_open=True))
@click.option("--dev", type=click.Path(path_type=Path), help="Count on these images instead of some kept back.")
@click.option("--objects", default=60, show_default=True, type=click.IntRange(1), help="Most that are counted on.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--device", default="auto", show_default=True)
@click.option("--precision", default="auto", show_default=True, help="auto, fp32, half, bf16, fp16.")
@click.option("--json", "as_json", is_flag=True, help="Print the report for programs.")
def finetune(
    start: str,
    data: Path,
    output: Path,
    minutes: float,
    encoder: bool,
    holdout: float,
    dev: Path | None,
    objects: int,
    seed: int,
    device: str,
    precision: str,
    as_json: bool,
) -> None:
    """Train a model further on your own labels, and say what it was worth.

    Part of the images is kept back (--holdout, a fifth), or others are named (--dev); on these, clicks are counted
    before and after. --minutes are of training; counting comes on top. A checkpoint that did not get better is
    written under a name that says so. Ctrl-C ends the training early, and counts.
    """
    _check_extra()
    from napari_ois.training import finetune as tuning

    with progress_bar(1000, "fine-tuning") as step, spoken_warnings():
        report = tuning.finetune(
            data,
            output,
            start=start,
            minutes=minutes,
            encoder=encoder,
            holdout=holdout,
            dev=dev,
            objects=objects,
            seed=seed,
            device=device,
            precision=precision,
            progress=step,
        )
    click.echo(json.dumps(tuning.as_record(report), indent=2) if as_json else tuning.format_report(report))


@click.command("depth-accuracy")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--pairs", default=2000, show_default=True, type=click.IntRange(1), help="Pairs of pixels of an image.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures for programs.")
@model_options
@compile_option
def depth_accuracy(
    data: Path,
    pairs: int,
    as_json: bool,
    model: str,
    device: str,
    precision: str,
    input_size: int | str | None,
    compiled: bool,
) -> None:
    """Measure how often the estimated depth orders two pixels of DATA as measured depth does.

    DATA holds a MANIFEST.csv that names depth images. Half is chance;
    what the row alone would say is printed beside it.
    """
    _check_extra()
    from napari_ois.training import depth_check as check

    items = check.images_with_depth(data)
    predictor = load_predictor(model, device, precision, input_size, compiled)
    with progress_bar(len(items), "images") as step, spoken_warnings():
        found = check.depth_accuracy(predictor, items, pairs=pairs, progress=step)
    click.echo(json.dumps(asdict(found), indent=2) if as_json else check.format_accuracy(found))


@click.command("order-control")
@click.option("--scenes", default=150, show_default=True, type=click.IntRange(1), help="Made scenes.")
@click.option("--kind", default="photo", show_default=True, help="photo, microscopy, medical or all.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures for programs.")
@model_options
@compile_option
def order_control(
    scenes: int,
    kind: str,
    as_json: bool,
    model: str,
    device: str,
    precision: str,
    input_size: int | str | None,
    compiled: bool,
) -> None:
    """Measure what order is worth: the same clicks with true, constant and estimated depth.

    On made scenes that no training has seen. A model that ignores order scores the same in all three.
    """
    _check_extra()
    from napari_ois.training import order_control as control

    predictor = load_predictor(model, device, precision, input_size, compiled)
    with progress_bar(None, "clicked objects") as step, spoken_warnings():
        found = control.order_control(predictor, scenes=scenes, kind=None if kind == "all" else kind, progress=step)
    info = predictor.model_info
    measured = {"model": model, "sha256": "" if info is None else info.sha256, **asdict(found)}
    click.echo(json.dumps(measured, indent=2) if as_json else control.format_control(found))


@click.command()
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Its folder.")
@click.option("--data", type=click.Path(path_type=Path), help="Real images: MANIFEST.csv, HQSeg-44K, images + masks.")
@click.option("--scenes", type=click.IntRange(0), help="Made scenes; by default 3600, for ViT presets none.")
@click.option("--preset", default="ois-compact", show_default=True, help="Network to train.")
@click.option("--steps", type=click.IntRange(1), help="Length; by default the recipe's.")
@click.option("--batch", type=click.IntRange(1), help="Windows in a batch; by default the recipe's.")
@click.option("--optimizer", help="adam or muon; by default the recipe's.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--depth-weights", type=click.Path(path_type=Path), help="Depth Anything V2 weights, for ViT.")
@click.option("--start", help="Model or checkpoint to start from, instead of random weights.")
@click.option("--borrowed", is_flag=True, help="Take encoder and depth from --start and leave them; begin the rest.")
@click.option("--switch", "switches", multiple=True, help="Of the network, for ablations: use_order=false.")
@click.option("--licence", "licences", multiple=True, help="Use images of this class alone: permissive. Repeatable.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for packed data.")
@click.option("--device", default="auto", show_default=True)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after this time.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(0))
@click.option("--precision", default="auto", show_default=True, help="auto, fp32, half, bf16, fp16.")
@click.option("--accumulate", default=1, show_default=True, type=click.IntRange(1), help="Passes of one batch.")
@click.option("--dev", type=click.Path(path_type=Path), help="Images to measure on; keeps best.pt.")
@click.option("--dev-every", default=1000, show_default=True, type=click.IntRange(1), help="Steps between.")
@click.option("--tensorboard", is_flag=True, help="Write a TensorBoard log too.")
@click.option("--export", "target", type=click.Path(path_type=Path), help="Write weights as safetensors.")
def train(
    output: Path,
    data: Path | None,
    scenes: int | None,
    preset: str,
    steps: int | None,
    batch: int | None,
    optimizer: str | None,
    seed: int,
    depth_weights: Path | None,
    start: str | None,
    borrowed: bool,
    switches: tuple[str, ...],
    licences: tuple[str, ...],
    cache: Path | None,
    device: str,
    minutes: float | None,
    workers: int,
    precision: str,
    accumulate: int,
    dev: Path | None,
    dev_every: int,
    tensorboard: bool,
    target: Path | None,
) -> None:
    """Train a network, or go on with a training that was stopped.

    Learns from made scenes and, with --data, from real images. The folder holds checkpoints and a log.
    On several GPUs, which divide the batch: accelerate launch --num_processes N --no_python napari-ois train ...
    """
    _check_extra()
    from napari_ois.checkpoints import export
    from napari_ois.evaluation.methods import read_switches
    from napari_ois.network import PRESETS
    from napari_ois.segmentation.files import check_target
    from napari_ois.segmentation.placement import choose_device
    from napari_ois.training.recipe import recipe_for
    from napari_ois.training.run import train as run
    from napari_ois.training.team import join_team

    if borrowed and start is None:
        raise click.UsageError("--borrowed needs --start, the model to take the encoder from.")
    # after hours of training it would be too late
    if target is not None and (target.suffix != ".safetensors" or target.is_dir()):
        raise click.UsageError(f"--export {target} is no file that ends in .safetensors.")
    for folder in (output, None if target is None else target.parent):
        if folder is not None:
            check_target(folder)
    chosen = str(choose_device(device))
    recipe = recipe_for(
        preset, continued=start is not None and not borrowed, seed=seed
    )  # an unknown preset is said now, not later
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    if optimizer is not None:
        recipe = replace(recipe, optimizer=optimizer)
    if batch is not None:
        recipe = replace(recipe, phases=tuple(phase.of(batch) for phase in recipe.phases))
    recipe = replace(recipe, borrowed=borrowed, switches=read_switches(switches), licences=licences)
    if scenes is None:
        scenes = 0 if PRESETS[preset].encoder == "vit" else 3600
    trainer = run(
        recipe,
        output,
        data=data,
        scenes=scenes,
        cache=cache,
        device=chosen,
        seconds=None if minutes is None else minutes * 60,
        workers=workers,
        depth_weights=depth_weights,
        start=start,
        precision=precision,
        accumulate=accumulate,
        dev=dev,
        dev_every=dev_every,
        tensorboard=tensorboard,
    )
    if not join_team(chosen).leads:
        return
    click.echo(f"{trainer.step} of {recipe.steps} steps are done; checkpoint: {trainer.checkpoint}")
    if target is not None:
        export(trainer.checkpoint, target, {})
        click.echo(f"weights: {target}")
