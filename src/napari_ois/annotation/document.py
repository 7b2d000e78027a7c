"""One rule: a document is all objects of one image, and every verb that changes one is a single command.

It shows nothing and computes no mask: a viewer or a script gives it clicks and the masks that came of them,
listens to what happened, and asks it what to show. The labels that accepted objects are written into are
reached through a :class:`~napari_ois.annotation.canvas.Canvas`.
"""

from __future__ import annotations

from dataclasses import replace

from numpy.typing import ArrayLike

from napari_ois.annotation.accepting import Overlap, accept_object, find_overlap, withdraw
from napari_ois.annotation.canvas import paint_all
from napari_ois.annotation.clicks import Clicks
from napari_ois.annotation.commands import Change
from napari_ois.annotation.happened import what_changed
from napari_ois.annotation.objects import DEFAULT_SETTINGS, Accepted, AnnotatedObject, Edits, Part, Seed, Settings
from napari_ois.annotation.packed import PackedMask, find_label
from napari_ois.annotation.planes import PlaneKey
from napari_ois.annotation.prompts import Prompt
from napari_ois.annotation.records import check_color, check_settings
from napari_ois.annotation.stacks import StackVerbs
from napari_ois.errors import InputError


class Document(StackVerbs):
    """The objects of one image, and how they came to be.

    Parameters
    ----------
    canvas : Canvas, optional
        The labels; without one, nothing can be accepted.

    Attributes
    ----------
    canvas : Canvas or None
        May be changed at any time; :meth:`paint` writes all objects into another one.
    history : History
        What can be undone and redone.

    Notes
    -----
    Every verb that changes something raises InputError, and changes nothing, where it cannot be done.
    """

    # -- read -------------------------------------------------------------------------------------

    def with_label(self, label: int, target: str = "labels", plane: PlaneKey | None = None) -> AnnotatedObject | None:
        """The accepted object that has a label, on one plane or on any; None where there is none."""
        for obj in self.objects:
            accepted = obj.accepted
            if accepted and (accepted.label, accepted.target) == (label, target) and plane in (None, obj.plane):
                return obj
        return None

    def overlap(self, number: int, mask: ArrayLike | PackedMask, target: str = "labels") -> Overlap:
        """Say whose pixels a mask lies on, so that the user can be asked for the rule; changes nothing."""
        return find_overlap(self[number], PackedMask.pack(mask), target, self._canvas())

    # -- verbs ------------------------------------------------------------------------------------

    def start(
        self,
        plane: PlaneKey,
        *,
        name: str | None = None,
        color: str | None = None,
        clicks: Clicks | None = None,
        seed: Seed | None = None,
        label: int | None = None,
        settings: Settings = DEFAULT_SETTINGS,
        part: Part | None = None,
    ) -> AnnotatedObject:
        """Begin an object and make it the current one.

        Parameters
        ----------
        plane : PlaneKey
            Where it lies.
        name : str, optional
            By default ``"object N"``.
        color : str, optional
            ``"#rrggbb"``.
        clicks : Clicks, optional
            By default none.
        seed : Seed, optional
            A mask to begin with; see :meth:`start_from_label`.
        label : int, optional
            The label it is to have when accepted; one object through a stack has one on every plane. By
            default a new one.
        settings : Settings, optional
            How its clicks are answered.
        part : Part, optional
            Whose part it is; see :meth:`start_part`.
        """
        number = self._last_number + 1
        obj = AnnotatedObject(
            number=number,
            plane=plane,
            name=name or f"object {number}",
            color=check_color(color),
            clicks=clicks or Clicks(),
            settings=check_settings(settings),
            seed=seed,
            label=label,
            part=part,
        )
        self._do(f"start {obj.name}", Change(None, obj))
        return obj

    def start_from_label(
        self, plane: PlaneKey, labels: ArrayLike, label: int, *, source: str = "", name: str | None = None
    ) -> AnnotatedObject:
        """Begin an object from a label of any label array, to be refined by clicks.

        Where ``source`` names the array that it is later accepted into, the label's pixels there count as
        the object's own: it is refined in place, and keeps its label.

        Parameters
        ----------
        plane : PlaneKey
        labels : (H, W) integer array
            The plane of the array; of any kind that can be sliced, since it is read in bands.
        label : int
            Not 0.
        source : str
            The array's name.
        name : str, optional

        Raises
        ------
        InputError
            If there is no such label on the plane, or it is an object of this document: reopen that one.
        """
        known = self.with_label(int(label), source, plane)
        if known is not None:
            raise InputError(f"Label {label} is {known.name}; reopen it instead.")
        mask = find_label(labels, label) if label > 0 else None
        if not mask:
            raise InputError(f"There is no label {label} on this plane; choose one that is there.")
        return self.start(plane, name=name, seed=Seed(mask, source, int(label)))

    def set_clicks(self, number: int, clicks: Clicks) -> bool:
        """Give an open object another list of clicks; False if it is the same one."""
        obj = self._open(number)
        title = f"{what_changed(obj.clicks, clicks)} {obj.name}"
        same = clicks == obj.clicks
        return self._change(title, obj, obj if same else _settled(replace(obj, clicks=clicks)))

    def draw(self, number: int, prompt: Prompt, what: str) -> bool:
        """Give an open object what came of a drawing, as one step; False if nothing did.

        Parameters
        ----------
        number : int
        prompt : Prompt
            The object's own, with the drawing.
        what : str
            For the history: ``"box"``, ``"scribble"``.
        """
        obj = self._open(number)
        drawn = replace(obj, clicks=prompt.clicks, seed=prompt.seed)
        return self._change(f"{what} on {obj.name}", obj, obj if drawn == obj else _settled(drawn))

    def adjust(self, number: int, settings: Settings) -> bool:
        """Ask for, or read, the answer to an open object's clicks in another way; False if it is the same."""
        obj = self._open(number)
        return self._change(f"adjust {obj.name}", obj, replace(obj, settings=check_settings(settings)))

    def paint_edit(self, number: int, before: ArrayLike | PackedMask, after: ArrayLike | PackedMask) -> bool:
        """Keep a stroke of the brush: what the preview showed before and after, (H, W); False if it is the same."""
        obj = self._open(number)
        old = PackedMask.pack(before)
        new = (obj.edits or Edits.none(old.shape)).painted(old, after)
        painted = replace(obj, edits=new if new or obj.edits else None)
        return self._change(f"paint on {obj.name}", obj, painted if painted == obj else _settled(painted))

    def clear_edits(self, number: int) -> bool:
        """Take all strokes of the brush away; False if there are none."""
        obj = self._open(number)
        return self._change(f"clear brush strokes of {obj.name}", obj, replace(obj, edits=None))

    def rename(self, number: int, name: str) -> bool:
        """Give an object another name, on all its planes; False if it is the same."""
        obj, name = self[number], name.strip()
        if not name:
            raise InputError("An object needs a name; write at least one letter.")
        return self._change_parts(f"rename {obj.name} to {name}", obj, name=name)

    def recolor(self, number: int, color: str | None) -> bool:
        """Give an object another colour on all its planes; None is the viewer's own. False if it has it."""
        obj = self[number]
        return self._change_parts(f"recolour {obj.name}", obj, color=check_color(color))

    def accept(
        self,
        number: int,
        mask: ArrayLike | PackedMask,
        *,
        rule: str = "keep",
        target: str = "labels",
        score: float | None = None,
    ) -> Accepted:
        """Write an open object into labels.

        Parameters
        ----------
        number : int
        mask : (H, W) array, or packed
            What is on the screen, true or nonzero in the object.
        rule : str
            ``"keep"``: pixels that hold any label stay as they are; ``"overwrite"``: the object takes them.
        target : str
            Which labels, by the canvas's name.
        score : float, optional
            The confidence, for the table.

        Returns
        -------
        Accepted
            What was written, and what was denied.

        Raises
        ------
        InputError
            If the mask is empty, no pixel is free, or the labels cannot hold another id.
        """
        obj = self._open(number)
        accepted = accept_object(
            obj,
            PackedMask.pack(mask),
            self._objects,
            self._canvas(),
            rule=rule,
            target=target,
            score=score,
            turn=self._last_turn + 1,
        )
        self._do(f"accept {obj.name}", Change(obj, replace(obj, label=accepted.label, accepted=accepted)))
        return accepted

    def reopen(self, number: int) -> AnnotatedObject:
        """Take an accepted object out of the labels and make it the current one, with its clicks.

        Its pixels go back to whom it took them from, as far as they are still its own; see
        :mod:`napari_ois.annotation.canvas`. Accepted again, it has the same label, over all others.
        """
        obj = self[number]
        if obj.accepted is None:
            self.select(number)
            return obj
        self._do(f"reopen {obj.name}", Change(obj, replace(obj, accepted=None)), *self._inherited(obj))
        return self[number]

    def delete(self, number: int) -> None:
        """Delete an object, and take it out of the labels if it was accepted."""
        obj = self[number]
        self._do(f"delete {obj.name}", Change(obj, None), *self._inherited(obj))

    def paint(self) -> int:
        """Write all accepted objects into labels that do not have them; gives the number of pixels."""
        return paint_all(self._objects, self._canvas())

    # -- how --------------------------------------------------------------------------------------

    def _open(self, number: int) -> AnnotatedObject:
        obj = self[number]
        if obj.accepted is not None:
            raise InputError(f"{obj.name} is accepted; reopen it first.")
        return obj

    def _inherited(self, obj: AnnotatedObject) -> list[Change]:
        return [Change(self._objects[new.number], new) for new in withdraw(obj, self._objects)]

    def _change(self, title: str, before: AnnotatedObject, after: AnnotatedObject) -> bool:
        if before == after:
            return False
        self._do(title, Change(before, after))
        return True

    def _change_parts(self, title: str, obj: AnnotatedObject, **fields: str | None) -> bool:
        parts = sorted(self.parts(obj.whole), key=lambda part: part.number != obj.number)
        changes = [Change(part, replace(part, **fields)) for part in parts]  # type: ignore[arg-type]
        changes = [change for change in changes if change.before != change.after]
        if changes:
            self._do(title, *changes)
        return bool(changes)


def _settled(obj: AnnotatedObject) -> AnnotatedObject:
    """What the user has changed is no longer a neighbour's."""
    return obj if obj.part is None else replace(obj, part=replace(obj.part, settled=True))
