"""One rule: an item is one plane and what is to be done to it; a table, sessions or nothing at all say what.

Planes that a table or the sessions do not name are no items. What is wrong is said before anything is begun.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_ois.annotation.clicks import Click, Clicks
from napari_ois.annotation.objects import AnnotatedObject
from napari_ois.annotation.planes import PlaneKey
from napari_ois.annotation.playback import looks_missing, orders_needed
from napari_ois.annotation.session_file import Session, load_session
from napari_ois.annotation.signature import ImageSignature
from napari_ois.batch.sources import Plane
from napari_ois.batch.work import ClickWork, EverythingWork, SessionWork, Work
from napari_ois.errors import InputError, reading_table
from napari_ois.segmentation.ome_zarr import is_zarr, open_zarr

COLUMNS = ("row", "column", "label", "object")
PLACES = ("image", "plane")
"""What the column with a plane's name may be called."""


@dataclass(frozen=True)
class Item:
    """One thing to do."""

    plane: Plane
    work: Work


def everything_items(planes: Sequence[Plane], work: EverythingWork) -> list[Item]:
    """Look for everything on each plane."""
    return [Item(plane, work) for plane in planes]


def click_items(planes: Sequence[Plane], table: Path) -> list[Item]:
    """Play the clicks of a table.

    Parameters
    ----------
    planes : sequence of Plane
    table : Path
        CSV with a header: ``image`` or ``plane`` (a plane's name, or an image file's), ``row``, ``column``,
        ``label`` (1 positive, 0 negative), ``object`` (its label in the result, from 1 on); clicks in the order in
        which they are played.

    Raises
    ------
    InputError
        If the table cannot be read, or a line of it is wrong: the sentence says which.
    """
    names = _names(planes)
    found: dict[Plane, dict[int, list[Click]]] = {}
    if not table.is_file():
        raise InputError(f"There is no file {table}; check the name.")
    with reading_table(table), table.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        place = next((name for name in PLACES if name in (reader.fieldnames or ())), None)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if place is None or missing:
            raise InputError(f"{table} has no column {missing[0] if missing else PLACES[0]}; name it in line 1.")
        for line in reader:
            where = f"{table}, line {reader.line_num}"
            plane = names.get(str(line[place]).strip())
            if plane is None:
                raise InputError(f'{where}: there is no image or plane "{line[place]}".')
            label, click = _click(line, where)
            found.setdefault(plane, {}).setdefault(label, []).append(click)
    if not found:
        raise InputError(f"{table} holds no click.")
    return [
        Item(plane, ClickWork(tuple((label, Clicks(tuple(clicks))) for label, clicks in found[plane].items())))
        for plane in planes
        if plane in found
    ]


def session_items(
    planes: Sequence[Plane], files: Sequence[Path], target: str | None = None, model: str | None = None
) -> list[Item]:
    """Play the accepted objects of session files.

    Parameters
    ----------
    planes : sequence of Plane
    files : sequence of Path
        Of an OME-Zarr one; of a folder at most one an image: the image is the one that the session names as its
        source, or else the one that is called as the session is.
    target : str, optional
        Which labels of the sessions; needed where there are several.
    model : str, optional
        What will answer: a session that was made with another one is refused.

    Raises
    ------
    InputError
        If a session is of none of the images, holds nothing to be made, or was made in a way that a batch does not
        know.
    """
    items: list[Item] = []
    for file in files:
        session = load_session(file)
        _check(session, file, model)
        objects = _of_target(session, file, target)
        stack = is_zarr(Path(planes[0].path))
        items += (
            _stack_items(planes, session, objects, file) if stack else [_image_item(planes, session, objects, file)]
        )
    names = [item.plane.name for item in items]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"Two sessions are of {twice}; give one of them.")
    return items


def fingerprint(*files: Path) -> str:
    """A hash of what files hold, so that a batch that goes on can tell whether they are the same."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _names(planes: Sequence[Plane]) -> dict[str, Plane]:
    """Planes by what a user may call them: their name, an image's file name, an index alone."""
    found = {plane.name: plane for plane in planes}
    for plane in planes:
        called = ",".join(map(str, plane.index)) if plane.index else Path(plane.path).name
        found.setdefault(called, plane)
    return found


def _click(line: dict[str, str], where: str) -> tuple[int, Click]:
    try:
        row, column = float(line["row"]), float(line["column"])
        kind, label = int(line["label"]), int(line["object"])
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: row and column must be numbers, label and object whole numbers.") from error
    if kind not in (0, 1) or label < 1:
        raise InputError(f"{where}: label is 1 (positive) or 0 (negative), and objects are numbered from 1 on.")
    return label, Click(row, column, kind == 1)


def _check(session: Session, file: Path, model: str | None) -> None:
    then = session.model.get("name")
    # A file's model is called as the file is; by the hash, the worker tells whether it is the same one.
    if model is not None and then and then not in (model, Path(model).stem):
        raise InputError(f"{file} was made with {then}; give --model {then}.")
    unknown = sorted({*session.view} - {"channel_axis"}) + [f"order {key}" for key in sorted(orders_needed(session))]
    unknown += [f"clicks on {missing}" for missing in looks_missing(session)]
    if unknown:
        raise InputError(
            f"{file} was made with settings that a batch does not know ({', '.join(unknown)}); use napari-ois replay."
        )


def _of_target(session: Session, file: Path, target: str | None) -> list[AnnotatedObject]:
    targets = list(dict.fromkeys(obj.accepted.target for obj in session.accepted if obj.accepted is not None))
    if target is None and len(targets) > 1:
        raise InputError(f"{file} holds several labels ({', '.join(targets)}); choose one with --target.")
    wanted = target if target is not None else next(iter(targets), None)
    objects = [obj for obj in session.accepted if obj.accepted is not None and obj.accepted.target == wanted]
    if not objects:
        raise InputError(f"{file} holds no accepted object{'' if target is None else f' in {target}'}.")
    return objects


def _image_item(planes: Sequence[Plane], session: Session, objects: list[AnnotatedObject], file: Path) -> Item:
    names = _names(planes)
    source = re.split(r"[/\\]", session.image.source or "")[-1]  # it may have been saved under Windows
    plane = names.get(source) or names.get(file.stem)
    if plane is None:
        raise InputError(f"{file} is of none of the images: none is called {source or file.stem}.")
    if objects[0].plane.ndim != 2:
        raise InputError(f"{file} is a session on a stack; give an OME-Zarr for it.")
    if any(obj.plane.axes != PlaneKey().axes for obj in objects):
        raise InputError(f"{file} was made on the image with rows and columns exchanged; use napari-ois replay.")
    size = session.pixel_size if session.pixel_size and len(session.pixel_size) == 2 else None
    axis = session.view.get("channel_axis")
    work = SessionWork(_flat(objects), size, session.unit, session.image, axis, dict(session.model))
    return Item(plane, work)


def _stack_items(planes: Sequence[Plane], session: Session, objects: list[AnnotatedObject], file: Path) -> list[Item]:
    array, axes = open_zarr(Path(planes[0].path))
    if not session.image.same_image(ImageSignature.of(array)):
        raise InputError(f"{planes[0].path} is not the image of {file} (its pixels differ).")
    channel = axes.index("c") if "c" in axes else None
    ndim = len(planes[0].index) + 2
    if session.view.get("channel_axis") != channel or any(
        obj.plane.ndim != ndim or obj.plane.axes != (ndim - 2, ndim - 1) for obj in objects
    ):
        raise InputError(f"{file} has objects that do not lie on the planes of rows and columns of the OME-Zarr.")
    size = None if session.pixel_size is None else session.pixel_size[-2:]
    items = []
    for plane in planes:
        here = [obj for obj in objects if obj.plane.index[:-2] == plane.index]
        if here:
            items.append(Item(plane, SessionWork(_flat(here), size, session.unit, model=dict(session.model))))
    return items


def _flat(objects: list[AnnotatedObject]) -> tuple[AnnotatedObject, ...]:
    """The objects as those of a 2D image."""
    return tuple(replace(obj, plane=PlaneKey()) for obj in objects)
