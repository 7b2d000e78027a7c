"""One rule: what the panel of sources does, the palette can do too; the verbs find the panel."""

from __future__ import annotations

from napari_ois._napari.order_panel import OrderPanel
from napari_ois._napari.session_verbs import SessionVerbs


class OrderVerbs(SessionVerbs):
    """The part of the widget that says where order comes from."""

    @property
    def order_panel(self) -> OrderPanel:
        """The panel with the choices."""
        panel: OrderPanel = self.findChild(OrderPanel)
        return panel

    def preview_order(self) -> None:
        """Compute the source of order chosen, and show it."""
        self.order_panel.preview()

    def use_order(self) -> None:
        """Let the source of order chosen guide the mask; without a session, or for a stack, one is begun."""
        self.order_panel.use()

    def cancel_order(self) -> None:
        """Stop computing the source of order."""
        self.order_panel.cancel()
