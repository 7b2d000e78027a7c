"""One rule: one object is carried through a stack from the slices clicked on, and what is written can be replayed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_ois.cli.parts import InOrder, compile_option, load_predictor, model_options, progress_bar, spoken_warnings
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from napari_ois.annotation import Clicks, Document, StackObject
    from napari_ois.segmentation.stack_planes import StackPlanes


class SliceRowColumn(click.ParamType):
    """A place in a stack, written SLICE,ROW,COL."""

    name = "slice,row,column"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, float, float]:
        """``"10,120,80"`` -> (10, 120.0, 80.0)."""
        if isinstance(value, tuple):
            return value  # type: ignore[return-value]
        try:
            index, row, column = str(value).split(",")
            return int(index), float(row), float(column)
        except ValueError:
            self.fail(f'"{value}" is no SLICE,ROW,COL; write three numbers like 10,120,80.', param, ctx)


@click.command(cls=InOrder)
@click.argument("stack", type=click.Path(path_type=Path))
@click.option("--positive", "-p", multiple=True, type=SliceRowColumn(), metavar="SLICE,ROW,COL", help="On the object.")
@click.option("--negative", "-n", multiple=True, type=SliceRowColumn(), metavar="SLICE,ROW,COL", help="Off the object.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@click.option("--axis", default=0, show_default=True, help="Axis that the slices follow each other on.")
@click.option("--channel-axis", type=int, help="Axis that holds the channels.")
@click.option("--first", type=click.IntRange(0), help="First slice that the object may lie on; by default the stack's.")
@click.option("--last", type=click.IntRange(0), help="Last slice that it may lie on; by default the stack's.")
@model_options
@compile_option
@click.pass_context
def propagate(
    ctx: click.Context,
    stack: Path,
    positive: tuple[tuple[int, float, float], ...],
    negative: tuple[tuple[int, float, float], ...],
    output: Path,
    axis: int,
    channel_axis: int | None,
    first: int | None,
    last: int | None,
    model: str,
    device: str,
    precision: str,
    input_size: int | None,
    compiled: bool,
) -> None:
    """Carry one object of STACK from the slices that are clicked on to the others.

    Every slice with a positive click is settled; the others follow from the nearest settled one, and a side ends
    where nothing is found any more. Writes labels.tif (the object is 1), slices.csv (area, score, doubt and what
    to look at) and session.json, which napari-ois replay and the viewer take.
    """
    from napari_ois.annotation import StackObject
    from napari_ois.annotation.stack_answers import SliceAnswers, check_planes
    from napari_ois.segmentation.files import check_inputs, check_target
    from napari_ois.segmentation.stack_files import open_stack
    from napari_ois.segmentation.stack_planes import StackPlanes

    check_target(output)
    check_inputs(output, (stack,), ("labels.tif", "slices.csv", "session.json"))
    planes = StackPlanes.of(open_stack(stack, axis), axis, channel_axis)
    check_planes(planes.shape)
    clicks = _clicks_by_slice(ctx.meta["order"], positive, negative, planes)
    found = StackObject(first or 0, len(planes) - 1 if last is None else min(last, len(planes) - 1))
    with progress_bar(len(planes), "propagate") as step, spoken_warnings():
        predictor = load_predictor(model, device, precision, input_size, compiled)
        answers = SliceAnswers(predictor, planes.read, channel_axis=None if channel_axis is None else 2)
        for index, here in clicks.items():
            mask, score, _ = answers(index, here, None)
            if not mask.any():
                raise InputError(f"Nothing was found on slice {index}; move its positive click, or add one.")
            found.set_key(index, mask, score=score, clicks=here)
            step(1)
        for _ in found.run(answers, answers.see):
            step(1)
    made_with: dict[str, Any] = {"name": model, "precision": predictor.precision, "device": predictor.device}
    made_with["input_size"] = predictor.input_size
    if predictor.model_info is not None:
        made_with |= {"name": predictor.model_info.name, "sha256": predictor.model_info.sha256}
    _write(output, planes, found, made_with, {} if channel_axis is None else {"channel_axis": channel_axis})
    masks = [one for one in found.slices if one.mask.any()]
    click.echo(f"Slices {masks[0].index} to {masks[-1].index}: {sum(int(one.mask.sum()) for one in masks)} pixels.")
    for one in found.review():
        click.echo(f"Look at slice {one.index}: {one.flagged}.")
    click.echo(str(output))


def _clicks_by_slice(order: list[str | None], positive: Any, negative: Any, planes: StackPlanes) -> dict[int, Clicks]:
    from napari_ois.annotation import Clicks
    from napari_ois.segmentation.clicks import check_clicks

    left = {"positive": iter(positive), "negative": iter(negative)}
    found: dict[int, Clicks] = {}
    for kind in order:
        if kind in left:
            index, row, column = next(left[kind])
            if not 0 <= index < len(planes):
                raise InputError(f"There is no slice {index}; the stack has {len(planes)}, from 0.")
            found[index] = found.get(index, Clicks()).added(row, column, kind == "positive")
    if not found:
        raise InputError("There is no click; add --positive SLICE,ROW,COL.")
    for index, clicks in found.items():
        if not clicks.has_positive:
            raise InputError(f"Slice {index} has negative clicks only; add a positive one there, or leave it out.")
        check_clicks(clicks.points, clicks.labels, planes.shape)
    return found


def _write(
    output: Path, planes: StackPlanes, found: StackObject, made_with: dict[str, Any], view: dict[str, Any]
) -> None:
    from napari_ois.annotation import ImageSignature, Session, save_session
    from napari_ois.annotation.export import write_labels_tiff
    from napari_ois.segmentation.files import whole_folder

    document = _document(planes, found)
    image = ImageSignature.of(planes.stack)
    with whole_folder(output) as folder:
        write_labels_tiff(folder / "labels.tif", document.canvas.arrays["labels"], None, "pixel")  # type: ignore[union-attr]
        save_session(folder / "session.json", Session(image, document.objects, made_with, view=view))
        with (folder / "slices.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["slice", "area_px", "score", "doubt", "settled", "flagged"])
            for one in found.slices:
                row = [one.index, int(one.mask.sum()), round(one.score, 4), round(one.doubt, 4)]
                writer.writerow([*row, int(one.is_key), one.flagged])


def _document(planes: StackPlanes, found: StackObject) -> Document:
    """The object as the viewer would have it: settled slices first, then all accepted."""
    import numpy as np

    from napari_ois.annotation import ArrayCanvas, Document, PlaneKey, StackSlice

    space = [axis for axis in range(len(planes.stack.shape)) if axis != planes.channel_axis]
    walked = space.index(planes.axis)
    rows, columns = (place for place in range(3) if place != walked)
    base = PlaneKey((rows, columns), (0, 0, 0))
    document = Document(ArrayCanvas(np.zeros([planes.stack.shape[axis] for axis in space], np.int32)))
    first, *others = found.keys
    number = document.start(base.moved(walked, first), clicks=found[first].clicks).number
    for index in others:
        document.start_part(number, base.moved(walked, index), clicks=found[index].clicks)
    document.accept_stack(number, [StackSlice.of(one, base.moved(walked, one.index)) for one in found.slices])
    return document
