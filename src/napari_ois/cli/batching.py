"""One rule: many images are worked on item by item; what failed is reported, and the rest is done all the same."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_ois.cli.everything import everything_options
from napari_ois.cli.parts import check_answering, compile_option, model_options, progress_bar
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from napari_ois.batch.items import Item


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@click.option("--clicks", type=click.Path(path_type=Path), help="CSV: image (or plane), row, column, label, object.")
@click.option(
    "--session", "sessions", multiple=True, type=click.Path(path_type=Path), help="Session file; may be repeated."
)
@click.option("--target", help="Which labels of the sessions, where there are several.")
@click.option("--everything", "everything_", is_flag=True, help="Look for every object, without clicks.")
@click.option("--scheduler", help="Address of a dask scheduler, like tcp://host:8786.  [a local cluster]")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Of the local cluster.")
@everything_options
@model_options
@compile_option
@click.pass_context
def batch(
    ctx: click.Context,
    source: Path,
    output: Path,
    clicks: Path | None,
    sessions: tuple[Path, ...],
    target: str | None,
    everything_: bool,
    scheduler: str | None,
    workers: int,
    model: str,
    device: str,
    precision: str,
    input_size: int | None,
    compiled: bool,
    **options: Any,
) -> None:
    """Segment all images of the folder SOURCE, or all planes of the OME-Zarr SOURCE.

    Give one of --clicks, --session and --everything. Writes NAME.tif (labels) and NAME.csv for each image or plane,
    and batch_report.csv. Called again with the same folder it does what is not there yet. Exit code 1 if any item
    failed.
    """
    if importlib.util.find_spec("distributed") is None:
        raise InputError('Batches need dask\'s scheduler; run: pip install "napari-ois[batch]".')
    if sum((clicks is not None, bool(sessions), everything_)) != 1:
        raise InputError("Say what to do: give one of --clicks, --session and --everything.")
    from napari_ois.batch.cluster import make_predictor, run_batch
    from napari_ois.batch.items import fingerprint
    from napari_ois.batch.results import FAILED, Results
    from napari_ois.segmentation.files import check_target
    from napari_ois.segmentation.ome_zarr import is_zarr

    check_target(output)
    if output.resolve() == source.resolve() or (is_zarr(source) and output.resolve().is_relative_to(source.resolve())):
        raise InputError(f"{output} holds the images; give another folder for the results.")
    answering = check_answering(model, precision, input_size, device, here=scheduler is None)
    items = _items(source, clicks, sessions, (target, model), options if everything_ else None)
    results = Results(output)
    results.begin(
        {
            "source": str(source.absolute()),
            "clicks": None if clicks is None else fingerprint(clicks),
            "sessions": fingerprint(*sessions) if sessions else None,
            "target": target,
            "everything": options if everything_ else None,
            "model": model,
            "weights": answering.sha256 if answering else None,
            "precision": precision,
            "input_size": input_size,
        },
        [item.plane.name for item in items],
    )
    make = functools.partial(make_predictor, model, device, precision, input_size, compiled)
    with progress_bar(len(items), "batch") as step:
        outcomes = run_batch(items, results, make, scheduler=scheduler, workers=workers, told=lambda _: step(1))
    failed = [outcome for outcome in outcomes if outcome.status == FAILED]
    for outcome in failed:
        click.echo(f"{outcome.name}: {outcome.error}", err=True)
    report = results.end(outcomes)
    click.echo(f"{len(outcomes) - len(failed)} of {len(outcomes)} are there; {report} has the details.")
    if failed:
        ctx.exit(1)


def _items(
    source: Path,
    clicks: Path | None,
    sessions: tuple[Path, ...],
    of: tuple[str | None, str],
    everything: dict[str, Any] | None,
) -> list[Item]:
    from napari_ois.batch.items import click_items, everything_items, session_items
    from napari_ois.batch.sources import list_planes
    from napari_ois.batch.work import EverythingWork
    from napari_ois.cli.everything import looking

    planes = list_planes(source)
    if clicks is not None:
        return click_items(planes, clicks)
    if everything is None:
        return session_items(planes, sessions, *of)
    looking(dict(everything))  # what is out of range is said now, not once for each image
    return everything_items(planes, EverythingWork(batch=everything["prompts"], **_without(everything, "prompts")))


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}
