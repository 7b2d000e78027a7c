"""One rule: a command reads its arguments, calls one floor below, and says in words what came out.

Bad input ends with one sentence on stderr and exit code 2, and nothing half written. Whatever is
slow to import is imported inside the command that needs it, so that ``--help`` answers at once.
Measuring and training have files of their own.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import click

from napari_ois import __version__
from napari_ois.cli.evaluating import evaluate
from napari_ois.cli.parts import (
    DEFAULT_MODEL,
    InOrder,
    RowColumn,
    SentenceGroup,
    load_predictor,
    model_options,
    progress_bar,
    spoken_warnings,
)
from napari_ois.cli.sessions import export, replay
from napari_ois.cli.teaching import depth_accuracy, finetune, order_control, train
from napari_ois.errors import InputError


@click.group(cls=SentenceGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="napari-ois")
def main() -> None:
    """Order-aware interactive segmentation: clicks in, masks, depth and order maps out."""


main.add_command(evaluate)
main.add_command(order_control)
main.add_command(depth_accuracy)
main.add_command(train)
main.add_command(finetune)
main.add_command(replay)
main.add_command(export)


@main.command(cls=InOrder)
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--positive", "-p", multiple=True, type=RowColumn(), metavar="ROW,COL", help="On the object.")
@click.option("--negative", "-n", multiple=True, type=RowColumn(), metavar="ROW,COL", help="Off the object.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@click.option("--depth", type=click.Path(path_type=Path), help="Depth image to use; larger = nearer.")
@click.option("--channel-axis", type=int, help="Axis that holds the channels.")
@model_options
@click.pass_context
def segment(
    ctx: click.Context,
    image: Path,
    positive: tuple[tuple[float, float], ...],
    negative: tuple[tuple[float, float], ...],
    output: Path,
    depth: Path | None,
    channel_axis: int | None,
    model: str,
    device: str,
    precision: str,
    input_size: int | None,
) -> None:
    """Segment one object of IMAGE by clicks.

    Clicks are played one after the other in the order given, as in the viewer. Writes mask.tif,
    probability.tif, depth.tif, order_positive.tif, order_negative_01.tif and on, clicks.csv and
    overview.png.
    """
    clicks = _clicks_in_order(ctx.meta["order"], positive, negative)
    from napari_ois.annotation.clicks import Clicks
    from napari_ois.annotation.replay import Replay
    from napari_ois.segmentation.clicks import check_clicks
    from napari_ois.segmentation.files import check_target, read_image, write_prediction
    from napari_ois.segmentation.colour import to_plane

    check_target(output)
    pixels = read_image(image)
    plane = to_plane(pixels, channel_axis)
    points, labels = [place for place, _ in clicks], [kind for _, kind in clicks]
    check_clicks(points, labels, plane.shape[:2])  # before the model is loaded, which takes longer
    given = None if depth is None else read_image(depth)
    with progress_bar(4, "segment") as step, spoken_warnings():
        predictor = load_predictor(model, device, precision, input_size)
        step(1)
        predictor.set_image(pixels, channel_axis=channel_axis, depth=given)
        step(1)
        prediction = Replay(predictor).answer(Clicks.from_arrays(points, labels))
        step(1)
        assert prediction is not None  # there is a positive click
        written = write_prediction(output, plane, prediction)
        step(1)
    share = prediction.mask.mean()
    click.echo(
        f"Mask: {int(prediction.mask.sum())} pixels ({share:.1%} of the image), "
        f"score {prediction.score:.2f}, on {predictor.device} ({predictor.precision})."
    )
    for path in written:
        click.echo(str(path))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="A list of objects for programs.")
@click.option("--fetch", metavar="NAME", help="Download the depth weights of a ViT model from the hub.")
@click.option("--revision", help="Branch, tag or commit to fetch.")
def models(as_json: bool, fetch: str | None, revision: str | None) -> None:
    """List the models: what is here, parameters, licence, size, hash."""
    from napari_ois.checkpoints import fetch_depth_weights, list_models

    if fetch is not None:
        # The licence is shown before anything is downloaded.
        path = fetch_depth_weights(fetch, revision=revision, show=lambda text: click.echo(text, err=True))
        click.echo(str(path))
        return
    infos = list_models()
    if as_json:
        click.echo(json.dumps([_as_record(info) for info in infos], indent=2))
        return
    for info in infos:
        size = f"{info.size_bytes / 1e6:.1f} MB" if info.size_bytes else "size unknown"
        state = "here" if info.available else "no weights here"
        click.echo(f"{info.name}: {info.parameters / 1e6:.2f} M parameters, {info.licence}, {size}, {state}")
        if info.sha256:
            click.echo(f"    sha256 {info.sha256}")
        if info.note:
            click.echo(f"    {info.note}")


@main.command()
def doctor() -> None:
    """Say what is found here and test the model on a small image; exit code 1 if that fails."""
    from napari_ois.cli.checkup import examine

    failed = False
    for good, line in examine(DEFAULT_MODEL):
        failed |= not good
        click.echo(f"[{'ok' if good else 'FAILED'}] {line}")
    if failed:
        sys.exit(1)


@main.command()
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder for the screenshot and maps.")
@click.option("--exit", "exit_", is_flag=True, help="Close the viewer when all is written.")
def demo(output: Path | None, exit_: bool) -> None:
    """Open napari on a real image with the widget docked and a first click made."""
    missing = [name for name in ("napari", "qtpy") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"The demo needs {missing[0]}, which is not installed; run: pip install 'napari-ois[viewer]'.")
    from napari_ois._napari.demo import run_demo

    sys.exit(run_demo(output, exit_))


def _clicks_in_order(
    order: list[str | None],
    positive: tuple[tuple[float, float], ...],
    negative: tuple[tuple[float, float], ...],
) -> list[tuple[tuple[float, float], int]]:
    """Interleave both options' values as they came; label 1 positive, 0 negative."""
    left = {"positive": iter(positive), "negative": iter(negative)}
    return [(next(left[name]), int(name == "positive")) for name in order if name in left]


def _as_record(info: Any) -> dict[str, Any]:
    return {
        "name": info.name,
        "preset": info.preset,
        "parameters": info.parameters,
        "licence": info.licence,
        "size_bytes": info.size_bytes,
        "sha256": info.sha256,
        "path": None if info.path is None else str(info.path),
        "available": info.available,
        "note": info.note,
    }
