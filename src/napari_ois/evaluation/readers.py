"""Rule: the form of a data folder is guessed from its names, and what is wrong is said before any click.

Known forms: a folder with MANIFEST.csv; HQSeg-44K as its authors pack it; DAVIS (`img` and `gt`); plain
`images` and `masks` with instance ids; a COCO file, or a folder that holds one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from napari_ois.errors import InputError
from napari_ois.evaluation.coco import find_coco, list_coco
from napari_ois.evaluation.folders import list_davis, list_hqseg, list_plain
from napari_ois.evaluation.manifest import MANIFEST, data_folder, list_manifest
from napari_ois.evaluation.samples import Collection, Entry, EvalImage, EvalObject, nearness, thin

__all__ = ["EvalCollection", "EvalImage", "EvalObject", "nearness", "open_collection"]


class Form(NamedTuple):
    """A kind of data folder: what it is called, how it is known, how its objects are listed."""

    name: str
    matches: Callable[[Path], bool]
    entries: Callable[[Path], list[Entry]]


FORMS = (
    Form("manifest", lambda folder: (folder / MANIFEST).is_file(), list_manifest),
    Form(
        "HQSeg-44K",
        lambda folder: (folder / "DIS5K").is_dir() or (folder / "thin_object_detection").is_dir(),
        list_hqseg,
    ),
    Form("DAVIS", lambda folder: (folder / "img").is_dir() and (folder / "gt").is_dir(), list_davis),
    Form("images and masks", lambda folder: (folder / "images").is_dir() and (folder / "masks").is_dir(), list_plain),
    Form("COCO", lambda folder: bool(find_coco(folder)), list_coco),
)


class EvalCollection(Collection):
    """Objects of one or several data folders, iterated image by image.

    Parameters
    ----------
    folder : str or Path
        A folder of a known form, its MANIFEST.csv, or a COCO file.
    *more : str or Path
        Further ones.
    sets : sequence of str, optional
        Only these sets.
    per_set : int, optional
        At most so many objects of a set, spread evenly over its rows: a quicker, coarser measure.

    Attributes
    ----------
    forms : dict of Path to str
        Which form each folder was taken for.

    Raises
    ------
    InputError
        When a folder is missing, of no known form or damaged, files are missing in it, two folders
        have a set of the same name, or a set is asked for that none has.
    """

    def __init__(
        self,
        folder: str | Path,
        *more: str | Path,
        sets: Sequence[str] | None = None,
        per_set: int | None = None,
    ) -> None:
        self.forms: dict[Path, str] = {}
        entries: list[Entry] = []
        known: set[str] = set()
        for path in map(data_folder, (folder, *more)):
            form = find_form(path)
            found = form.entries(path)
            names = {entry.set for entry in found}
            if both := sorted(names & known):
                raise InputError(f"Two of the folders have a set called {both[0]}; measure them one after the other.")
            known |= names
            self.forms[path] = form.name
            entries += found
        if unknown := sorted(set(sets or ()) - known):
            raise InputError(f"{', '.join(map(str, self.forms))} has no set {', '.join(unknown)}.")
        if sets is not None:
            entries = [entry for entry in entries if entry.set in sets]
        if not entries:
            raise InputError(f"{', '.join(map(str, self.forms))} holds no object to click.")
        super().__init__(entries if per_set is None else thin(entries, per_set))


def open_collection(path: str | Path) -> EvalCollection:
    """Open one data folder (or COCO file); its ``forms`` say what it was taken for."""
    return EvalCollection(path)


def find_form(path: Path) -> Form:
    """Guess the form of a data folder; InputError if it is none that we know."""
    for form in FORMS:
        if path.exists() and form.matches(path):
            return form
    what = f"{path} is of no known form" if path.exists() else f"There is no {path}"
    raise InputError(
        f"{what}; give a folder with {MANIFEST}, with images and masks, with img and gt, HQSeg-44K, or a COCO file."
    )
