"""One rule: what the user can do about embedding ahead; each verb is a button and a palette command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer

from napari_ois._napari.ahead import Ahead
from napari_ois._napari.stack_verbs import StackVerbs
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from napari_ois._napari.session import Session
    from napari_ois._napari.worker import Embedded


class AheadVerbs(StackVerbs):
    """The part of the widget that embeds planes before they are asked for."""

    _ahead: Ahead | None = None

    @property
    def ahead(self) -> Ahead:
        """What embeds planes ahead; made when first asked for, as are the widget's panels."""
        if self._ahead is None:
            self._ahead = Ahead()
            self._ahead.failed.connect(lambda error: show_warning(str(error)))
            self.embedded.connect(self._embed_ahead)  # type: ignore[attr-defined]
            self.ended.connect(lambda: QTimer.singleShot(0, self._check_ahead))  # type: ignore[attr-defined]
        return self._ahead

    def _check_ahead(self) -> None:
        """Go on when another plane of the same image was begun; by now the next session is there, if one is."""
        if self._ahead is not None and (self.session is None or not self._ahead.is_for(self.session, self.worker)):
            self._ahead.cancel()

    def precompute_stack(self) -> None:
        """Embed all planes of the image, so that Start on any of them is at once."""
        self._do(self._precompute)

    def cancel_precompute(self) -> None:
        """Embed no further plane; what is done is kept."""
        self.ahead.cancel()

    def _precompute(self, session: Session) -> None:
        if self.worker is None:
            raise InputError("The model is gone; press Start again.")
        self.ahead.stack(session, self.worker)

    def _embed_ahead(self, result: Embedded) -> None:
        if self.session is not None and self.worker is not None:
            self.ahead.on_embedded(self.session, self.worker, result)
