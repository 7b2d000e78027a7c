"""One rule: everything in an image is looked for without a click, and written as labels and their table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_ois.cli.parts import (
    compile_option,
    load_predictor,
    model_options,
    plane_option,
    progress_bar,
    spoken_warnings,
)

if TYPE_CHECKING:
    from napari_ois.segmentation.sieve import Sieve


def everything_options(command: Any) -> Any:
    """Options that say how everything is looked for; hand them to :func:`looking` as they come."""
    for option in (
        click.option("--smallest", type=int, default=16, show_default=True, help="Pixels of an object, at least."),
        click.option("--stability", type=float, default=0.7, show_default=True, help="At least; 0 to 1."),
        click.option("--score", type=float, default=0.8, show_default=True, help="At least; 0 to 1."),
        click.option("--prompts", type=int, default=16, show_default=True, help="Answered at once."),
        click.option("--closer", type=int, default=0, show_default=True, help="1: also in 2 x 2 windows, 2: in 4 x 4."),
        click.option("--grid", type=int, default=16, show_default=True, help="Prompts along a side."),
    ):
        command = option(command)
    return command


def looking(options: dict[str, Any]) -> dict[str, Any]:
    """Take the values of :func:`everything_options` out; keyword arguments of :func:`propose`, the sieve checked."""
    return {
        "grid": options.pop("grid"),
        "closer": options.pop("closer"),
        "batch": options.pop("prompts"),
        "sieve": _sieve(options.pop("score"), options.pop("stability"), options.pop("smallest")),
    }


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@everything_options
@click.option("--channel-axis", type=int, help="Axis that holds the channels.")
@click.option("--depth", type=click.Path(path_type=Path), help="Depth image to use; larger = nearer.")
@plane_option
@model_options
@compile_option
def everything(
    image: Path,
    output: Path,
    channel_axis: int | None,
    depth: Path | None,
    plane: tuple[int, ...] | None,
    model: str,
    device: str,
    precision: str,
    input_size: int | None,
    compiled: bool,
    **options: Any,
) -> None:
    """Look for every object in IMAGE, a file or an OME-Zarr, without a click.

    A grid of prompts is answered; what is sure and stable stays, of what says the same the best. Writes labels.tif,
    where smaller objects lie over larger ones, and labels.csv: score, stability, votes, area, box and prompt.
    An image of more than 67 million pixels (8192 x 8192) is refused.
    """
    import numpy as np

    from napari_ois.annotation.export import write_labels_tiff
    from napari_ois.segmentation.candidates import candidates_csv, paint_candidates
    from napari_ois.segmentation.everything import check_size, propose
    from napari_ois.segmentation.files import check_inputs, check_target, whole_folder
    from napari_ois.segmentation.image_files import open_file, open_image

    check_target(output)
    check_inputs(output, (image, depth), ("labels.tif", "labels.csv"))
    how = looking(options)
    scene = open_image(image, plane, channel_axis)
    check_size(scene.shape)
    near = None if depth is None else np.asarray(open_file(depth)[0][0])
    with spoken_warnings():
        predictor = load_predictor(model, device, precision, input_size, compiled)
        predictor.set_image(scene.pixels, channel_axis=scene.channel_axis, depth=near)
        found = []
        with progress_bar(None, "prompts") as step:
            before = 0
            for progress in propose(predictor, **how):
                step(progress.done - before)
                before = progress.done
                found = progress.candidates or []
    with whole_folder(output) as folder:
        write_labels_tiff(folder / "labels.tif", paint_candidates(found, predictor.image_shape), None, "pixel")
        (folder / "labels.csv").write_text(candidates_csv(found), encoding="utf-8")
    click.echo(f"{len(found)} objects of {before} prompts, on {predictor.device} ({predictor.precision}).")
    click.echo(str(output / "labels.tif"))
    click.echo(str(output / "labels.csv"))


def _sieve(score: float, stability: float, smallest: int) -> Sieve:
    from napari_ois.segmentation.sieve import Sieve

    return Sieve(score=score, stability=stability, smallest=smallest)
