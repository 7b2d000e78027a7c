"""One rule: the panel shows the preferences, and each change is saved at once; one that cannot be used is put back."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, Container, LineEdit, SpinBox
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ois._napari.preferences import Preferences

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.widget import OISWidget

LABELS = {
    "device": ("Device", "What the widget offers first; auto takes CUDA, then MPS (Apple), then the CPU."),
    "precision": ("Precision", "auto takes half precision on CUDA, else fp32. At the next Start."),
    "quality": (
        "Quality",
        "How large the network's input is: fast, balanced, or full, what the model was trained at. auto suits the "
        "device. At the next Start.",
    ),
    "input_size": (
        "Input size",
        "Longest side of the network's input in pixels, from 32; 0 is what the quality says. More is finer and "
        "slower. At the next Start.",
    ),
    "cache_gb": (
        "Cache (GB)",
        "Embeddings kept on disk, so that an image seen before opens at once; 0 keeps none. The compact model embeds "
        "too fast to need it. At the next Start.",
    ),
    "positive_colour": ("+ colour", "Of positive clicks, as #rrggbb."),
    "negative_colour": ("− colour", "Of negative clicks, as #rrggbb."),
    "key_toggle_polarity": ("Key: + or −", "Switches between positive and negative clicks."),
    "key_accept": ("Key: accept", "Writes the object into labels."),
    "key_undo": ("Key: undo", "Takes the newest step back."),
    "key_redo": ("Key: redo", "Does the step undone last again."),
    "key_clear": ("Key: clear", "Takes the object's clicks away."),
    "key_next_object": ("Key: next", "Goes to the next object."),
    "key_previous_object": ("Key: before", "Goes to the object before."),
    "key_reopen_object": ("Key: reopen", "Takes the chosen object up again."),
    "keep_journal": ("Keep a journal", "Write down what is done as it is done, so that a crash loses nothing."),
    "journal_folder": ("Journals in", "Empty for your user data folder. From the next image on."),
}
"""What the user reads of each: name and tooltip."""


class PreferencePanel(QWidget):
    """A form of all preferences.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : OISWidget
    """

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget) -> None:
        super().__init__()
        self._widget = widget
        self.parts = {one.name: _part(one) for one in fields(Preferences)}
        form = Container(widgets=list(self.parts.values()), labels=True)
        form.margins = (0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.native)
        self.show_preferences(widget.preferences)
        for name, part in self.parts.items():
            if isinstance(part, LineEdit):  # half a word is none; nor is half a number, see _part
                part.native.editingFinished.connect(partial(self._on_edited, name))
            else:
                part.changed.connect(partial(self._on_changed, name))
        widget.preferences_changed.connect(self.show_preferences)

    def show_preferences(self, preferences: Preferences) -> None:
        """Bring the form up to date; silent."""
        for name, part in self.parts.items():
            if part.value != (value := getattr(preferences, name)):
                with part.changed.blocked():
                    part.value = value

    def _on_edited(self, name: str) -> None:
        value = self.parts[name].value
        if value != getattr(self._widget.preferences, name):
            self._on_changed(name, value)

    def _on_changed(self, name: str, value: Any) -> None:
        self._widget.set_preferences(**{name: value})
        self.show_preferences(self._widget.preferences)


def _part(one: Any) -> Any:
    label, tip = LABELS[one.name]
    shown = {"name": one.name, "label": label, "tooltip": tip}
    if "choices" in one.metadata:
        return ComboBox(choices=one.metadata["choices"], **shown)
    if "range" in one.metadata:
        low, high = one.metadata["range"]
        box = SpinBox(min=low, max=high, step=one.metadata["least"], value=low, **shown)
        box.native.setKeyboardTracking(False)
        return box
    return CheckBox(value=True, **shown) if isinstance(one.default, bool) else LineEdit(**shown)
