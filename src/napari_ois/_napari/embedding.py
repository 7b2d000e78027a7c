"""One rule: the plane is embedded with the order that the object on the screen is answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ois._napari.orders import Orders
    from napari_ois._napari.worker import InferenceWorker


class Embedding:
    """What a session has had embedded.

    Parameters
    ----------
    worker : InferenceWorker
    model, device : str
    read : callable
        Gives the plane's pixels, in the worker's thread.
    orders : Orders
        Of the image.

    Attributes
    ----------
    order : str or None
        Key of the map that is used; empty for the model's own, None before the first.
    """

    def __init__(
        self, worker: InferenceWorker, model: str, device: str, read: Callable[[], Any], orders: Orders
    ) -> None:
        self.order: str | None = None
        self._worker = worker
        self._model, self._device, self._read = model, device, read
        self._orders = orders
        self._given = False  # whether the map of this order was here
        self._missed: set[str] = set()

    def need(self, order: str) -> bool:
        """Embed anew where that is for another order.

        Parameters
        ----------
        order : str
            Key of a map. Where it is not here, the user is told once, and the model's own is taken.

        Returns
        -------
        bool
            Whether it is embedded anew; what was asked before is then dropped.
        """
        depth = self._orders.depth(order)
        if order == self.order and (self._given or depth is None):
            return False
        if order and depth is None and order not in self._missed:
            self._missed.add(order)
            show_warning(
                f"The depth that this object was answered with is not here ({self._orders.statement(order)}), so the "
                'model estimates it now. Choose the same again under "Source of order", and it is used.'
            )
        self.order, self._given = order, depth is not None
        self._worker.embed(self._model, self._device, self._read, depth)
        return True
