"""One rule: where one document takes the place of another, no object of either is lost unless the user said so.

The labels are first cleared of the old document's objects, so that both can use the same ids; what is carried
over then gets new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ois.annotation import Document, PackedMask
from napari_ois.annotation.objects import Part
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from napari_ois.annotation import AnnotatedObject


def clear_labels(document: Document) -> None:
    """Take all objects of a document that is given up out of the labels; the later ones first."""
    accepted = [(obj.accepted.turn, obj.number) for obj in document.objects if obj.accepted is not None]
    for _, number in sorted(accepted, reverse=True):
        document.delete(number)


def carry_over(objects: tuple[AnnotatedObject, ...], document: Document) -> int:
    """Add objects of another document on the same image, as one step of the history.

    One that cannot be accepted again, mostly since all its pixels are others' here, is left open with its clicks.

    Parameters
    ----------
    objects : tuple of AnnotatedObject
        As they were before :func:`clear_labels`.
    document : Document

    Returns
    -------
    int
        How many of those that were accepted are open now.
    """
    left = 0
    wholes: dict[int, int] = {}  # of objects through a stack: who they are here
    labels: dict[int, int] = {}
    with document.group():
        for obj in sorted(objects, key=_turn):
            part = None
            if obj.whole in wholes:  # the first one carried is where it begins, whichever it was
                part = Part(wholes[obj.whole], settled=obj.part is None or obj.part.settled)
            new = document.start(
                obj.plane,
                name=obj.name,
                color=obj.color,
                clicks=obj.clicks,
                seed=obj.seed,
                settings=obj.settings,
                label=labels.get(obj.whole),
                part=part,
            )
            wholes.setdefault(obj.whole, new.number)
            if obj.edits is not None:
                document.paint_edit(new.number, obj.edits.removed, obj.edits.added)
            accepted = obj.accepted
            if accepted is not None:
                mask: PackedMask = accepted.written | accepted.denied
                try:
                    again = document.accept(
                        new.number, mask, rule=accepted.rule, target=accepted.target, score=accepted.score
                    )
                except InputError:
                    left += 1
                else:
                    labels.setdefault(obj.whole, again.label)
    return left


def _turn(obj: AnnotatedObject) -> tuple[bool, int]:
    """Accepted ones in their order, open ones last, so that one of these is the current one."""
    return (obj.accepted is None, obj.number if obj.accepted is None else obj.accepted.turn)
