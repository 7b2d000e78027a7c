"""One rule: what the network sees is changed by these verbs, from a panel, the palette or a script."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from napari_ois._napari.preference_verbs import PreferenceVerbs
from napari_ois._napari.sight import VISIBLE, Choice
from napari_ois._napari.sight_layer import SightLayer
from napari_ois.segmentation.appearance import NETWORK, PLAIN, SEEN

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_ois._napari.session import Session

SIGHT = "What the model sees"
"""Title of the panel."""


class SightVerbs(PreferenceVerbs):
    """The part of the widget that chooses what the network sees."""

    _viewer: napari.viewer.Viewer

    def see(self, choice: Choice) -> None:
        """Let the network see the image of the session in another way; the open object is asked for again."""
        self._do(lambda session: _see(session, choice))

    def see_plain(self) -> None:
        """Let the network see the image as it would by itself."""
        self.see(Choice())

    def see_shown(self) -> None:
        """Let the network see the image as the viewer shows it: contrast limits and gamma."""
        self._do(lambda session: _see(session, replace(session.sight.choice, stretch=SEEN)))

    def see_composite(self) -> None:
        """Let the network see all visible image layers on the same place, in their colours."""
        self._do(lambda session: _see(session, replace(session.sight.choice, stretch=SEEN, source=VISIBLE)))

    @cached_property
    def sight_layer(self) -> SightLayer:
        """What the network sees, as a layer; made by whoever wants it first."""
        return SightLayer(self._viewer, self)  # type: ignore[arg-type]

    def toggle_sight(self) -> None:
        """Show what the network sees as a layer over the image, or take it away."""
        self._do(lambda session: self.sight_layer.show(not self.sight_layer.wanted))

    def _do(self, action: Callable[[Session], object]) -> None:
        raise NotImplementedError


def see_plainly(session: Session) -> None:
    """Take back what may not have been readable, so that the next Start is; what is plain stays."""
    if session.look == PLAIN:
        return
    book, obj = session.workbook, session.object
    book.sight, book.settings = Choice(), replace(book.settings, look=PLAIN)
    if obj is not None and obj.settings.look != PLAIN:
        session.document.select(None)


def _see(session: Session, choice: Choice) -> None:
    session.adjust(look=session.sight.choose(choice))
    session.workbook.sight = choice
    what = "by itself" if choice.stretch == NETWORK else "as you chose"
    session.status.emit(f"The network sees the image {what}.")
