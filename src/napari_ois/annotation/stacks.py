"""One rule: an object through a stack is one object a plane, all with one label and name, and changed as one.

Each part is an object like any other: it has its plane, its clicks, and as its seed the mask of the neighbour
that it came from. So a part can be reopened and clicked on, is written down and replayed as others are, and a
session file needs nothing new but to say whose part it is. A stack is accepted, deleted and renamed by one step
of the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_ois.annotation.accepting import NothingFree, Overlap, accept_object, find_overlap, withdraw
from napari_ois.annotation.canvas import Canvas
from napari_ois.annotation.clicks import Clicks
from napari_ois.annotation.commands import Change
from napari_ois.annotation.ledger import Ledger
from napari_ois.annotation.objects import Accepted, AnnotatedObject, Part, Seed
from napari_ois.annotation.packed import PackedMask
from napari_ois.annotation.planes import PlaneKey
from napari_ois.annotation.propagation import SliceMask
from napari_ois.errors import InputError

FROM_NEIGHBOUR = "the slice beside it"
"""Source of a part's seed."""


@dataclass(frozen=True, eq=False)
class StackSlice:
    """One plane of an object through a stack, to be accepted.

    Attributes
    ----------
    plane : PlaneKey
    mask : (H, W) bool
    clicks : Clicks
        That the mask came of, with :attr:`seed`; of a plane where the object is open already, its own count.
    seed : (H, W) bool or None
        The neighbour's mask that it went on from.
    score : float or None
    """

    plane: PlaneKey
    mask: NDArray[np.bool_]
    clicks: Clicks
    seed: NDArray[np.bool_] | None = None
    score: float | None = None

    @classmethod
    def of(cls, found: SliceMask, plane: PlaneKey) -> StackSlice:
        """Of what was propagated to a plane."""
        return cls(plane, found.mask, found.clicks, found.before, found.score)


def neighbour_seed(mask: NDArray[np.bool_] | None) -> Seed | None:
    """The seed of a part that goes on from a neighbour's mask."""
    return None if mask is None else Seed(PackedMask.pack(mask), FROM_NEIGHBOUR)


class StackVerbs(Ledger):
    """What can be done to an object that goes through a stack; the verbs of a document that are about many planes."""

    def parts(self, of: int) -> tuple[AnnotatedObject, ...]:
        """All planes of an object, the one that it began from first; one where it goes through no stack."""
        found = [obj for obj in self.objects if obj.whole == of]
        return tuple(sorted(found, key=lambda obj: (obj.number != of, obj.number)))

    def start_part(
        self,
        of: int,
        plane: PlaneKey,
        *,
        clicks: Clicks | None = None,
        seed: Seed | None = None,
        settled: bool = True,
    ) -> AnnotatedObject:
        """Begin another plane of an object and go there; it has the object's name, colour, settings and label.

        A depth map is of one plane, so order comes from the model's own estimate.

        Parameters
        ----------
        of : int
            See :attr:`AnnotatedObject.whole`.
        plane : PlaneKey
        clicks : Clicks, optional
        seed : Seed, optional
            See :func:`neighbour_seed`.
        settled : bool
            See :class:`Part`.

        Raises
        ------
        InputError
            If there is no such object, or it is on this plane already.
        """
        parts = self._parts(of)
        if any(part.plane == plane for part in parts):
            raise InputError(f"{parts[0].name} is on this plane already; reopen it.")
        obj = self._part(parts[0], self._last_number + 1, plane, clicks or Clicks(), seed, settled)
        self._do(f"start {obj.name} on {plane}", Change(None, obj))
        return obj

    def accept_stack(
        self, of: int, slices: Sequence[StackSlice], *, rule: str = "keep", target: str = "labels"
    ) -> dict[PlaneKey, Accepted]:
        """Write an object into labels on many planes, with one label and as one step of the history.

        A plane where the object is accepted already is written anew; planes that are not given stay as they are.

        Parameters
        ----------
        of : int
            See :attr:`AnnotatedObject.whole`.
        slices : sequence of StackSlice
            Those without pixels are passed over.
        rule, target
            See :meth:`Document.accept`.

        Returns
        -------
        dict of PlaneKey to Accepted
            What was written; a plane where no pixel was free is not among them.

        Raises
        ------
        InputError
            If nothing could be written anywhere; then nothing has changed.
        """
        before = {part.plane: part for part in self._parts(of)}
        wanted = [one for one in slices if one.mask.any()]
        if not wanted:
            raise InputError("There is no object to accept; propagate it first.")
        with self.group():
            again = [before[one.plane] for one in wanted if one.plane in before and before[one.plane].accepted]
            if again:
                self._withdraw_parts(again)
            try:
                return self._accept_parts(of, wanted, rule, target)
            except InputError:
                if again:
                    self.undo()
                raise

    def stack_overlap(self, of: int, slices: Sequence[StackSlice], target: str = "labels") -> Overlap:
        """Say whose pixels an object through a stack would lie on; changes nothing."""
        first = self._parts(of)[0]
        own = {part.accepted.label for part in self._parts(of) if part.accepted and part.accepted.target == target}
        free, taken = 0, dict[int, int]()
        for one in slices:
            here = find_overlap(replace(first, plane=one.plane), PackedMask.pack(one.mask), target, self._canvas())
            free += here.free + sum(here.taken.get(label, 0) for label in own)
            for label, count in here.taken.items():
                if label not in own:
                    taken[label] = taken.get(label, 0) + count
        return Overlap(free, taken)

    def delete_stack(self, of: int) -> None:
        """Delete an object on all its planes, and take it out of the labels, as one step of the history."""
        parts = self._parts(of)
        heirs = [heir for part in parts for heir in withdraw(part, self._objects)]
        self._do(
            f"delete {parts[0].name}",
            *(Change(part, None) for part in parts),
            *(Change(self._objects[heir.number], heir) for heir in heirs),
        )

    # -- how --------------------------------------------------------------------------------------

    def _canvas(self) -> Canvas:
        if self.canvas is None:
            raise InputError("There are no labels to write into; choose some first.")
        return self.canvas

    def _parts(self, of: int) -> tuple[AnnotatedObject, ...]:
        parts = self.parts(of)
        if not parts:
            raise InputError(f"There is no object {of}.")
        return parts

    def _part(
        self, like: AnnotatedObject, number: int, plane: PlaneKey, clicks: Clicks, seed: Seed | None, settled: bool
    ) -> AnnotatedObject:
        return AnnotatedObject(
            number=number,
            plane=plane,
            name=like.name,
            color=like.color,
            clicks=clicks,
            settings=replace(like.settings, order=""),  # a depth map is of one plane
            seed=seed,
            label=like.label,
            part=Part(like.whole, settled),
        )

    def _withdraw_parts(self, parts: Sequence[AnnotatedObject]) -> None:
        heirs = [heir for part in parts for heir in withdraw(part, self._objects)]
        self._do(
            f"reopen {parts[0].name}",
            *(Change(part, replace(part, accepted=None)) for part in parts),
            *(Change(self._objects[heir.number], heir) for heir in heirs),
        )

    def _accept_parts(self, of: int, slices: Sequence[StackSlice], rule: str, target: str) -> dict[PlaneKey, Accepted]:
        parts = {part.plane: part for part in self._parts(of)}
        first = self._parts(of)[0]
        label, number, turn = first.label, self._last_number, self._last_turn
        changes: list[Change] = []
        done: dict[PlaneKey, Accepted] = {}
        for one in sorted(slices, key=lambda one: one.plane != first.plane):  # the label is found where it began
            was = parts.get(one.plane)
            obj = was
            if obj is None or not (obj.part is None or obj.part.settled):
                number += was is None
                given = number if was is None else was.number
                obj = self._part(first, given, one.plane, one.clicks, neighbour_seed(one.seed), False)
            turn += 1
            try:
                accepted = accept_object(
                    replace(obj, label=obj.label or label),
                    PackedMask.pack(one.mask),
                    self._objects,
                    self._canvas(),
                    rule=rule,
                    target=target,
                    score=one.score,
                    turn=turn,
                )
            except NothingFree:
                continue
            label = accepted.label
            done[one.plane] = accepted
            changes.append(Change(was, replace(obj, label=label, accepted=accepted)))
        if not changes:
            raise NothingFree("Every pixel of this object belongs to another object; nothing was written.")
        self._do(f"accept {first.name} on {len(changes)} slices", *changes)
        return done
