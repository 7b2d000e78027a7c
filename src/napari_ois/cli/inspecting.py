"""One rule: what the order inspector shows in the viewer, this command writes as one figure and as arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from napari_ois.cli.ordering import order_options
from napari_ois.cli.parts import (
    InOrder,
    compile_option,
    load_predictor,
    model_options,
    plane_option,
    progress_bar,
    spoken_warnings,
)
from napari_ois.cli.prompting import Given, prompt_options
from napari_ois.cli.segmenting import begin


@click.command(cls=InOrder)
@click.argument("image", type=click.Path(path_type=Path))
@prompt_options
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@click.option("--strength", default=1.0, show_default=True, help="Of order: 0 off, 1 as trained.")
@click.option("--block", type=click.IntRange(1), help="Attention of this block; by default the mean over all.")
@click.option("--head", type=click.IntRange(1), help="Attention of this head; by default the mean over all.")
@order_options
@click.option("--channel-axis", type=int, help="Axis that holds the channels.")
@plane_option
@model_options
@compile_option
@click.pass_context
def inspect(
    ctx: click.Context,
    image: Path,
    output: Path,
    strength: float,
    block: int | None,
    head: int | None,
    channel_axis: int | None,
    plane: tuple[int, ...] | None,
    model: str,
    device: str,
    precision: str,
    input_size: int | str | None,
    compiled: bool,
    **options: Any,
) -> None:
    """Show what order did to the mask of an object of IMAGE.

    Writes order.png (clicks, mask, depth, order maps, attention without and with the order term, sigma, and what order
    changed), attention_01.tif and on (one for each click: with order, without, object-aware), changed.tif (1 gained
    by order, 2 lost) and order.json.
    """
    from napari_ois.annotation.replay import Replay
    from napari_ois.segmentation.files import whole_folder
    from napari_ois.segmentation.inspection import Inspection
    from napari_ois.segmentation.inspection_figure import save_inspection
    from napari_ois.segmentation.results import plane_under

    given = Given.take(ctx.meta["order"], options)
    written = ("order.png", "order.json", "changed.tif", "attention_*.tif")
    prompt, source, scene = begin(image, output, written, given, options, channel_axis, device, precision, plane)
    chosen = {"block": None if block is None else block - 1, "head": None if head is None else head - 1}
    with progress_bar(4, "inspect") as step, spoken_warnings():
        predictor = load_predictor(model, device, precision, input_size, compiled)
        step(1)
        predictor.set_image(scene.pixels, channel_axis=scene.channel_axis, depth=scene.order.depth)
        step(1)
        answer = Replay(predictor).answer(prompt.clicks, seed=prompt.seed)
        assert answer is not None  # there is a positive click
        inspection = Inspection(predictor.again(answer, order_strength=strength, inspect=True))
        without = predictor.again(answer, order_strength=0)
        step(1)
        change, profile = inspection.change(without), inspection.profile()
        record = {
            "statement": source.statement,
            "sentence": change.sentence,
            "warning": profile.warning,
            "separation": profile.separation,
            "iou_with_and_without_order": change.iou,
            "strength": inspection.strength,
            "sigma": inspection.sigma.tolist(),
        }
        with whole_folder(output, stale=("attention_*.tif",)) as folder:
            save_inspection(folder / "order.png", plane_under(answer), inspection, without, **chosen)
            _write_maps(folder, inspection, change, chosen)
            (folder / "order.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        step(1)
    click.echo(change.sentence)
    if profile.warning:
        click.echo(profile.warning)
    click.echo(str(output / "order.png"))


def _write_maps(folder: Path, inspection: Any, change: Any, chosen: dict[str, int | None]) -> None:
    import numpy as np
    import tifffile

    for index in range(len(inspection.prediction.labels)):
        if inspection.has_row(index):
            kinds = ("order", "plain", "object")
            maps = np.stack([inspection.attention(index, kind=kind, **chosen) for kind in kinds])
            tifffile.imwrite(folder / f"attention_{index + 1:02d}.tif", maps, compression="zlib")
    tifffile.imwrite(folder / "changed.tif", change.labels, compression="zlib")
