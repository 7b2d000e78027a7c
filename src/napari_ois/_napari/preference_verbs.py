"""One rule: the widget follows the user's preferences, also while it is open; a session's keys and colours too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import Signal

from napari_ois._napari import settings
from napari_ois._napari.controls import Controls
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ois._napari.holder import Holder
    from napari_ois._napari.preferences import Preferences
    from napari_ois._napari.session import Session

PREFERENCES = "Preferences"
"""Title of the panel."""


class PreferenceVerbs(Controls):
    """The part of the widget that asks what the user prefers.

    Signals
    -------
    preferences_changed(Preferences)
        They are others now.
    """

    preferences_changed = Signal(object)
    _holder: Holder

    @property
    def session(self) -> Session | None:
        """The session that runs, if one does."""
        raise NotImplementedError

    @property
    def preferences(self) -> Preferences:
        """What the user prefers now."""
        return self._holder.preferences

    def set_preferences(self, **changes: Any) -> None:
        """Change preferences, for now and later; see :class:`napari_ois._napari.preferences.Preferences`."""
        try:
            self._holder.store.save(**changes)
        except (InputError, TypeError) as error:
            show_warning(str(error))

    def open_preferences(self) -> None:
        """Show the panel of preferences."""
        self.open_panel(PREFERENCES)

    def keys(self) -> dict[str, Callable[[], None]]:
        """What each key does, as the user wants it."""
        return {key: getattr(self, verb) for verb, key in self._holder.preferences.keys.items()}

    def _begin_preferences(self) -> None:
        device = self._holder.preferences.device
        if device in settings.DEVICES:
            self.device.value = device
        self.show_preferences(self._holder.preferences)

    def _on_preferences(self) -> None:
        before = self._holder.preferences
        now = self._holder.read_preferences()
        self.show_preferences(now)
        if now.device != before.device:
            self.device.value = now.device
        session = self.session
        if session is not None:
            session.bind(self.keys())
            session.layers.set_colours(now.colours)
            if now.model_options != before.model_options:
                session.status.emit("Press Start to load the model as you want it now.")
        self.preferences_changed.emit(now)
