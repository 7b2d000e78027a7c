"""One rule: what the user can do with an object through a stack; each verb is a button and a palette command."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer

from napari_ois._napari.acceptance import ASK
from napari_ois._napari.click_reader import nowhere
from napari_ois._napari.export_verbs import ExportVerbs
from napari_ois._napari.object_verbs import NONE_CHOSEN
from napari_ois._napari.own_label import check_not_split, own_label
from napari_ois._napari.plane import Plane, displayed_plane, image_shape, show_plane
from napari_ois._napari.session import Session
from napari_ois._napari.stack_preview import StackPreview
from napari_ois._napari.stack_work import DIRECTIONS, StackWork
from napari_ois.annotation import PlaneKey
from napari_ois.annotation.stack_answers import check_planes
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from napari_ois._napari.worker import InferenceWorker

NO_STACK = "No object is propagated yet; click on one, then press Propagate."


class StackVerbs(ExportVerbs):
    """The part of the widget that carries an object through a stack."""

    stack_changed: Any
    stack_work: StackWork | None = None
    _stack_preview: StackPreview | None = None

    @property
    def worker(self) -> InferenceWorker | None:
        """The inference thread, once there was a Start."""
        raise NotImplementedError

    def stack_axes(self) -> list[int]:
        """Axes of the session's image that are not seen and have more than one slice."""
        session = self.session
        if session is None:
            return []
        sides = enumerate(image_shape(session.image))
        return [axis for axis, side in sides if axis not in session.place.axes and side > 1]

    def propagate(self, direction: str = DIRECTIONS[0], axis: int | None = None, slices: int | None = None) -> None:
        """Carry the object at hand through the stack.

        Parameters
        ----------
        direction : str
            One of :data:`DIRECTIONS`.
        axis : int, optional
            By default the first that is not seen.
        slices : int, optional
            How far at most; by default to the ends.
        """
        self._do(lambda session: self._propagate(session, direction, axis, slices))

    def cancel_propagation(self) -> None:
        """Fill no further slice; what is filled stays."""
        if self.stack_work is not None:
            self.stack_work.cancel()

    def settle_slice(self) -> None:
        """Agree with the slice that is seen, as it is."""
        self._on_slice(lambda work, plane: work.settle(plane))

    def end_stack(self) -> None:
        """Say that the object is not on the slice that is seen, nor beyond."""
        self._on_slice(lambda work, plane: work.end_at(plane))

    def accept_stack(self, rule: str | None = None) -> None:
        """Write the object into labels on all slices, with one id and as one step.

        Parameters
        ----------
        rule : str, optional
            As :meth:`OISWidget.accept` takes it.
        """
        self.overlap_bar.dismiss()
        self._do(lambda session: self._accept_stack(session, self.target.value, rule or self.rule.value))

    def discard_stack(self) -> None:
        """Forget what was propagated; what was clicked on stays."""
        work, self.stack_work = self.stack_work, None
        if work is not None:
            work.close()
            if self.session is not None:
                self.session.beyond = nowhere
            self._viewer.dims.events.current_step.disconnect(self._show_slice)
        if self._stack_preview is not None:
            self._stack_preview.remove()
            self._stack_preview = None
        self.stack_changed.emit()

    def show_slice(self, index: int) -> None:
        """Go to a slice of the stack."""
        work = self.stack_work
        if work is not None:
            plane = work.plane_of(index)
            show_plane(self._viewer, work.image, plane.axes, plane.index)

    # -- how --------------------------------------------------------------------------------------

    def _propagate(self, session: Session, direction: str, axis: int | None, slices: int | None) -> None:
        axes = self.stack_axes()
        if not axes or (axis is not None and axis not in axes):
            raise InputError("There is no other slice to go to: this needs an image of three axes or more.")
        check_planes(session.plane.shape)
        axis = axes[0] if axis is None else axis
        current = session.document.current
        if current is None:
            raise InputError(NONE_CHOSEN)
        if session.waiting:
            raise InputError("The newest click is not answered yet; press Propagate again when it is.")
        work, worker = self.stack_work, self.worker
        known = work is not None and (work.of, work.axis) == (current.whole, axis)
        if work is None or not known or work.index_of(current.plane) is None:
            self.discard_stack()
            if worker is None:
                raise InputError("The model is gone; press Start again.")
            work = self._begin_stack(session, worker, current.whole, axis)
        work.go(direction, slices)

    def _begin_stack(self, session: Session, worker: InferenceWorker, of: int, axis: int) -> StackWork:
        self.stack_work = work = StackWork(session, worker, of, axis)
        self._stack_preview = StackPreview(self._viewer, session.image)
        work.changed.connect(self._show_slice)
        work.changed.connect(self.stack_changed)
        work.failed.connect(lambda error: show_warning(str(error)))
        session.beyond = work.click
        self._viewer.dims.events.current_step.connect(self._show_slice)
        work.book.replaced.connect(self.discard_stack)
        return work

    def _join_stack(self, session: Session | None = None) -> None:
        """A session has begun, or is over: the stack goes on with it, or ends where it is on another image."""
        work = self.stack_work
        if work is None:
            return
        if session is None:  # another may follow at once
            QTimer.singleShot(0, self._check_stack)
            return
        worker = self.worker
        if session.workbook is not work.book or worker is None:
            self.discard_stack()
            return
        session.beyond = work.click
        work.join(session, worker)

    def _check_stack(self) -> None:
        if self.session is None:
            self.discard_stack()

    def _follow_stack(self, *_: Any) -> None:
        if self.stack_work is not None:
            self.stack_work.follow()

    def _show_slice(self, event: Any = None) -> None:
        """Show what is known of the slice that the viewer is at."""
        work, preview, session = self.stack_work, self._stack_preview, self.session
        if work is None or preview is None or session is None:
            return
        try:
            plane = displayed_plane(self._viewer, work.image)
        except InputError:
            return
        mask, index = None, work.index_of(PlaneKey(plane.axes, plane.index))
        here = session.object if session.place == PlaneKey(plane.axes, plane.index) else None
        if index is not None and index in work.stack and (here is None or here.whole != work.of):
            mask = work.stack[index].mask
        preview.show(Plane(plane.shape, plane.axes, plane.index), mask)

    def _on_slice(self, verb: Any) -> None:
        def do(session: Session) -> None:
            work = self.stack_work
            if work is None:
                raise InputError(NO_STACK)
            plane = displayed_plane(self._viewer, work.image)
            verb(work, PlaneKey(plane.axes, plane.index))

        self._do(do)

    def _accept_stack(self, session: Session, target: Labels | None, rule: str) -> None:
        work = self.stack_work
        if work is None:
            raise InputError(NO_STACK)
        session.keep_strokes()
        work.follow()
        slices, canvas = work.to_accept(), work.book.canvas
        check_not_split(session.document.parts(work.of), None if target is None else canvas.name_of(target))
        layer = target
        if layer is None:
            layer = canvas.make()
            session.layers.insert(layer)
        name = canvas.adopt(layer)
        if not canvas.ready(name, partial(self._try_stack, work.of, layer, rule)):
            self._say(f'Accepted as soon as the labels of "{layer.name}" are known.')
            return
        if rule == ASK:
            overlap = session.document.stack_overlap(work.of, slices, name)
            if overlap:
                session.overlapping.emit(overlap)
                self.overlap_bar.ask(
                    self.overlap_bar.label.text(),
                    {
                        "Keep theirs": partial(self.accept_stack, "keep"),
                        "Take them": partial(self.accept_stack, "overwrite"),
                        "Cancel": self.overlap_bar.dismiss,
                    },
                )
                return
            rule = "keep"
        with own_label(session.document, session.document.parts(work.of), name):
            done = session.document.accept_stack(work.of, slices, rule=rule, target=name)
        session.document.select(None)
        self.discard_stack()
        label = next(iter(done.values())).label
        self._say(f'Object {label} is in "{layer.name}" on {len(done)} slices. Click on the next one.')
        session.accepted.emit(layer)

    def _try_stack(self, of: int, layer: Labels, rule: str) -> None:
        """The labels are known: accept the object that waited for them, if it is still the one at hand."""
        if self.session is not None and self.stack_work is not None and self.stack_work.of == of:
            self._accept_stack(self.session, layer, rule)
