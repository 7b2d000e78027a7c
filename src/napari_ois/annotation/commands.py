"""One rule: everything that happens to a document is a command - which objects were how before, and how after.

A command is a value. Applied, it puts the objects as they are after; reverted, as before; the labels follow
(see :mod:`napari_ois.annotation.canvas`). Its JSON holds only the fields that differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_ois.annotation.canvas import Objects
from napari_ois.annotation.objects import AnnotatedObject
from napari_ois.annotation.records import Record, object_from_record, object_record
from napari_ois.errors import InputError


@dataclass(frozen=True)
class Change:
    """One object before and after; None where it is not there."""

    before: AnnotatedObject | None
    after: AnnotatedObject | None

    @property
    def number(self) -> int:
        """Whom it happens to."""
        obj = self.after or self.before
        if obj is None:
            raise InputError("A change must have an object before or after.")
        return obj.number


@dataclass(frozen=True)
class Command:
    """One step of the history.

    Attributes
    ----------
    title : str
        What it does, for a button: ``"add click to object 3"``.
    changes : tuple of Change
        The object that it is about first; others that it touches after it.
    group : int or None
        Neighbours of one group are undone and redone together.
    """

    title: str
    changes: tuple[Change, ...]
    group: int | None = None

    @property
    def number(self) -> int:
        """The object that it is about."""
        return self.changes[0].number

    @property
    def settles(self) -> bool:
        """Whether an object is accepted, reopened or deleted: what must not be lost to a power cut."""
        return any(
            change.after is None or (change.before is not None and change.before.accepted != change.after.accepted)
            for change in self.changes
        )

    def applied(self, objects: Objects) -> dict[int, AnnotatedObject]:
        """The objects after it."""
        return _placed(objects, [(change.number, change.after) for change in self.changes])

    def reverted(self, objects: Objects) -> dict[int, AnnotatedObject]:
        """The objects before it."""
        return _placed(objects, [(change.number, change.before) for change in self.changes])

    def to_record(self) -> Record:
        """JSON: title, group and changes."""
        return {"title": self.title, "group": self.group, "changes": [_change_record(c) for c in self.changes]}

    @classmethod
    def from_record(cls, record: Any, objects: Objects) -> Command:
        """Read what :meth:`to_record` wrote.

        Parameters
        ----------
        record : dict
        objects : mapping of int to AnnotatedObject
            The objects before it.

        Raises
        ------
        InputError
            If the record is damaged or does not fit these objects.
        """
        try:
            title, group = str(record["title"]), record.get("group")
            changes = tuple(_change(one, objects) for one in record["changes"])
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError("A step of the history is damaged.") from error
        if not changes:
            raise InputError("A step of the history changes nothing; the file is damaged.")
        return cls(title, changes, group if isinstance(group, int) else None)


def _placed(objects: Objects, states: list[tuple[int, AnnotatedObject | None]]) -> dict[int, AnnotatedObject]:
    placed = dict(objects)
    for number, state in states:
        if state is None:
            placed.pop(number, None)
        else:
            placed[number] = state
    return placed


def _change_record(change: Change) -> Record:
    before = None if change.before is None else object_record(change.before)
    after = None if change.after is None else object_record(change.after)
    if before is None or after is None:
        return {"number": change.number, "before": before, "after": after}
    set_ = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
    return {"number": change.number, "set": set_}


def _change(record: Any, objects: Objects) -> Change:
    number = record["number"]
    if "set" not in record:
        before, after = (
            None if record[key] is None else object_from_record(record[key]) for key in ("before", "after")
        )
        if before != objects.get(number):
            raise InputError(f"A step of the history does not fit object {number}.")
        return Change(before, after)
    if number not in objects:
        raise InputError(f"A step of the history is about object {number}, which is not there.")
    state = object_record(objects[number])
    for key, (old, new) in record["set"].items():
        if key in state and state[key] != old:
            raise InputError(f"A step of the history does not fit object {number}.")
        state[key] = new
    return Change(objects[number], object_from_record(state))
