"""One rule: candidates lie in a layer of their own until they are picked; what was picked says the document.

A candidate is picked where an object of the document began from its mask. So undo brings it back into the layer,
and redo takes it out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari import settings
from napari_ois.annotation import PackedMask, Seed
from napari_ois.errors import InputError
from napari_ois.segmentation.candidates import Candidate, paint_candidates

if TYPE_CHECKING:
    from napari_ois._napari.session import Session

SOURCE = "candidates"
"""What the seed of a picked object names as its source."""
STILL = 4
"""Screen pixels that a click may move without being a drag."""


class Candidates(QObject):
    """The candidates of a session's plane.

    Parameters
    ----------
    session : Session
    found : sequence of Candidate
        Numbered from 1 on in the layer and the list.

    Attributes
    ----------
    layer : Labels
        Shows those that are left; in the viewer until the session ends or :meth:`release`.

    Signals
    -------
    clicked(int)
        The user clicked on the candidate at this index.
    changed()
        Others are left, or pass the filter.
    """

    clicked = Signal(int)
    changed = Signal()

    def __init__(self, session: Session, found: Sequence[Candidate]) -> None:
        super().__init__()
        self.session = session
        self.found = list(found)
        self.left: list[int] = []
        shape = session.plane.shape
        self.masks = [PackedMask.pack_window(each.window, (each.box[0], each.box[1]), shape) for each in found]
        self._least = (0.0, 0.0)
        self._seen = np.zeros(shape, np.int32)
        self.layer = Labels(
            session.plane.lift(self._seen), name=f"{session.image.name} candidates", opacity=settings.PREVIEW_OPACITY
        )
        self.layer.mouse_drag_callbacks.append(self._on_mouse)
        session.layers.add_extra(self.layer)
        session.workbook.changed.connect(self.refresh)
        self.refresh()

    # -- read -------------------------------------------------------------------------------------

    def at(self, row: float, column: float) -> int | None:
        """Which candidate is on top at a place of the plane; None where there is none."""
        place = (round(row), round(column))
        if not all(0 <= i < side for i, side in zip(place, self._seen.shape, strict=True)):
            return None
        number = int(self._seen[place])
        return number - 1 if number else None

    def refresh(self) -> None:
        """Show those that are left: not picked, and as sure and stable as is asked for."""
        session = self.session
        if not session.active:
            return
        picked = {
            obj.seed.mask
            for obj in session.document.objects
            if obj.seed is not None and obj.seed.source == SOURCE and obj.plane == session.place
        }
        score, stability = self._least
        left = [
            index
            for index, (each, mask) in enumerate(zip(self.found, self.masks, strict=True))
            if each.score >= score and each.stability >= stability and mask not in picked
        ]
        if left == self.left:
            return
        self.left = left
        self._paint(left)
        self.changed.emit()

    # -- verbs ------------------------------------------------------------------------------------

    def filter(self, score: float, stability: float) -> None:
        """Show only those that are at least so sure and so stable."""
        self._least = (score, stability)
        self.refresh()

    def point_out(self, index: int | None) -> None:
        """Show one candidate alone, whole where others lie on it; None shows all of them again."""
        self._paint(self.left if index is None else [index])

    def activate(self) -> None:
        """Make the layer ready to be clicked on."""
        self.session.layers.activate_extra(self.layer)

    def begin(self, index: int) -> None:
        """Begin an object from a candidate, to be refined by clicks."""
        session = self.session
        session.keep_strokes()
        session.document.start(session.place, seed=self._seed(index), settings=session.settings)
        session.layers.activate()

    def accept(
        self, indices: Iterable[int], target: Labels | None, rule: str, then: Callable[[int, int], None]
    ) -> None:
        """Write candidates into labels as they are, in one step of the history.

        Parameters
        ----------
        indices : iterable of int
        target : Labels or None
            None makes a layer.
        rule : str
            ``"overwrite"``, or else pixels that others have stay theirs. Of two that overlap, the smaller one gets
            the pixels.
        then : callable
            Given how many were written, and how many had no pixel left; later, where the layer is still to be read.

        Raises
        ------
        InputError
            If the target does not lie on the image, or has not an id for each; nothing was written.
        """
        session, canvas = self.session, self.session.workbook.canvas
        chosen = list(indices)
        session.keep_strokes()
        layer = canvas.make() if target is None else target
        if target is None:
            session.layers.insert(layer)
        name = canvas.adopt(layer)
        if canvas.ready(name, partial(self.accept, chosen, layer, rule, then)) and session.active:
            self._check_ids(chosen, name, rule)
            written = self._write(chosen, name, rule)
            session.accepted.emit(layer)
            then(written, len(chosen) - written)

    def release(self) -> None:
        """Take the layer away, and listen no more."""
        self.layer.mouse_drag_callbacks.clear()
        self.session.workbook.changed.disconnect(self.refresh)
        self.session.layers.remove_extra(self.layer)

    # -- how --------------------------------------------------------------------------------------

    def _seed(self, index: int) -> Seed:
        return Seed(self.masks[index], SOURCE)  # of no label: a layer may be called as its source is

    def _paint(self, indices: list[int]) -> None:
        painted = paint_candidates([self.found[index] for index in indices], self._seen.shape)
        self._seen = np.array([0, *(index + 1 for index in indices)], np.int32)[painted]
        self.layer.data = self.session.plane.lift(self._seen)

    def _check_ids(self, indices: list[int], name: str, rule: str) -> None:
        """InputError where there are not as many ids left as candidates; found on the way, half would be written."""
        document, canvas = self.session.document, self.session.workbook.canvas
        canvas.read(name, self.session.place)  # the largest label is that of the plane read last, or of others
        wanted = sum(rule == "overwrite" or self._has_room(index, name) for index in indices)
        highest = max([canvas.highest(name), *(obj.label or 0 for obj in document.objects)])
        left = max(0, canvas.limit(name) - highest)
        if wanted > left:
            raise InputError(
                f"These labels have ids for {left} more objects, and {wanted} are to be accepted: choose labels of a "
                "wider type, or a new layer."
            )

    def _write(self, indices: list[int], name: str, rule: str) -> int:
        document, written = self.session.document, 0
        largest_first = rule == "overwrite"
        with document.told_once():  # or the viewer would be brought up to date twice for each of them
            for index in sorted(indices, key=lambda each: self.found[each].area, reverse=largest_first):
                mask = self.masks[index]
                if not largest_first and not self._has_room(index, name):
                    continue
                obj = document.start(self.session.place, seed=self._seed(index), settings=self.session.settings)
                score = self.found[index].score
                document.accept(obj.number, mask, rule="overwrite" if largest_first else "keep",
                                target=name, score=score)  # fmt: skip
                written += 1
            document.select(None)
        return written

    def _has_room(self, index: int, name: str) -> bool:
        """Whether a pixel of a candidate is nobody's."""
        top, left, bottom, right = self.found[index].box
        plane = self.session.workbook.canvas.read(name, self.session.place)
        return bool((plane[top:bottom, left:right][self.found[index].window] == 0).any())

    def _on_mouse(self, layer: Labels, event: Any) -> Iterator[None]:
        """A click, not a drag, on the layer in pan and zoom mode."""
        if layer.mode != "pan_zoom" or event.button != 1:
            return
        began = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.asarray(event.pos) - began).max() > STILL:
            return
        (place,), inside = self.session.plane.points([layer.world_to_data(event.position)])
        index = self.at(*place) if inside.all() else None
        if index is not None:
            QTimer.singleShot(0, partial(self.clicked.emit, index))  # napari is still at the click


def check_found(found: Candidates | None) -> Candidates:
    """Give the candidates; InputError where there are none."""
    if found is None or not found.session.active:
        raise InputError("There are no candidates yet; press Find candidates.")
    return found
