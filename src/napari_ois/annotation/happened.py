"""One rule: what happened to a document is told as a value, in words where a user reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_ois.annotation.clicks import Clicks
from napari_ois.annotation.commands import Command


@dataclass(frozen=True)
class Happened:
    """What listeners are told.

    Attributes
    ----------
    kind : str
        ``"do"``, ``"undo"``, ``"redo"``, ``"load"`` (the objects are others), ``"select"`` (only the current
        object is another one).
    commands : tuple of Command
        What was applied or reverted, in this order.
    written : int
        Pixels of labels that were written.
    """

    kind: str
    commands: tuple[Command, ...] = ()
    written: int = 0

    @property
    def numbers(self) -> set[int]:
        """The objects that it touched."""
        return {change.number for command in self.commands for change in command.changes}


Listener = Callable[[Happened], None]


def what_changed(old: Clicks, new: Clicks) -> str:
    """In words for the history, to be followed by the object's name."""
    if len(new) == len(old) + 1 and new.first(len(old)) == old:
        return "add click to" if new.items[-1].positive else "add negative click to"
    if not len(new):
        return "clear clicks of"
    shared = old.shared(new)
    if len(new) == len(old) - 1 and new.items[shared:] == old.items[shared + 1 :]:
        return "delete click of"
    if len(new) == len(old) and new.items[shared + 1 :] == old.items[shared + 1 :]:
        return "move click of" if old.items[shared].positive == new.items[shared].positive else "turn click of"
    return "change clicks of"
