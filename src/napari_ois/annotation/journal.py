"""One rule: what was done is on disk before the next thing is done, one line each, and no line is ever changed.

A journal is a text file of one image: a first line that says which, then one JSON object a line - ``{"do":
command}``, ``{"undo": n}`` or ``{"redo": n}``, n the number of commands, and ``{"load": objects}`` where a
document began with objects from elsewhere. Each line is handed to the operating system whole, so that a killed
program loses nothing but at most the line it was writing; reading passes over a last line that is torn.
Accepts, reopens and deletes are also forced to the disk, for the sake of power cuts; that takes its time, so a
viewer has it done in another thread, and closing waits for it. One program writes to a
journal at a time: two viewers on one image have one each, as long as both do not resume the same.

Nothing is written before the first command: looking at an image leaves no trace. With ``enabled=False`` nothing
is written at all. Journals are deleted only when a new one begins, and only those that are both older than
:data:`KEEP_DAYS` days and beyond the newest :data:`KEEP`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from napari_ois.annotation.commands import Command
from napari_ois.annotation.document import Document
from napari_ois.annotation.happened import Happened
from napari_ois.annotation.objects import AnnotatedObject
from napari_ois.annotation.records import object_from_record, object_record
from napari_ois.annotation.signature import ImageSignature
from napari_ois.errors import InputError

FORMAT, VERSION = "napari-ois journal", 1
Aside = Callable[[Callable[[], None]], None]
"""Has a function called in another thread, after those before it."""
KEEP = 50
"""How many journals are kept whatever their age."""
KEEP_DAYS = 30
"""How many days every journal is kept."""
_APPEND = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)  # Windows would write line ends of its own


def default_folder() -> Path:
    """Where journals lie: the user's data folder of this operating system."""
    from platformdirs import user_data_path

    return user_data_path("napari-ois", appauthor=False) / "journals"


@dataclass(frozen=True)
class Found:
    """A journal that is there.

    Attributes
    ----------
    path : Path
    image : ImageSignature
    modified : float
        When its last line was written, in seconds since 1970.
    """

    path: Path
    image: ImageSignature
    modified: float


class Journal:
    """Writes down what happens to a document.

    Parameters
    ----------
    image : ImageSignature
    folder : Path, optional
        By default :func:`default_folder`.
    enabled : bool
        False writes nothing: the user's privacy setting.
    aside : callable, optional
        Has a function called in another thread, soon: there lines are forced to the disk. By default at once.

    Attributes
    ----------
    path : Path or None
        None until something was written.
    failed : str
        Why the journal ended early (a full disk, say); empty while all is well. The document goes on: the
        caller should tell the user once.
    """

    def __init__(
        self, image: ImageSignature, folder: Path | None = None, *, enabled: bool = True, aside: Aside | None = None
    ) -> None:
        self.image = image
        self.enabled = enabled
        self.path: Path | None = None
        self.failed = ""
        self._folder = folder
        self._file: int | None = None
        self._document: Document | None = None
        self._detach: Callable[[], None] | None = None
        self._aside = aside
        self._owed = False  # whether lines were written that are still to be forced to the disk
        self._guard = Lock()  # of the file, which the other thread may be at

    @classmethod
    def resume(cls, path: Path, document: Document, *, aside: Aside | None = None) -> Journal:
        """Recover an empty document from a journal, and go on writing there.

        Lines that are torn or do not fit are cut off; a copy of the file as it was stays beside it, with the
        suffix ``.damaged``, where that is more than one torn line.

        Raises
        ------
        InputError
            If it is no journal or cannot be written, or the document is not empty.
        """
        contents = _read(path)
        taken = _recover(contents, document)
        journal = cls(contents.image, path.parent, aside=aside)
        end = contents.ends[taken]
        try:
            if contents.size > end and (taken < len(contents.entries) or not contents.only_torn):
                shutil.copyfile(path, path.with_suffix(".damaged"))
            with path.open("r+b") as file:
                file.truncate(end)
            journal._file = os.open(path, _APPEND)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
        journal.path = path
        journal._listen(document)
        return journal

    def attach(self, document: Document) -> None:
        """Write down whatever happens to a document from now on, and first what has happened to it already."""
        self._listen(document)
        entries = _so_far(document)
        if entries:
            self._note(entries, True)

    def _listen(self, document: Document) -> None:
        self.detach()
        self._document = document
        self._detach = document.connect(self._on_happened)

    def detach(self) -> None:
        """Listen no more; the file stays open."""
        if self._detach is not None:
            self._detach()
            self._detach = self._document = None

    def close(self) -> None:
        """Listen no more, and close the file; it stays where it is."""
        self.detach()
        if self._owed:
            self._force_now()
        with self._guard:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def discard(self) -> None:
        """Close and delete it: the user wants to have it no more."""
        self.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self.path = None

    def _on_happened(self, happened: Happened) -> None:
        forced = any(command.settles for command in happened.commands)
        if happened.kind == "do":
            self._note([{"do": command.to_record()} for command in happened.commands], forced)
        elif happened.kind in ("undo", "redo"):
            self._note([{happened.kind: len(happened.commands)}], forced)
        elif happened.kind == "load" and self._document is not None:
            self._note([_load(self._document.objects)], True)

    def _note(self, entries: list[dict[str, Any]], forced: bool) -> None:
        if not self.enabled or self.failed:
            return
        try:
            for entry in entries:
                self._append(entry)
        except OSError as error:
            self._fail(error)
            self.close()
            return
        if forced:
            self._owed = True
            if self._aside is None:
                self._force_now()
            else:
                self._aside(self._force_now)

    def _force_now(self) -> None:
        """Force what is written to the disk; in whichever thread."""
        with self._guard:
            if self._file is None or not self._owed:
                return
            self._owed = False  # before: what is written meanwhile is owed again
            try:
                os.fsync(self._file)
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._owed = False
        self.failed = f"The journal cannot be written ({error.strerror or error}); save the session by hand."

    def _append(self, entry: dict[str, Any]) -> None:
        if self._file is None:
            self._begin()
        _write_line(self._file, entry)

    def _begin(self) -> None:
        folder = default_folder() if self._folder is None else self._folder
        folder.mkdir(parents=True, exist_ok=True)
        clean(folder)
        now = time.gmtime()
        name = f"{self.image.key}-{time.strftime('%Y%m%dT%H%M%S', now)}-{uuid.uuid4().hex[:6]}.jsonl"
        self.path = folder / name
        self._file = os.open(self.path, _APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
            "image": self.image.to_record(),
        }
        _write_line(self._file, header)


def _so_far(document: Document) -> list[dict[str, Any]]:
    """What brings an empty document to where this one is, with all that can be undone and redone there."""
    history = document.history
    objects = {obj.number: obj for obj in document.objects}
    for command in reversed(history.done):
        objects = command.reverted(objects)
    entries = [_load(objects.values())] if objects else []
    # What was undone is done once more and undone again: so it can be redone.
    entries += [{"do": command.to_record()} for command in (*history.done, *reversed(history.undone))]
    return entries + [{"undo": count} for count in history.undone_steps]


def _load(objects: Iterable[AnnotatedObject]) -> dict[str, Any]:
    return {"load": [object_record(obj) for obj in objects]}


def _write_line(file: int | None, entry: dict[str, Any]) -> None:
    if file is None:
        return
    left = memoryview((json.dumps(entry, separators=(",", ":")) + "\n").encode())
    while left:  # a full disk or a signal may take a part only
        left = left[os.write(file, left) :]


# -- read -----------------------------------------------------------------------------------------


def find_journals(image: ImageSignature, folder: Path | None = None) -> list[Found]:
    """The journals of an image, the newest first; files that are no journals are passed over."""
    folder = default_folder() if folder is None else folder
    found = []
    for path in folder.glob(f"{image.key}-*.jsonl"):
        try:
            contents = _read(path)
            if contents.image.same_image(image) and contents.entries:
                found.append(Found(path, contents.image, path.stat().st_mtime))
        except (InputError, OSError):
            continue
    return sorted(found, key=lambda one: (one.modified, one.path.name), reverse=True)


def recover(path: Path, document: Document) -> int:
    """Bring an empty document to where a journal ends, with all that can be undone and redone.

    The labels are not touched; :meth:`Document.paint` writes the objects into them. Listeners are told.

    Returns
    -------
    int
        How many lines were taken. Where one does not fit those before it, the rest is left out.

    Raises
    ------
    InputError
        If it is no journal, or the document is not empty.
    """
    return _recover(_read(path), document)


def _recover(contents: _Contents, document: Document) -> int:
    if len(document) or document.history.done or document.history.undone:
        raise InputError("A journal can be recovered into an empty document only.")
    canvas, document.canvas = document.canvas, None
    try:
        for number, entry in enumerate(contents.entries):
            try:
                _take(entry, document)
            except InputError:
                return number
        return len(contents.entries)
    finally:
        document.canvas = canvas


def _take(entry: dict[str, Any], document: Document) -> None:
    if "do" in entry:
        objects = {obj.number: obj for obj in document.objects}
        document.perform(Command.from_record(entry["do"], objects))
    elif "load" in entry:
        document.load([object_from_record(record) for record in entry["load"]])
    elif "undo" in entry:
        document.undo()
    elif "redo" in entry:
        document.redo()


@dataclass(frozen=True)
class _Contents:
    """What was read: ``ends[n]`` is where the n-th entry ends in bytes, the first line being the 0th."""

    image: ImageSignature
    entries: list[dict[str, Any]]
    ends: list[int]
    size: int
    only_torn: bool


def _read(path: Path) -> _Contents:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    lines: list[dict[str, Any]] = []
    ends: list[int] = []
    for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except ValueError:  # what follows a damaged line stands on it
            break
        if not isinstance(entry, dict):
            break
        lines.append(entry)
        ends.append((ends[-1] if ends else 0) + len(line))
    if not lines or lines[0].get("format") != FORMAT:
        raise InputError(f"{path} is no journal of napari-ois.")
    if not isinstance(lines[0].get("version"), int) or lines[0]["version"] > VERSION:
        raise InputError(f"{path} was written by a later napari-ois; update napari-ois to read it.")
    image = ImageSignature.from_record(lines[0].get("image"))
    return _Contents(image, lines[1:], ends, len(data), b"\n" not in data[ends[-1] :])


def clean(folder: Path) -> list[Path]:
    """Delete journals that are both beyond the newest :data:`KEEP` and older than :data:`KEEP_DAYS` days.

    Returns
    -------
    list of Path
        What was deleted.
    """
    aged = []
    for path in folder.glob("*.jsonl"):
        try:
            aged.append((path.stat().st_mtime, path))
        except OSError:  # another program has just deleted it
            continue
    limit = time.time() - KEEP_DAYS * 86400
    old = [path for modified, path in sorted(aged, reverse=True)[KEEP:] if modified < limit]
    for path in old:
        path.unlink(missing_ok=True)
    return old
