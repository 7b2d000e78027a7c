"""One rule: an id means an object in one layer only; where the object goes into another one, it gets an id of that.

There its own may be somebody's, and both would be one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from napari_ois.annotation import AnnotatedObject, Document
from napari_ois.annotation.commands import Change, Command
from napari_ois.errors import InputError


@contextmanager
def own_label(document: Document, parts: Sequence[AnnotatedObject], target: str) -> Iterator[None]:
    """Accept an object inside; it keeps its label only where it was in these labels before, if it was in any.

    Parameters
    ----------
    document : Document
    parts : sequence of AnnotatedObject
        Those of the object that are to be accepted, all open where another label is needed.
    target : str
        The labels, by the document's name.
    """
    changes = tuple(Change(part, replace(part, label=None)) for part in parts if part.label)
    if not changes or not _elsewhere(document, parts[0].whole, target):
        yield
        return
    with document.group():
        document.perform(Command(f"another label for {parts[0].name}", changes, document.history.group_id))
        try:
            yield
        except InputError:
            document.undo()
            document.history.forget_undone()
            raise


def check_not_split(parts: Sequence[AnnotatedObject], target: str | None) -> None:
    """InputError where parts of an object are accepted, but none in these labels: it would have two ids."""
    homes = [part.accepted.target for part in parts if part.accepted is not None]
    if homes and target not in homes:
        raise InputError(
            f'This object is in "{homes[0]}" on other slices already: choose that layer for the objects, or reopen '
            "it there first."
        )


def _elsewhere(document: Document, whole: int, target: str) -> bool:
    """Whether an object was in other labels and never in these."""
    homes = {_home(document, part) for part in document.parts(whole)} - {None}
    return bool(homes) and target not in homes


def _home(document: Document, obj: AnnotatedObject) -> str | None:
    """The labels that an object is in, or was in last; None where it never was, or that is not known any more."""
    if obj.accepted is not None:
        return obj.accepted.target
    for command in reversed(document.history.done):
        for change in command.changes:
            if change.number == obj.number and change.before is not None and change.before.accepted is not None:
                return change.before.accepted.target
    return None
