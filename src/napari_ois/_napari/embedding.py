"""One rule: the plane is embedded as the object on the screen was looked at, and with the order it is answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning

from napari_ois.errors import InputError
from napari_ois.segmentation.appearance import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ois._napari.orders import Orders
    from napari_ois._napari.sight import Sight
    from napari_ois._napari.worker import InferenceWorker
    from napari_ois.annotation import Settings
    from napari_ois.segmentation.appearance import Appearance


class Embedding:
    """What a session has had embedded.

    Parameters
    ----------
    worker : InferenceWorker
    model, device : str
    sight : Sight
        Gives the plane's pixels.
    orders : Orders
        Of the image.

    Attributes
    ----------
    order : str or None
        Key of the map that is used; empty for the model's own, None before the first.
    look : Appearance or None
        What is done to the plane; None before the first.
    """

    def __init__(self, worker: InferenceWorker, model: str, device: str, sight: Sight, orders: Orders) -> None:
        self.order: str | None = None
        self.look: Appearance | None = None
        self._worker = worker
        self._model, self._device, self._sight = model, device, sight
        self._orders = orders
        self._given = False  # whether the map of this order was here
        self._seen = False  # and what this look is made of
        self._missed: set[str] = set()

    def need(self, settings: Settings) -> bool:
        """Embed anew where that is for another order or another look.

        Parameters
        ----------
        settings : Settings
            Of an object. Where its map of order is not here, the user is told once, and the model's own is taken;
            where what it was looked at is not, the image as it is seen now.

        Returns
        -------
        bool
            Whether it is embedded anew; what was asked before is then dropped.
        """
        order, look = settings.order, settings.look
        depth = self._orders.depth(order)
        try:
            reader, gone = self._sight.reader(look), ""
        except InputError as error:
            reader, gone = None, str(error)
        same = look == self.look and order == self.order
        if same and (self._given or depth is None) and (self._seen or reader is None):
            return False
        if order and depth is None and order not in self._missed:
            self._missed.add(order)
            show_warning(
                f"The depth that this object was answered with is not here ({self._orders.statement(order)}), so the "
                'model estimates it now. Choose the same again under "Source of order", and it is used.'
            )
        self.order, self._given = order, depth is not None
        self.look, self._seen = look, reader is not None
        if reader is None:
            show_warning(gone)
            reader = self._as_now()
        self._worker.embed(self._model, self._device, reader, depth)
        return True

    def _as_now(self) -> Callable[[], Any]:
        """What reads the plane as the user sees it now; where that is nothing, by itself."""
        try:
            return self._sight.reader(self._sight.appearance())
        except InputError:
            return self._sight.reader(PLAIN)
