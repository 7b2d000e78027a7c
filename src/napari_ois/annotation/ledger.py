"""One rule: the objects change by commands alone; each is applied to the labels, noted in the history, and told.

A ledger knows what the objects are and how to go back and forth; what can be done to them says the
:class:`~napari_ois.annotation.document.Document`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from napari_ois.annotation.canvas import Canvas, repaint
from napari_ois.annotation.commands import Change, Command
from napari_ois.annotation.happened import Happened, Listener
from napari_ois.annotation.history import History
from napari_ois.annotation.objects import AnnotatedObject
from napari_ois.errors import InputError


class Ledger:
    """The objects of one image, the one that the user is at, and what can be undone.

    Parameters
    ----------
    canvas : Canvas, optional
        The labels; without them objects change all the same.
    """

    def __init__(self, canvas: Canvas | None = None) -> None:
        self.canvas = canvas
        self.history = History()
        self._objects: dict[int, AnnotatedObject] = {}
        self._current: int | None = None
        self._listeners: list[Listener] = []
        self._held: list[Happened] | None = None  # what is told of later
        self._last_number = 0
        self._last_turn = 0

    # -- read -------------------------------------------------------------------------------------

    @property
    def objects(self) -> tuple[AnnotatedObject, ...]:
        """All objects in the order of their numbers."""
        return tuple(self._objects[number] for number in sorted(self._objects))

    @property
    def current(self) -> AnnotatedObject | None:
        """The object that the user is at."""
        return None if self._current is None else self._objects[self._current]

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, number: int) -> bool:
        return number in self._objects

    def __getitem__(self, number: int) -> AnnotatedObject:
        if number not in self._objects:
            raise InputError(f"There is no object {number}.")
        return self._objects[number]

    # -- listen -----------------------------------------------------------------------------------

    def connect(self, listener: Listener) -> Callable[[], None]:
        """Call a function after everything that happens; gives the function that ends this."""
        self._listeners.append(listener)

        def disconnect() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return disconnect

    # -- go from object to object -----------------------------------------------------------------

    def select(self, number: int | None) -> None:
        """Make an object the current one, or none; no step of the history."""
        if number is not None:
            number = self[number].number
        if number != self._current:
            self._current = number
            self._tell(Happened("select"))

    def next(self) -> AnnotatedObject | None:
        """Go on to the object with the next number, from the last one to the first; it is not reopened."""
        return self._step(1)

    def previous(self) -> AnnotatedObject | None:
        """Go back to the object with the number before, from the first one to the last."""
        return self._step(-1)

    # -- history ----------------------------------------------------------------------------------

    def undo(self) -> tuple[Command, ...]:
        """Take the newest step back and go to its object; empty where there is none."""
        commands, objects = self.history.next_undo, self._objects
        for command in commands:
            objects = command.reverted(objects)
        return self._move("undo", commands, objects, self.history.undo)

    def redo(self) -> tuple[Command, ...]:
        """Do the step undone last again and go to its object; empty where there is none."""
        commands, objects = self.history.next_redo, self._objects
        for command in commands:
            objects = command.applied(objects)
        return self._move("redo", commands, objects, self.history.redo)

    @contextmanager
    def group(self) -> Iterator[None]:
        """Make everything done inside one step for undo and redo."""
        with self.history.group():
            yield

    @contextmanager
    def told_once(self) -> Iterator[None]:
        """Make everything done inside one step, of which listeners are told when it is done: for many at once."""
        with self.group():
            held = self._held = []
            try:
                yield
            finally:
                self._held = None
                commands = tuple(command for happened in held for command in happened.commands)
                if held:
                    written = sum(happened.written for happened in held)
                    self._tell(Happened("do" if commands else "select", commands, written))

    def perform(self, command: Command) -> None:
        """Do a command that was made elsewhere: read from a journal."""
        self._move("do", (command,), command.applied(self._objects), lambda: self.history.push(command))

    def load(self, objects: Iterable[AnnotatedObject]) -> None:
        """Begin anew with other objects, for example those of a session file; nothing can be undone before.

        The labels are not touched: :meth:`paint` writes the objects into them.
        """
        found = {obj.number: obj for obj in objects}
        self.history.clear()
        self._set(found)
        self._current = None
        self._tell(Happened("load"))

    # -- how --------------------------------------------------------------------------------------

    def _do(self, title: str, *changes: Change) -> None:
        self.perform(Command(title, changes, self.history.group_id))

    def _move(
        self,
        kind: str,
        commands: tuple[Command, ...],
        objects: dict[int, AnnotatedObject],
        note: Callable[[], object],
    ) -> tuple[Command, ...]:
        if not commands:
            return ()
        # The labels first: where they cannot be written, nothing has happened.
        written = 0 if self.canvas is None else repaint(self._objects, objects, self.canvas)
        note()
        self._set(objects)
        self._current = commands[-1].number if commands[-1].number in objects else None
        self._tell(Happened(kind, commands, written))
        return commands

    def _set(self, objects: dict[int, AnnotatedObject]) -> None:
        self._objects = objects
        self._last_number = max([self._last_number, *objects])
        self._last_turn = max([self._last_turn, *(o.accepted.turn for o in objects.values() if o.accepted)])

    def _step(self, by: int) -> AnnotatedObject | None:
        first: dict[int, int] = {}  # of an object through a stack, one part
        for obj in self.objects:
            first.setdefault(obj.whole, obj.number)
        if not first:
            return None
        wholes = sorted(first)
        if self._current is None:
            self.select(first[wholes[0 if by > 0 else -1]])
        else:
            self.select(first[wholes[(wholes.index(self._objects[self._current].whole) + by) % len(wholes)]])
        return self.current

    def _tell(self, happened: Happened) -> None:
        if self._held is not None:
            self._held.append(happened)
            return
        for listener in tuple(self._listeners):
            listener(happened)
