"""One rule: what the panel that segments everything does, the palette can do too; the verbs find the panel."""

from __future__ import annotations

from napari_ois._napari.everything_panel import EverythingPanel
from napari_ois._napari.session_verbs import SessionVerbs


class EverythingVerbs(SessionVerbs):
    """The part of the widget that looks for everything."""

    @property
    def everything_panel(self) -> EverythingPanel:
        """The panel with the candidates."""
        panel: EverythingPanel = self.findChild(EverythingPanel)
        return panel

    def find_everything(self) -> None:
        """Look for all objects on the plane of the session."""
        self._do(self.everything_panel.find)

    def cancel_everything(self) -> None:
        """Look no further."""
        self.everything_panel.cancel()

    def pick_candidates(self) -> None:
        """Make the candidates ready to be clicked on."""
        self._do(lambda session: self.everything_panel.pick())

    def accept_candidates(self) -> None:
        """Write all candidates that are shown into the labels."""
        self._do(lambda session: self.everything_panel.accept())
