"""Every action is in the palette, on a button that names its key, and on a key that napari leaves free."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from napari.utils.shortcuts import default_shortcuts
from npe2 import PluginManifest

from napari_ois._napari import commands, settings
from napari_ois._napari.widget import OISWidget

KEYS = {name: value for name, value in vars(settings).items() if name.startswith("KEY_")}
MANIFEST = PluginManifest.from_file(str(files("napari_ois") / "napari.yaml"))
COMMANDS = MANIFEST.contributions.commands
ACTIONS = [c.python_name.partition(":")[2] for c in COMMANDS if c.python_name.startswith(commands.__name__)]


@pytest.fixture
def opened(window: Any, fake: Any, qtbot: Any) -> OISWidget:
    window.add_image(np.random.default_rng(0).random((60, 80)), name="scan")
    widget = OISWidget(window, fake)
    window.window.add_dock_widget(widget, name=settings.DOCK)
    with qtbot.waitSignal(widget.embedded):
        commands.start()
    yield widget
    widget.shutdown()


def test_the_palette_goes_through_a_session(opened, window, qtbot) -> None:
    def click(row: int, column: int) -> None:
        with qtbot.waitSignal(opened.answered):
            opened.session.layers.clicks.add((row, column))

    click(20, 30)
    commands.toggle_polarity()
    assert opened.negative.isChecked()
    commands.toggle_polarity()
    commands.accept()
    objects = window.layers["scan objects"].data
    assert (objects == 1).sum() == 113
    commands.undo()
    assert not objects.any()
    commands.redo()
    assert objects.any()
    commands.next_object()
    commands.reopen_object()
    assert not objects.any() and len(opened.session.clicks) == 1
    commands.clear()
    assert len(opened.session.clicks) == 0
    commands.new_object()
    assert opened.session.object is None
    commands.previous_object()
    commands.delete_object()
    assert len(opened.session.document) == 0


def test_each_command_calls_what_its_button_calls(window, fake, monkeypatch) -> None:
    called: list[str] = []
    for name in ACTIONS:
        monkeypatch.setattr(OISWidget, name, lambda self, *_, name=name, **__: called.append(name))
    widget = OISWidget(window, fake)
    window.window.add_dock_widget(widget, name=settings.DOCK)
    for name in ACTIONS:
        getattr(commands, name)()
    assert called == ACTIONS  # each its own, and once
    objects = widget.objects
    buttons = {
        "start": widget.start_button,
        "accept": widget.accept_button,
        "undo": widget.undo_button,
        "redo": widget.redo_button,
        "clear": widget.clear_button,
        "next_object": objects.next_button,
        "previous_object": objects.previous_button,
        "reopen_object": objects.reopen_button,
        "new_object": objects.new_button,
        "seed_object": objects.seed_button,
        "recolor_object": objects.colour_button,
        "delete_object": objects.delete_button,
        "save_session": widget.save_button,
        "load_session": widget.load_button,
    }
    for name, button in buttons.items():
        called.clear()
        button.setEnabled(True)
        button.click()
        assert called == [name]
    widget.shutdown()


def test_one_widget_whoever_opens_it_and_it_is_shown(window, fake, monkeypatch) -> None:
    monkeypatch.setattr("napari_ois._napari.holder.make_predictor", fake)
    assert settings.DOCK == f"{settings.WIDGET} ({MANIFEST.display_name})"  # as the menu calls it
    commands.new_object()
    (widget,) = window.window.dock_widgets.values()
    assert isinstance(widget, OISWidget) and list(window.window.dock_widgets) == [settings.DOCK]
    widget.parentWidget().hide()
    commands.open_preferences()
    assert not widget.parentWidget().isHidden() and len(window.window.dock_widgets) == 1
    widget.shutdown()


def test_without_a_viewer_a_command_does_nothing(monkeypatch) -> None:
    monkeypatch.setattr("napari.current_viewer", lambda: None)
    for name in ACTIONS:
        getattr(commands, name)()


def test_every_public_verb_is_a_command() -> None:
    verbs = {name for name in vars(commands) if not name.startswith("_") and callable(vars(commands)[name])}
    assert verbs - {"docked", "find_docked", "Callable"} == set(ACTIONS)


def test_the_keys_are_ours_alone() -> None:
    taken = {str(key) for keys in default_shortcuts.values() for key in keys}
    assert len(set(KEYS.values())) == len(KEYS) == 8
    assert set(KEYS.values()) <= set("GHJKNQUW")
    assert not taken & set(KEYS.values())


def test_each_key_is_named_by_a_button(started) -> None:
    buttons = [started.positive, started.accept_button, started.undo_button, started.redo_button, started.clear_button]
    buttons += [started.objects.next_button, started.objects.previous_button, started.objects.reopen_button]
    for key in KEYS.values():
        assert any(f"Key: {key}" in button.toolTip() and f"({key})" in button.text() for button in buttons), key
    bound = {str(key) for key in started.session.layers.clicks.keymap}
    assert bound == set(KEYS.values())
    layer = started.session.layers.clicks
    started.shutdown()
    assert layer.keymap == {}
