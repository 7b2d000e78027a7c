"""One rule: one object of one image or stack, clicked or drawn, is written as files that any image program reads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_ois.cli.ordering import chosen_source, order_options, read_ordered
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ois.annotation.prompts import Prompt
    from napari_ois.cli.ordering import OrderedImage
    from napari_ois.segmentation.order_sources import OrderSource
    from napari_ois.segmentation.prediction import Prediction

LEFT_FROM_EARLIER = ("order_negative_*.tif", "depth_known.tif", "image.tif", "region.json")
"""Files of an earlier run in the same folder that would contradict this one where it writes none."""

WRITTEN = (
    "mask.tif", "probability.tif", "depth.tif", "order_positive.tif", "clicks.csv", "overview.png", *LEFT_FROM_EARLIER,
)  # fmt: skip
"""What is written, or removed."""


@click.command(cls=InOrder)
@click.argument("image", type=click.Path(path_type=Path))
@prompt_options
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@order_options
@click.option("--channel-axis", type=int, help="Axis that holds the channels.")
@plane_option
@model_options
@compile_option
@click.pass_context
def segment(
    ctx: click.Context,
    image: Path,
    output: Path,
    channel_axis: int | None,
    plane: tuple[int, ...] | None,
    model: str,
    device: str,
    precision: str,
    input_size: int | str | None,
    compiled: bool,
    **options: Any,
) -> None:
    """Segment one object of IMAGE, a file or an OME-Zarr, by clicks, boxes and scribbles.

    They are played one after the other in the order given, as in the viewer. Writes mask.tif,
    probability.tif, depth.tif, order_positive.tif, order_negative_01.tif and on, clicks.csv and
    overview.png.

    Order comes from the model's own estimate, unless one of --depth, --depth-from, --depth-model and
    --no-order is given; then depth_known.tif says where it was known and not filled in. With --depth-from the
    clicks are on the projection, which is written too (image.tif).

    Of an image of more than 4096 x 4096 pixels only the regions that are looked at are read. mask.tif has the image's
    size all the same; the other files lie on the region that region.json tells.
    """
    from napari_ois.annotation.replay import Replay
    from napari_ois.segmentation.frame_files import on_cells

    given = Given.take(ctx.meta["order"], options)
    prompt, source, scene = begin(image, output, WRITTEN, given, options, channel_axis, device, precision, plane)
    with progress_bar(4, "segment") as step, spoken_warnings():
        predictor = load_predictor(model, device, precision, input_size, compiled)
        step(1)
        predictor.set_image(scene.pixels, channel_axis=scene.channel_axis, depth=scene.order.depth)
        step(1)
        play = Replay(predictor)
        prediction = play.answer(prompt.clicks, seed=prompt.seed, order_strength=source.order_strength)
        step(1)
        assert prediction is not None  # there is a positive click
        written = _write(output, scene, prediction, predictor.image_shape, made_from_stack=source.needs_stack)
        step(1)
    pixels = prediction.mask.sum() * math.prod(prediction.frame.cell)
    click.echo(
        f"Mask: {round(pixels)} pixels ({pixels / math.prod(predictor.image_shape):.1%} of the image), "
        f"score {prediction.score:.2f}, on {predictor.device} ({predictor.precision})."
    )
    if scene.order.depth is not None:
        known, where = on_cells(scene.order.known, prediction.frame).mean(), _lies_on(prediction)
        click.echo(f"Order: {source.statement} Known at {known:.1%} of the {where}.")
    for path in written:
        click.echo(str(path))


def begin(
    image: Path,
    output: Path,
    written: Sequence[str],
    given: Given,
    order: dict[str, Any],
    channel_axis: int | None,
    device: str,
    precision: str,
    plane: tuple[int, ...] | None = None,
) -> tuple[Prompt, OrderSource, OrderedImage]:
    """Check everything that the user gave before anything takes long: a model is loaded later.

    Parameters
    ----------
    written : sequence of str
        Patterns of the files that will be written into the output, or removed from it.
    given : Given
    order : dict
        Values of :func:`napari_ois.cli.ordering.order_options`.
    plane : tuple of int, optional
        Which one of the file.
    """
    from napari_ois.segmentation.files import check_inputs, check_target

    check_target(output)
    check_inputs(output, (image, order["depth"]), written)
    source = chosen_source(order, channel_axis, device, precision)
    prompts: list[Prompt] = []
    scene = read_ordered(
        image, source, order["axis"] or 0, channel_axis, lambda shape: prompts.append(given.prompt(shape)), plane
    )
    return prompts[-1], source, scene


def _lies_on(prediction: Prediction) -> str:
    return "image" if prediction.state.frame is None else "region"


def _write(
    output: Path, scene: OrderedImage, prediction: Prediction, image_shape: tuple[int, int], *, made_from_stack: bool
) -> list[Path]:
    """Write the prediction, and beside it what is known of the depth and the image made from a stack."""
    import numpy as np
    import tifffile

    from napari_ois.segmentation.files import whole_folder, write_prediction
    from napari_ois.segmentation.frame_files import on_cells, write_region, write_whole_mask
    from napari_ois.segmentation.results import plane_under

    with whole_folder(output, stale=_stale(output)) as staging:
        write_prediction(staging, plane_under(prediction), prediction)
        if prediction.state.frame is not None:
            write_whole_mask(staging / "mask.tif", prediction, image_shape)
            write_region(staging / "region.json", prediction)
        if scene.order.depth is not None:
            known = on_cells(scene.order.known, prediction.frame).astype(np.uint8) * 255
            tifffile.imwrite(staging / "depth_known.tif", known, compression="zlib")
        if made_from_stack:
            tifffile.imwrite(staging / "image.tif", _writable(scene.pixels), compression="zlib")
        return sorted(output / file.name for file in staging.iterdir())


def _stale(output: Path) -> list[str]:
    """Which files there an earlier run has left: without the files that it always writes, they are the user's own."""
    if not all((output / name).is_file() for name in ("clicks.csv", "mask.tif", "overview.png")):
        return []
    made = (output / "depth_known.tif").is_file()
    return [name for name in LEFT_FROM_EARLIER if name != "image.tif" or made]


def _writable(pixels: Any) -> Any:
    """Bool as bytes, which more programs read."""
    return pixels.astype("uint8") * 255 if pixels.dtype == bool else pixels
