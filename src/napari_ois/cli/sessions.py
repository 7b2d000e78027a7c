"""One rule: what a session holds can be made again, and labels leave in the format that others read.

Both commands stand on :mod:`napari_ois.annotation`; the viewer offers the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_ois.cli.parts import compile_option, load_predictor, model_options, progress_bar, spoken_warnings
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_ois.annotation.playback import Played
    from napari_ois.annotation.session_file import Session


@click.command()
@click.argument("session", type=click.Path(path_type=Path))
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@click.option("--force", is_flag=True, help="Go on with another image, model or setting than the session's.")
@click.option("--check", is_flag=True, help="Exit with code 1 if any mask differs from the session's.")
@click.option(
    "--depth",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Depth map that the session's order came from, larger = nearer; where it does not lie beside the session.",
)
@model_options
@compile_option
@click.pass_context
def replay(
    ctx: click.Context,
    session: Path,
    image: Path,
    output: Path,
    force: bool,
    check: bool,
    depth: tuple[Path, ...],
    model: str,
    device: str,
    precision: str,
    input_size: int | str | None,
    compiled: bool,
) -> None:
    """Make the labels of SESSION again from its clicks on IMAGE, a file or an OME-Zarr.

    The model, its input size and its precision are those of the session unless others are given. Writes
    one TIFF for each set of labels (labels.tif) and the table of its objects (labels.csv).
    """
    from napari_ois.annotation.playback import looks_missing, orders_needed, play_session, spatial_shape
    from napari_ois.annotation.session_file import load_session
    from napari_ois.annotation.signature import ImageSignature
    from napari_ois.batch.large_labels import paint_played
    from napari_ois.segmentation.files import check_inputs, check_target
    from napari_ois.segmentation.image_files import open_file
    from napari_ois.segmentation.order_files import read_maps

    check_target(output)
    saved = load_session(session)
    objects = saved.accepted
    if not objects:
        raise InputError(f"{session} holds no accepted object; there is nothing to make again.")
    targets = dict.fromkeys(obj.accepted.target for obj in objects if obj.accepted is not None)
    written = [f"{name}{suffix}" for name in _file_names(targets) for suffix in (".tif", ".csv")]
    check_inputs(output, (image, *depth), written)
    levels, _ = open_file(image)
    if not force and not saved.image.same_image(ImageSignature.of(levels[0])):
        raise InputError(f"{image} is not the image of {session} (its pixels differ); add --force to go on with it.")
    shape = spatial_shape(levels[0], objects[0].plane.ndim, saved.view.get("channel_axis"))
    chosen = _Model.of(ctx, saved, model, precision, input_size)
    maps = read_maps(session, needed := orders_needed(saved), depth)
    if not force:
        _check_settings(saved)
        _check_looks(looks_missing(saved))
        _check_orders(needed, maps)
    with progress_bar(len(objects), "replay") as step, spoken_warnings():
        predictor = load_predictor(chosen.name, device, chosen.precision, chosen.input_size, compiled)
        if not force:
            _check_model(saved, predictor.model_info)
        played = []
        # Coarser levels of a stack may have fewer planes, which a plane's place says nothing of.
        seen = levels if len(levels) > 1 and len(shape) == 2 else levels[0]
        for one in play_session(saved, seen, predictor, maps):
            played.append(one)
            step(1)
    _write(output, saved, played, paint_played(played, shape))
    differing = 0
    for one in sorted(played, key=lambda each: each.accepted.turn):
        differing += bool(one.differs)
        state = f"{one.differs} pixels differ" if one.differs else "as in the session"
        click.echo(f"{one.obj.name}, label {one.accepted.label}: {one.written.area} pixels, {state}.")
    for key, said in needed.items():
        where = f"depth map {key}: {said.get('statement', '')}" if key in maps else "the model's own depth (forced)"
        click.echo(f"Order from {where}")
    click.echo(f"{len(played) - differing} of {len(played)} objects are as in the session; labels are in {output}.")
    if check and differing:
        ctx.exit(1)


@click.command()
@click.argument("labels", type=click.Path(path_type=Path))
@click.option("--to", "to", help="tiff, ome-zarr, coco, imagej, csv; by default what the output's suffix says.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="File to write.")
@click.option("--session", type=click.Path(path_type=Path), help="Session with the objects' names, scores, pixel size.")
@click.option("--target", default="labels", show_default=True, help="Which labels of the session these are.")
@click.option("--pixel-size", help="Size of a pixel along each axis, like 0.5,0.2,0.2.")
@click.option("--unit", help="Unit of the pixel size, like micrometer.")
def export(
    labels: Path,
    to: str | None,
    output: Path,
    session: Path | None,
    target: str,
    pixel_size: str | None,
    unit: str | None,
) -> None:
    """Write LABELS (a TIFF, .npy or image of ids) in another format."""
    import numpy as np

    from napari_ois.annotation.export import choose_format, export_labels
    from napari_ois.annotation.features import features
    from napari_ois.annotation.session_file import load_session
    from napari_ois.segmentation.files import check_target

    chosen = choose_format(output, to)
    check_target(output.absolute().parent)
    size = None if pixel_size is None else _numbers(pixel_size)
    saved = None if session is None else load_session(session)
    if saved is not None:
        size, unit = size or saved.pixel_size, unit or saved.unit
    array = _read_ids(labels)
    table = None
    if saved is not None:
        table = features(saved.objects, target, pixel_size=size, unit=unit or "pixel")
        if not table["index"]:
            raise InputError(f'{session} holds no accepted object in "{target}"; name the labels with --target.')
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    export_labels(array, output, to=chosen, features=table, pixel_size=size, unit=unit or "pixel")
    click.echo(f"{output}: {chosen}, {np.count_nonzero(np.unique(array))} objects.")


def _read_ids(path: Path) -> Any:
    """Ids from a file; only an array may have more than two axes, which are colours in a picture."""
    from napari_ois.segmentation.files import read_ids

    array = read_ids(path)
    if array.ndim > 2 and path.suffix.lower() not in (".tif", ".tiff", ".npy"):
        raise InputError(f"{path} is a picture in colours, not one of ids; save the labels with one channel.")
    return array


@dataclass(frozen=True)
class _Model:
    """What to load: what was asked for, else what the session was made with."""

    name: str
    precision: str
    input_size: int | str | None

    @classmethod
    def of(cls, ctx: click.Context, saved: Session, name: str, precision: str, input_size: int | str | None) -> _Model:
        then = saved.model

        def given(option: str) -> bool:
            return ctx.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT

        if not given("model"):
            name = str(then.get("name") or name)
        if not given("precision"):
            precision = str(then.get("precision") or precision)
        if not given("input_size") and isinstance(then.get("input_size"), int | str):  # words, in older sessions
            input_size = then["input_size"]
        return cls(name, precision, input_size)


def _check_settings(saved: Session) -> None:
    """Refuse what changes masks and cannot be set here."""
    unknown = sorted({*saved.view} - {"channel_axis"}) + sorted({*saved.order} - {"maps"})
    if unknown:
        raise InputError(
            f"The session was made with settings that a replay does not know ({', '.join(unknown)}); "
            "add --force to go on without them."
        )


def _check_looks(missing: list[str]) -> None:
    """Refuse to show the network something else than was clicked on."""
    if missing:
        raise InputError(
            f"Objects of this session were clicked on {', and on '.join(missing)}, which one image does not give; "
            "add --force to take the image as it is."
        )


def _check_orders(needed: dict[str, dict[str, Any]], here: Mapping[str, Any]) -> None:
    """Refuse to guess depth where the session had a map of it."""
    for key, said in needed.items():
        if key not in here:
            raise InputError(
                f"Objects of this session took their order from a depth map that is not here "
                f"({said.get('statement', key)}): put the file that was saved with the session (...order-{key}.tif) "
                "beside it, give the map with --depth, or add --force to go on with the model's own depth."
            )


def _check_model(saved: Session, info: Any) -> None:
    from napari_ois.annotation.playback import made_with_others

    if made_with_others(saved.model, info):
        raise InputError(
            f'The weights of "{info.name}" are not those of the session (their hashes differ); '
            "give --model with the right file, or add --force."
        )


def _write(output: Path, saved: Session, played: list[Played], arrays: dict[str, Any]) -> None:
    from dataclasses import replace

    from napari_ois.annotation.features import features, to_csv
    from napari_ois.batch.large_labels import write_labels
    from napari_ois.segmentation.files import whole_folder

    now = [replace(one.obj, accepted=replace(one.accepted, written=one.written)) for one in played]
    size = saved.pixel_size
    with whole_folder(output) as folder:
        for name, array, target in zip(_file_names(arrays), arrays.values(), arrays, strict=True):
            fits = size if size is not None and len(size) == len(array.shape) else None
            write_labels(folder / f"{name}.tif", array, fits, saved.unit)
            table = features(now, target, pixel_size=fits, unit=saved.unit)
            (folder / f"{name}.csv").write_text(to_csv(table), encoding="utf-8")


def _file_names(targets: Iterable[str]) -> list[str]:
    """Names of the files of labels, without suffix; what a file's name cannot say of two targets, a number does."""
    found: list[str] = []
    for target in targets:
        name = stem = re.sub(r"[^\w .-]", "_", target).strip(". ") or "labels"
        count = 1
        while name.casefold() in {other.casefold() for other in found}:
            count += 1
            name = f"{stem}_{count}"
        found.append(name)
    return found


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f'"{text}" is no pixel size; write numbers like 0.5,0.2,0.2.') from error
