"""One rule: a result is there whole or not at all, it is written once, and what is there is not made again.

An item's labels are published last, under a name that must be free; where two workers have made the same item, the
second finds the name taken. So the labels file alone says that an item is finished.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from napari_ois.batch.large_labels import write_labels
from napari_ois.batch.work import Labelled
from napari_ois.errors import InputError
from napari_ois.segmentation.whole_file import whole_file

SETTINGS, REPORT, UNFINISHED = "batch.json", "batch_report.csv", ".unfinished"
WEIGHTS = "weights"
"""Setting that is the hash of the model's weights, or None where another machine's answer."""

DONE, THERE, FAILED = "done", "there already", "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    Attributes
    ----------
    name : str
    status : str
        ``"done"``, ``"there already"`` or ``"failed"``.
    seconds : float
    process : int
        Id of the process that did it; 0 where that is not known.
    error : str
        One sentence, where it failed.
    """

    name: str
    status: str
    seconds: float = 0.0
    process: int = 0
    error: str = ""


class Results:
    """The folder of a batch.

    Parameters
    ----------
    folder : path
        As every worker sees it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()

    def has(self, name: str) -> bool:
        """Whether an item is finished."""
        return self._labels(name).is_file()

    def publish(self, name: str, result: Labelled) -> bool:
        """Write the result of an item; False, and nothing is written, where it is there already.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        if self.has(name):
            return False
        unfinished = self.folder / UNFINISHED
        staging = unfinished / f"{name}-{uuid.uuid4().hex[:8]}"
        labels, table = staging.with_name(staging.name + ".tif"), staging.with_name(staging.name + ".csv")
        try:
            unfinished.mkdir(parents=True, exist_ok=True)
            write_labels(labels, result.labels, result.pixel_size, result.unit)
            table.write_text(result.table, encoding="utf-8")
            table.replace(self.folder / f"{name}.csv")
            return _publish(labels, self._labels(name))
        except OSError as error:
            raise InputError(f"{name} cannot be written into {self.folder}: {error.strerror or error}.") from error
        finally:
            labels.unlink(missing_ok=True)
            table.unlink(missing_ok=True)

    def begin(self, settings: dict[str, Any], names: Iterable[str] = ()) -> None:
        """Note what the batch is made with; a folder goes on only with the same.

        Parameters
        ----------
        settings : dict
            As JSON writes it.
        names : iterable of str
            The items.

        Raises
        ------
        InputError
            If the folder holds a batch with other settings, or files of no batch with the names of results, or
            cannot be written.
        """
        path = self.folder / SETTINGS
        text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            before = path.read_text(encoding="utf-8") if path.is_file() else None
            if before is not None and not _same(before, text):
                raise InputError(f"{self.folder} holds a batch with other settings ({path.name}); use another folder.")
            if before is None:
                self._check_free(names)
            if before is None or settings.get(WEIGHTS):  # those of a note that did not know them
                with whole_file(path) as staging:
                    staging.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written: {error.strerror or error}.") from error

    def end(self, outcomes: Iterable[Outcome]) -> Path:
        """Write the report, and remove what killed workers have left half written.

        Raises
        ------
        InputError
            If the report cannot be written; the results are there.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Outcome)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**asdict(each), "seconds": round(each.seconds, 3)} for each in outcomes)
        shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)
        try:
            with whole_file(self.folder / REPORT) as staging:
                staging.write_text(text.getvalue(), encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"{self.folder / REPORT} cannot be written ({error.strerror or error}), the results are there; "
                "close what has it open, or make room, and call again."
            ) from error
        return self.folder / REPORT

    def _check_free(self, names: Iterable[str]) -> None:
        """Before the first result a file of its name is somebody's image or table, and no result."""
        files = (self.folder / f"{name}{suffix}" for name in names for suffix in (".tif", ".csv"))
        taken = next((file for file in files if file.exists()), None)
        if taken is not None:
            raise InputError(f"{self.folder} holds {taken.name} already, which no batch made; use another folder.")

    def _labels(self, name: str) -> Path:
        return self.folder / f"{name}.tif"


def _same(before: str, now: str) -> bool:
    """Whether two notes are of one batch; the weights count where both know them: elsewhere others may answer."""
    try:
        one, other = json.loads(before), json.loads(now)
    except ValueError:
        return False
    if isinstance(one, dict) and None in (one.get(WEIGHTS), other.get(WEIGHTS)):
        one[WEIGHTS] = other[WEIGHTS] = None
    return bool(one == other)


def _publish(file: Path, target: Path) -> bool:
    """Give a file its name if that is free; a link is refused where it is not."""
    try:
        os.link(file, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without links: the last moment to look
        if target.exists():
            return False
        file.replace(target)
    return True
