"""One rule: how the widget looks - its choices, buttons and lines - and nothing of what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox, Container, create_widget
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QLabel,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_ois._napari import settings
from napari_ois._napari.bar import Bar
from napari_ois._napari.key_button import KeyButton, show_keys
from napari_ois._napari.objects_panel import ObjectsPanel
from napari_ois._napari.parts import make_button, make_row, scrolled
from napari_ois._napari.preferences import Preferences
from napari_ois.annotation.history import History
from napari_ois.checkpoints import list_models

WELCOME = "Choose an image and press Start."
STATUS_LINES, MINIMUM_WIDTH = 6, 290

Choices = Callable[..., list[tuple[str, Any]]]


class Controls(QWidget):
    """The parts of the widget, from top to bottom.

    Parameters
    ----------
    images, targets : callable
        Give the layers that can be segmented, and those that objects can be written into, with their names.
    """

    def __init__(self, *, images: Choices, targets: Choices) -> None:
        super().__init__()

        self.image = create_widget(
            annotation=Image,
            name="image",
            label="Image",
            options={
                "choices": images,
                "tooltip": "The layer to click on; the plane that is shown.",
            },
        )
        self.model = _model_choice()
        self.device = ComboBox(
            name="device",
            label="Device",
            choices=settings.DEVICES,
            tooltip="auto takes CUDA, then MPS (Apple), then the CPU.",
        )
        self.target = create_widget(
            annotation=Labels,
            name="target",
            label="Objects",
            options={
                "choices": targets,
                "tooltip": "Where Accept writes; each object gets a new id.",
            },
        )
        self.rule = ComboBox(
            name="rule",
            label="Overlap",
            choices=list(settings.RULES),
            tooltip="What Accept does with pixels that other objects have.",
        )
        self.start_button = make_button("Start", "Embed the plane shown and begin to click.")
        self.positive = _polarity_button("+ Positive", settings.POSITIVE)
        self.negative = _polarity_button("− Negative", settings.NEGATIVE)
        self.undo_button = KeyButton("Undo", "", "undo")
        self.redo_button = KeyButton("Redo", "", "redo")
        self.clear_button = KeyButton("Clear", "Take the object's clicks, brush strokes and box away.", "clear")
        self.accept_button = KeyButton(
            "Accept", "Write the object with a new id; Overlap says what becomes of pixels that others have.", "accept"
        )
        self.overlap_bar, self.recovery_bar = Bar(), Bar()
        self.objects = ObjectsPanel()
        self.save_button = make_button(
            "Save session…", "Write all objects of this image, with their clicks, to a file."
        )
        self.load_button = make_button("Load session…", "Bring back the objects of a session file of this image.")
        self.panels = QVBoxLayout()
        self.progress = _busy_bar()
        self.status = _status_line()
        self._forms = [_form(self.image), _form(self.model, self.device), _form(self.target, self.rule)]
        self._lay_out()

    def enable(self, active: bool) -> None:
        """Enable what needs a session."""
        for button in (
            self.positive,
            self.negative,
            self.clear_button,
            self.accept_button,
            self.save_button,
            self.load_button,
        ):
            button.setEnabled(active)
        self.objects.enable(active)

    def show_history(self, history: History | None) -> None:
        """Say on the buttons what can be undone and redone."""
        undo = None if history is None else history.undo_text
        redo = None if history is None else history.redo_text
        for button, text, nothing in (
            (self.undo_button, undo, "Nothing to undo."),
            (self.redo_button, redo, "Nothing to redo."),
        ):
            button.setEnabled(text is not None)
            button.tell(nothing if text is None else f"{text}.")

    def show_preferences(self, preferences: Preferences) -> None:
        """Name the keys, and colour what stands for clicks, as the user wants it."""
        show_keys(self, preferences.keys)
        for button, kind in ((self.positive, settings.POSITIVE), (self.negative, settings.NEGATIVE)):
            colour = preferences.colours[kind]
            button.setStyleSheet(f"QPushButton:checked {{ background-color: {colour}; }}")

    def add_panel(self, title: str, content: QWidget) -> None:
        """Add a topic, folded away."""
        self.panels.addWidget(fold(title, content, opened=False))

    def open_panel(self, title: str) -> None:
        """Unfold a topic."""
        for part in self.findChildren(QCollapsible):
            if part.text() == title:
                part.expand(animate=False)

    def _lay_out(self) -> None:
        """Stack the parts; on a low screen they scroll, so that the window need not be as high as they are."""
        self.setMinimumWidth(MINIMUM_WIDTH)
        layout = scrolled(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        layout.addWidget(self._forms[0].native)
        layout.addWidget(fold("Model and device", self._forms[1].native, opened=False))
        layout.addWidget(self.start_button)
        layout.addWidget(self.recovery_bar)
        layout.addLayout(make_row(self.positive, self.negative))
        layout.addLayout(make_row(self.undo_button, self.redo_button, self.clear_button))
        layout.addWidget(self._forms[2].native)
        layout.addWidget(self.accept_button)
        layout.addWidget(self.overlap_bar)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addWidget(fold("List of objects", self.objects))
        layout.addLayout(self.panels)
        layout.addLayout(make_row(self.save_button, self.load_button))
        layout.addStretch(1)


def _model_choice() -> ComboBox:
    names = [info.name for info in list_models()]
    choice = ComboBox(
        name="model",
        label="Model",
        choices=names,
        tooltip="The command napari-ois models tells more of each.",
    )
    if settings.DEFAULT_MODEL in names:
        choice.value = settings.DEFAULT_MODEL
    return choice


def _polarity_button(text: str, kind: str) -> KeyButton:
    button = KeyButton(text, f"The next click is {kind}; the key switches.", "toggle_polarity")
    button.setCheckable(True)
    return button


def _busy_bar() -> QProgressBar:
    bar = QProgressBar()
    bar.setRange(0, 0)
    bar.setTextVisible(False)
    bar.setMaximumHeight(6)
    keep = bar.sizePolicy()
    keep.setRetainSizeWhenHidden(True)  # nothing below jumps
    bar.setSizePolicy(keep)
    return bar


def _status_line() -> QLabel:
    label = QLabel(WELCOME)
    label.setWordWrap(True)
    label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
    # A wrapped label asks for its height too late, and its last lines are cut: room for them beforehand.
    label.setMinimumHeight(STATUS_LINES * label.fontMetrics().lineSpacing())
    return label


def fold(title: str, content: QWidget, *, opened: bool = True) -> QCollapsible:
    """A part that can be folded away."""
    part = QCollapsible(title)
    part.setDuration(0)
    part.content().layout().setContentsMargins(0, 0, 0, 0)
    part.layout().setContentsMargins(0, 0, 0, 0)
    part.addWidget(content)
    if opened:
        part.expand(animate=False)
    return part


def _form(*parts: Any) -> Container:
    container = Container(widgets=list(parts), labels=True)
    container.margins = (0, 0, 0, 0)
    return container
