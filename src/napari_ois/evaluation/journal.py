"""Rule: a result is on disk as soon as it is there, and a run goes on only as what it was begun as.

The report's folder holds `run.json`, what is being run, and `objects.csv`, one row a method and object,
to which rows are appended. A row that was cut short by a kill is dropped when the run goes on. Figures
are written so that reading them back gives the same numbers.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_ois.errors import InputError
from napari_ois.evaluation.metrics import noc
from napari_ois.evaluation.run import BOUNDARY_CLICKS, ObjectResult
from napari_ois.segmentation.files import check_target

RUN, OBJECTS = "run.json", "objects.csv"
THRESHOLDS = (85, 90, 95)

_NAMES = ("method", "set", "domain", "image", "object")
_COUNTS = ("clicks", "seconds", "embed_seconds", "points")

Key = tuple[str, str, str, str]
"""Method, set, image, object: what there is one result of."""


def columns(budget: int) -> list[str]:
    """Columns of `objects.csv` for runs of so many clicks."""
    return [
        *_NAMES,
        *(f"iou_{click}" for click in range(1, budget + 1)),
        *(f"noc{percent}" for percent in THRESHOLDS),
        *(f"biou_{click}" for click in BOUNDARY_CLICKS if click <= budget),
        *_COUNTS,
    ]


def row_of(method: str, result: ObjectResult) -> list[str]:
    """One row of `objects.csv`; clicks are written "row column +" or "row column -"."""
    budget = len(result.ious)
    return [
        *(method, result.set, result.domain, result.image, result.object),
        *(repr(float(value)) for value in result.ious),
        *(str(noc(result.ious, percent / 100, budget=budget)) for percent in THRESHOLDS),
        *(repr(float(value)) for value in result.boundary),
        *(str(result.clicks), f"{result.seconds:.6f}", f"{result.embed_seconds:.6f}"),
        "; ".join(f"{row} {column} {'+' if label else '-'}" for row, column, label in result.points),
    ]


def result_of(row: Sequence[str], budget: int) -> tuple[str, ObjectResult]:
    """Read a row back; ValueError where it is damaged."""
    names = columns(budget)
    if len(row) != len(names):
        raise ValueError("the row has another number of cells")
    cells = dict(zip(names, row, strict=True))
    points = [part.split() for part in cells["points"].split(";") if part.strip()]
    result = ObjectResult(
        set=cells["set"],
        domain=cells["domain"],
        image=cells["image"],
        object=cells["object"],
        ious=tuple(float(cells[f"iou_{click}"]) for click in range(1, budget + 1)),
        clicks=int(cells["clicks"]),
        seconds=float(cells["seconds"]),
        boundary=tuple(float(cells[f"biou_{click}"]) for click in BOUNDARY_CLICKS if click <= budget),
        points=tuple((int(r), int(c), int(sign == "+")) for r, c, sign in points),
        embed_seconds=float(cells["embed_seconds"]),
    )
    return cells["method"], result


def write_csv(results: Iterable[tuple[str, ObjectResult]], path: str | Path, budget: int) -> None:
    """Write (method, result) pairs as a whole file."""
    with Path(path).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns(budget))
        writer.writerows(row_of(method, result) for method, result in results)


class Journal:
    """The growing `objects.csv` of one run; without a folder it only remembers.

    Parameters
    ----------
    folder : Path or None
        The report's folder; made where it does not exist.
    plan : dict
        What is run; must be writable as JSON. A folder that holds another plan is refused.
    budget : int
        Clicks for each object.

    Raises
    ------
    InputError
        If the folder cannot be written or holds another run.
    """

    def __init__(self, folder: Path | None, plan: dict[str, Any], budget: int) -> None:
        self._budget = budget
        self._path: Path | None = None
        self.results: dict[Key, ObjectResult] = {}
        if folder is None:
            return
        check_target(folder)
        self._path = folder / OBJECTS
        _check_plan(folder, plan)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RUN).write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
            self._read()
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {error.strerror or error}.") from error

    def _read(self) -> None:
        """Take over what an earlier call left, and write it again without a row that was cut short."""
        assert self._path is not None
        text = self._path.read_bytes().decode("utf-8", "replace") if self._path.is_file() else ""
        whole = text[: text.rfind("\n") + 1]
        for row in list(csv.reader(io.StringIO(whole, newline="")))[1:]:
            try:
                method, result = result_of(row, self._budget)
            except ValueError as error:
                raise InputError(f"{self._path} is damaged; remove it to begin again.") from error
            self.results[key_of(method, result)] = result
        part = self._path.with_name(OBJECTS + ".part")
        write_csv(((key[0], result) for key, result in self.results.items()), part, self._budget)
        part.replace(self._path)

    def add(self, method: str, result: ObjectResult) -> None:
        """Remember a result, and append its row; InputError if that cannot be written."""
        self.results[key_of(method, result)] = result
        if self._path is not None:
            line = io.StringIO(newline="")
            csv.writer(line).writerow(row_of(method, result))
            try:
                with self._path.open("a", newline="", encoding="utf-8") as stream:
                    stream.write(line.getvalue())
            except OSError as error:
                raise InputError(
                    f"{self._path} cannot be written ({error.strerror or error}); make room, or close what has it "
                    "open, and call again: it goes on from there."
                ) from error


def key_of(method: str, result: ObjectResult) -> Key:
    """What there is one result of."""
    return method, result.set, result.image, result.object


def _check_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Refuse a folder that holds another run, saying in what it differs."""
    path = folder / RUN
    if not path.is_file():
        # A report of an earlier version has results, but does not say of what.
        if (folder / OBJECTS).is_file():
            raise InputError(f"{folder} holds results of an unknown run; give another folder.")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged; give another folder.") from error
    now = json.loads(json.dumps(plan))
    if before != now:
        names = before.keys() | now.keys() if isinstance(before, dict) else ()
        other = ", ".join(sorted(name for name in names if before.get(name) != now.get(name)))
        raise InputError(f"{folder} holds another run (other {other}); give another folder, or remove that one.")
