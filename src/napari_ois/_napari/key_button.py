"""One rule: a button of a verb with a key shows that key, whichever the user has chosen."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtWidgets import QPushButton, QWidget

from napari_ois._napari import settings


class KeyButton(QPushButton):
    """A button that names its key.

    Parameters
    ----------
    text, tip : str
        Without the key.
    verb : str
        Of the widget; see :data:`napari_ois._napari.settings.KEYS`.
    """

    def __init__(self, text: str, tip: str, verb: str) -> None:
        super().__init__()
        self._text, self._tip = text, tip
        self.verb = verb
        self.show_key(settings.KEYS[verb])

    def show_key(self, key: str) -> None:
        """Name another key."""
        self._key = key
        self.setText(f"{self._text} ({key})")
        self.tell(self._tip)

    def tell(self, tip: str) -> None:
        """Say in the tooltip what it would do now."""
        self._tip = tip
        self.setToolTip(f"{tip} Key: {self._key}".lstrip())


def show_keys(widget: QWidget, keys: Mapping[str, str]) -> None:
    """Name the keys on all buttons of a widget."""
    for button in widget.findChildren(KeyButton):
        if button.verb in keys:
            button.show_key(keys[button.verb])
