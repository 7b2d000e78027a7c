"""One rule: what was done can be undone in the opposite order, without end, and redone until something new is done.

The history keeps commands and nothing else; who applies them is the document. Neighbours of one group go
together, so that what the user took for one step is one step back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari_ois.annotation.commands import Command


class History:
    """Two piles of commands.

    Notes
    -----
    Unbounded: a command shares what did not change with its neighbours, so it costs about as much memory as
    the clicks or run lengths that it brought.
    """

    def __init__(self) -> None:
        self._done: list[Command] = []
        self._undone: list[Command] = []
        self._group: int | None = None
        self._groups = 0

    # -- read -------------------------------------------------------------------------------------

    @property
    def done(self) -> tuple[Command, ...]:
        """What was done, the oldest first."""
        return tuple(self._done)

    @property
    def undone(self) -> tuple[Command, ...]:
        """What can be redone, the next one last."""
        return tuple(self._undone)

    @property
    def undo_text(self) -> str | None:
        """``"Undo add click to object 3"``; None where there is nothing to undo."""
        return f"Undo {self._done[-1].title}" if self._done else None

    @property
    def redo_text(self) -> str | None:
        """``"Redo accept object 3"``; None where there is nothing to redo."""
        return f"Redo {self._undone[-1].title}" if self._undone else None

    @property
    def next_undo(self) -> tuple[Command, ...]:
        """The commands of the newest step, in the order in which they are reverted."""
        return _step(self._done)

    @property
    def next_redo(self) -> tuple[Command, ...]:
        """The commands of the step undone last, in the order in which they are applied."""
        return _step(self._undone)

    @property
    def undone_steps(self) -> tuple[int, ...]:
        """How many commands each step that can be redone has, the one undone first before the others."""
        pile, counts = list(self._undone), list[int]()
        while pile:
            counts.append(len(_step(pile)))
            del pile[len(pile) - counts[-1] :]
        return tuple(reversed(counts))

    @property
    def group_id(self) -> int | None:
        """The group that is open; new commands carry it."""
        return self._group

    # -- change -----------------------------------------------------------------------------------

    @contextmanager
    def group(self) -> Iterator[None]:
        """Make what is done inside one step of the history; groups inside a group belong to it."""
        if self._group is not None:
            yield
            return
        self._groups += 1
        self._group = self._groups
        try:
            yield
        finally:
            self._group = None

    def push(self, command: Command) -> None:
        """Note what was done; what was undone before can no longer be redone."""
        self._done.append(command)
        self._undone.clear()
        self._groups = max(self._groups, command.group or 0)

    def undo(self) -> tuple[Command, ...]:
        """Move the newest step to the other pile and give its commands, newest first."""
        return _move(self._done, self._undone)

    def redo(self) -> tuple[Command, ...]:
        """Move the step undone last back and give its commands, oldest first."""
        return _move(self._undone, self._done)

    def forget_undone(self) -> None:
        """Have nothing to redo: what was tried and taken back at once is no step of the user's."""
        self._undone.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._done.clear()
        self._undone.clear()


def _step(pile: list[Command]) -> tuple[Command, ...]:
    """The top of a pile: one command, or all neighbours of its group."""
    count = 0
    for command in reversed(pile):
        if count and (command.group is None or command.group != pile[-1].group):
            break
        count += 1
    return tuple(reversed(pile[len(pile) - count :]))


def _move(source: list[Command], target: list[Command]) -> tuple[Command, ...]:
    step = _step(source)
    del source[len(source) - len(step) :]
    target.extend(step)
    return step
