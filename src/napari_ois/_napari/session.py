"""One rule: a session is one image plane from Start to its end, and the clicks layer is its only truth.

Whatever changes that layer - a click, a drag, the Delete key, a script - the session reads it anew;
if the list of clicks is another one, it asks the worker. Nothing else starts a prediction, so
nothing can feed back.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari.chores import Chores
from napari_ois._napari.layers import SessionLayers
from napari_ois._napari.plane import displayed_plane, image_array, image_shape, same_place
from napari_ois.annotation import Clicks, NewObject, new_object
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_ois._napari.worker import Answer, Embedded, InferenceWorker, Inspected

DONE = ("added", "removed", "changed")  # napari also announces each of them before it is done


class Session(QObject):
    """Joins the layers of one plane with the worker.

    Parameters
    ----------
    viewer : napari.Viewer
    image : Image
    worker : InferenceWorker
    model, device : str
        As chosen by the user.
    keys : dict of str to callable
        Single keys, bound to the clicks layer for as long as the session lasts.

    Raises
    ------
    InputError
        If the viewer does not show a plane of the image; nothing was made.

    Signals
    -------
    status(str)
        What to do next.
    embedded(Embedded), answered(Answer), inspected(Inspected)
        What the worker gave, after the layers were brought up to date.
    emptied()
        There is nothing to see: no click is positive.
    accepted(Labels)
        An object was written into this layer.
    ended(str)
        The session is over; why, or an empty string.
    """

    embedded = Signal(object)
    answered = Signal(object)
    inspected = Signal(object)
    emptied = Signal()
    accepted = Signal(object)
    status = Signal(str)
    ended = Signal(str)

    def __init__(
        self,
        viewer: napari.Viewer,
        image: Image,
        worker: InferenceWorker,
        *,
        model: str,
        device: str,
        keys: dict[str, Callable[[], None]],
    ) -> None:
        super().__init__()
        self.image = image
        self.plane = displayed_plane(viewer, image)
        self.clicks = Clicks()
        self._chores = Chores(self)
        self.layers = SessionLayers(viewer, image, self.plane, later=self._chores.add)
        self.active = True
        self._viewer = viewer
        self._worker = worker
        self._keys = keys
        self._answer: Answer | None = None  # the newest, of the clicks on the screen
        self._strength = 1.0  # of order, in the mask on the screen
        self._accept_into: list[Labels | None] = []  # the target of an Accept that waits for its mask
        self._restoring = False
        for key, action in keys.items():
            self.layers.clicks.bind_key(key, partial(_press, action), overwrite=True)
        self.layers.clicks.events.data.connect(self._on_data)
        self.layers.clicks.events.features.connect(self._on_features)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        worker.embedded.connect(self._on_embedded)
        worker.answered.connect(self._on_answered)
        worker.inspected.connect(self._on_inspected)
        self._worker.embed(model, device, partial(self.plane.view, image_array(image)))

    # -- verbs ------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Take all clicks and the preview away; accepted objects stay."""
        self._accept_into.clear()
        self._worker.drop_clicks()
        self.clicks = Clicks()
        self.layers.write_clicks(self.clicks)
        self.layers.clear_results()
        self.emptied.emit()
        self.status.emit("Click on an object.")

    def undo(self) -> None:
        """Take the newest click away."""
        if len(self.clicks):
            self.layers.write_clicks(self.clicks.removed())
            self._read()

    def accept(self, target: Labels | None) -> None:
        """Write the object on the screen into a Labels layer with a new id, and start the next one.

        Where the newest click is not answered yet, this happens as soon as it is.

        Parameters
        ----------
        target : Labels or None
            None makes a layer for the whole image.

        Raises
        ------
        InputError
            If there is no object, no pixel of it is free, or the target does not lie on the image.
        """
        if self._worker.busy and self.clicks.has_positive:
            self._accept_into = [target]
            self.status.emit("Accepted as soon as the last click is answered.")
            return
        mask = self.layers.shown_mask()
        layer = target
        if layer is None:
            new_object(np.zeros(mask.shape, np.int32), mask)  # no empty layer for an empty mask
            layer = self._make_objects()
        elif image_shape(self.image) != tuple(layer.data.shape) or not same_place(layer, self.image):
            raise InputError(
                f'"{layer.name}" does not lie on "{self.image.name}" pixel by pixel: choose another layer '
                "for the objects, or a new one."
            )
        written = self._write(layer, mask)
        self.clear()
        kept = f", {written.kept} pixels stay with older objects" if written.kept else ""
        self.status.emit(f'Object {written.label} is in "{layer.name}"{kept}. Click on the next one.')
        self.accepted.emit(layer)

    def inspect(self, strength: float = 1.0) -> bool:
        """Ask what order does to the mask on the screen; :attr:`inspected` tells.

        Parameters
        ----------
        strength : float
            Of order; where it is not 1, the mask follows it.

        Returns
        -------
        bool
            False where there is no mask yet.
        """
        if self._answer is None or self._answer.clicks != self.clicks:
            return False
        self._worker.inspect(self._answer, strength)
        return True

    def set_polarity(self, positive: bool) -> None:
        """Say what the next click will be."""
        self.layers.set_polarity(positive)

    def end(self, reason: str = "", *, remove_layers: bool = True) -> None:
        """Release keys, events and layers; accepted objects, and clicks if there are any, stay.

        Parameters
        ----------
        reason : str
            For the user.
        remove_layers : bool
            False where the viewer itself is going away, and nobody listens any more.
        """
        if not self.active:
            return
        self.active = False
        self._chores.drop()
        self._accept_into.clear()
        clicks = self.layers.clicks
        clicks.events.data.disconnect(self._on_data)
        clicks.events.features.disconnect(self._on_features)
        self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        self._worker.drop_clicks()
        for key in self._keys:
            clicks.bind_key(key, None, overwrite=True)
        self.layers.unbind()
        if remove_layers:
            self.layers.remove()
            self.ended.emit(reason)

    # -- clicks -----------------------------------------------------------------------------------

    def _on_data(self, event: Any) -> None:
        if str(getattr(event.action, "value", event.action)) in DONE:
            self._read()

    def _on_features(self, event: Any) -> None:
        self._read()

    def _read(self) -> None:
        """Compare the clicks layer with the clicks known, and ask for an answer if they differ."""
        read = self.layers.read_clicks()
        if read is None or self._restoring:
            return
        clicks, inside = read
        if clicks == self.clicks:
            return
        if self._viewer.dims.ndisplay == 3:
            self._restore("Clicks need the 2D view: press the 2D/3D button (Ctrl+Y) and click again.")
        elif not inside:
            self._restore(
                f'That click is outside the plane of "{self.image.name}" and was taken back: click on the '
                "image, or press Start to work on the plane shown."
            )
        else:
            self._ask(clicks)

    def _ask(self, clicks: Clicks) -> None:
        self.clicks = clicks
        self.layers.draw_symbols()
        if clicks.has_positive:
            self._worker.answer(clicks)
            return
        self._worker.drop_clicks()
        self.layers.clear_results()
        self.emptied.emit()
        if len(clicks):
            text = "Only negative clicks so far: add a positive click on the object."
            show_info(text)
            self.status.emit(text)
        else:
            self.status.emit("Click on an object.")

    def _restore(self, message: str) -> None:
        """Put the clicks layer back, once napari has finished with the change that it is in."""
        self._restoring = True
        QTimer.singleShot(0, self._restore_now)
        show_warning(message)

    def _restore_now(self) -> None:
        self._restoring = False
        if self.active:
            self.layers.write_clicks(self.clicks)

    # -- answers ----------------------------------------------------------------------------------

    def _on_embedded(self, result: Embedded) -> None:
        if not self.active:  # Qt may be half gone by then: slots are muted, not disconnected
            return
        self.layers.show_depth(result.depth)
        if not len(self.clicks):
            self.status.emit("Click on an object.")
        self._chores.add(partial(self.embedded.emit, result))

    def _on_answered(self, answer: Answer) -> None:
        if not self.active:
            return
        self._answer, self._strength = answer, 1.0
        self.layers.show_mask(answer.prediction.mask)
        self.layers.show_orders(answer.order_positive, answer.order_negative)
        if not answer.prediction.mask.any():
            self.status.emit("The mask is empty: add a positive click, or move one.")
        elif not self._accept_into:
            self.status.emit("Add clicks where the mask is wrong, or accept it.")
        if self._accept_into:
            target = self._accept_into.pop()
            try:
                self.accept(target)
            except InputError as error:
                show_warning(str(error))
        self._chores.add(partial(self.answered.emit, answer))

    def _on_inspected(self, result: Inspected) -> None:
        if not self.active or result.clicks != self.clicks:
            return
        strength = result.inspection.strength
        if strength != self._strength and self._answer is not None:
            # At 1 it is the answer itself; and a mask that is there already may bear the user's own strokes.
            seen = self._answer.prediction if strength == 1 else result.inspection.prediction
            self.layers.show_mask(seen.mask)
        self._strength = strength
        self.inspected.emit(result)

    # -- what happens around it -------------------------------------------------------------------

    def _on_layer_removed(self, event: Any) -> None:
        # Ended later: napari may be in the middle of removing several layers.
        if event.value == self.image:
            text = f'"{self.image.name}" was deleted, so its session ended. Choose an image and press Start.'
        elif event.value == self.layers.clicks:
            text = "The clicks layer was deleted, so the session ended. Press Start to begin again."
        else:
            return
        QTimer.singleShot(0, partial(self._lost, text))

    def _lost(self, text: str) -> None:
        if self.active:
            show_warning(text)
            self.end(text)

    def _on_ndisplay(self, event: Any) -> None:
        if self._viewer.dims.ndisplay == 3:
            show_warning("Clicks need the 2D view: press the 2D/3D button (Ctrl+Y) to go on.")

    # -- objects ----------------------------------------------------------------------------------

    def _make_objects(self) -> Labels:
        image = self.image
        layer = Labels(
            np.zeros(image_shape(image), dtype=np.int32),
            name=f"{image.name} objects",
            scale=image.scale,
            translate=image.translate,
            rotate=image.rotate,
            shear=image.shear,
            affine=image.affine.affine_matrix,
            units=image.units,
            axis_labels=image.axis_labels,
        )
        self.layers.insert(layer)
        return layer

    def _write(self, layer: Labels, mask: NDArray[np.bool_]) -> NewObject:
        """Write through ``data_setitem``: only the object's box is drawn anew, and napari's undo works."""
        data = layer.data
        found = new_object(np.asarray(self.plane.view(data)), mask, highest=int(data.max()))
        layer.data_setitem(self.plane.lift_indices(*found.indices, whole=True), found.label)
        return found


def _press(action: Callable[[], None], layer: Any) -> None:
    """Call an action without the layer that napari passes to a key's function."""
    action()
