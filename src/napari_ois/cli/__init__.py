"""One rule: a command reads its arguments, calls one floor below, and says in words what came out.

Bad input ends with one sentence on stderr and exit code 2, and nothing half written. Whatever is
slow to import is imported inside the command that needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_ois import __version__
from napari_ois.errors import InputError, OISError

if TYPE_CHECKING:
    from napari_ois.segmentation.predictor import Predictor

DEFAULT_MODEL = "ois-compact"


class _Refusal(click.ClickException):
    """One sentence on stderr, exit code 2."""

    exit_code = 2


class _Group(click.Group):
    """Turns every error that a user can mend into one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OISError as error:
            raise _Refusal(str(error)) from error
        except click.UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # its message is the whole help
                raise
            raise _Refusal(error.format_message()) from error


class _InOrder(click.Command):
    """Remembers in which order options came: clicks have one across their two options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta["order"] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


class _RowColumn(click.ParamType):
    name = "row,column"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        """``"120,200"`` -> (120.0, 200.0)."""
        if isinstance(value, tuple):
            return value
        try:
            row, column = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f'"{value}" is no ROW,COL; write two numbers like 120,200.', param, ctx)
        return row, column


def _model_options(command: Any) -> Any:
    for option in (
        click.option("--input-size", type=int, help="Longest side of the network's input."),
        click.option("--precision", default="auto", show_default=True, help="auto, fp32, half, bf16, fp16."),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."),
        click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name or checkpoint file."),
    ):
        command = option(command)
    return command


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="napari-ois")
def main() -> None:
    """Order-aware interactive segmentation: clicks in, masks, depth and order maps out."""


@main.command(cls=_InOrder)
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--positive", "-p", multiple=True, type=_RowColumn(), metavar="ROW,COL", help="On the object.")
@click.option("--negative", "-n", multiple=True, type=_RowColumn(), metavar="ROW,COL", help="Off the object.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@click.option("--depth", type=click.Path(path_type=Path), help="Depth image to use; larger = nearer.")
@click.option("--channel-axis", type=int, help="Axis that holds the channels.")
@_model_options
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
    from napari_ois.segmentation.image import to_plane

    check_target(output)
    pixels = read_image(image)
    plane = to_plane(pixels, channel_axis)
    points, labels = [place for place, _ in clicks], [kind for _, kind in clicks]
    check_clicks(points, labels, plane.shape[:2])  # before the model is loaded, which takes longer
    given = None if depth is None else read_image(depth)
    with _progress(4, "segment") as step, _spoken_warnings():
        predictor = _predictor(model, device, precision, input_size)
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
def models(as_json: bool) -> None:
    """List the models: what is here, parameters, licence, size, hash."""
    from napari_ois.checkpoints import list_models

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
    from napari_ois.cli.doctor import examine

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
        raise InputError(
            f"The demo needs {missing[0]}, which is not installed; run: pip install 'napari-ois[viewer]'."
        )
    from napari_ois._napari.demo import run_demo

    sys.exit(run_demo(output, exit_))


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--set", "sets", multiple=True, help="Only this set; repeatable.")
@click.option("--max-clicks", default=20, show_default=True, type=click.IntRange(1, 100))
@click.option("--limit", type=click.IntRange(1), help="At most so many objects of each set.")
@click.option("--measured-depth", is_flag=True, help="Use the collection's depth where there is one.")
@click.option("--report", type=click.Path(path_type=Path), help="Folder for objects.csv and summary.json.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary for programs.")
@_model_options
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
    predictor = _predictor(model, device, precision, input_size)
    with _progress(collection.n_objects, "objects") as step, _spoken_warnings():
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


# -- helpers ----------------------------------------------------------------------------------


def _clicks_in_order(
    order: list[str | None],
    positive: tuple[tuple[float, float], ...],
    negative: tuple[tuple[float, float], ...],
) -> list[tuple[tuple[float, float], int]]:
    """Interleave both options' values as they came; label 1 positive, 0 negative."""
    left = {"positive": iter(positive), "negative": iter(negative)}
    return [(next(left[name]), int(name == "positive")) for name in order if name in left]


def _predictor(model: str, device: str, precision: str, input_size: int | None) -> Predictor:
    from napari_ois.segmentation.predictor import Predictor

    return Predictor(model, device=device, precision=precision, input_size=input_size)


@contextmanager
def _progress(total: int, name: str) -> Iterator[Any]:
    """A bar on stderr for what takes over a second; none where stderr is no terminal."""
    from tqdm import tqdm

    with tqdm(total=total, desc=name, delay=1.0, disable=None, leave=False) as bar:
        yield bar.update


@contextmanager
def _spoken_warnings() -> Iterator[None]:
    """Say our own warnings (a fallback for lack of memory) in one line on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, RuntimeWarning):
            click.echo(f"Warning: {warning.message}", err=True)


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
