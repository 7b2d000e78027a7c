"""Preferences are kept whichever file they lie in, followed while the widget is open, and never break it."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points
from napari.utils.shortcuts import default_shortcuts
from npe2 import PluginManifest

from napari_ois._napari import preferences as preferences_module
from napari_ois._napari import settings
from napari_ois._napari.key_button import KeyButton
from napari_ois._napari.predictors import make_predictor
from napari_ois._napari.preference_panel import LABELS, PreferencePanel
from napari_ois._napari.preferences import GROUPS, FileStore, NapariStore, Preferences, open_store
from napari_ois.errors import InputError

MANIFEST = PluginManifest.from_file(str(files("napari_ois") / "napari.yaml"))
OTHER = {"device": "cpu", "input_size": 256, "key_accept": "T", "keep_journal": False, "positive_colour": "#0000ff"}


@pytest.fixture(params=["file", "napari"])
def store(request: Any, tmp_path: Path) -> Any:
    if request.param == "file":
        return FileStore(tmp_path / "deep" / "preferences.json")
    if not hasattr(pytest.importorskip("napari.settings"), "get_plugin_settings"):
        pytest.skip("this version of napari keeps no preferences of plugins")
    request.getfixturevalue("npe2pm").register(MANIFEST)
    request.getfixturevalue("plugin_settings")
    from napari.settings import get_plugin_settings

    return NapariStore(lambda: get_plugin_settings(settings.PLUGIN))


@pytest.fixture
def of_napari(request: Any, npe2pm: Any) -> Any:
    """What gives the preferences that this version of napari keeps of the plugin."""
    if not hasattr(pytest.importorskip("napari.settings"), "get_plugin_settings"):
        pytest.skip("this version of napari keeps no preferences of plugins")
    npe2pm.register(MANIFEST)
    request.getfixturevalue("plugin_settings")
    from napari.settings import get_plugin_settings

    return lambda: get_plugin_settings(settings.PLUGIN)


def test_what_is_set_after_napari_made_its_settings_anew_is_not_written_over(of_napari, tmp_path) -> None:
    import copy

    models = [of_napari()]
    store = NapariStore(lambda: models[-1])
    heard: list[str] = []
    forget = store.listen(lambda: heard.append("changed"))
    models.append(copy.deepcopy(models[0]))  # a plugin was switched off
    models[1].keys.key_accept = "T"
    assert store.load().key_accept == "T"
    store.save(key_undo="R")
    assert (models[1].keys.key_accept, models[1].keys.key_undo) == ("T", "R")
    heard.clear()
    models[1].keys.key_undo = "U"
    assert heard
    forget()
    heard.clear()
    models[1].keys.key_undo = "R"
    assert not heard


def test_the_store_of_this_version_is_opened_and_one_of_ours_where_napari_s_is_damaged(
    of_napari, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(preferences_module, "default_file", lambda: tmp_path / "preferences.json")
    assert isinstance(open_store(), NapariStore)

    def damaged(plugin: str) -> None:
        raise AssertionError

    monkeypatch.setattr("napari.settings.get_plugin_settings", damaged)
    first, second = open_store(), open_store()
    assert isinstance(first, FileStore)
    heard: list[str] = []
    first.listen(lambda: heard.append("changed"))
    second.save(device="cpu")  # in another viewer
    assert heard and first.load().device == "cpu"


def test_what_is_saved_is_there_again(store) -> None:
    assert store.load() == Preferences()
    heard: list[str] = []
    forget = store.listen(lambda: heard.append("changed"))
    assert store.save(**OTHER) == Preferences(**OTHER) == store.load()
    assert heard
    forget()
    heard.clear()
    store.save(device="auto")
    assert not heard and store.load().device == "auto" and store.load().input_size == 256


def test_what_cannot_be_used_is_refused_and_nothing_changes(store) -> None:
    store.save(device="cpu")
    for wrong in ({"device": "gpu"}, {"key_undo": "P"}, {"input_size": 7}, {"positive_colour": "red"}):
        with pytest.raises(InputError):
            store.save(precision="fp32", **wrong)
    assert store.load() == Preferences(device="cpu")


def test_only_what_differs_is_written_and_whole(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "preferences.json")
    store.save(device="cpu")
    assert json.loads((tmp_path / "preferences.json").read_text()) == {"device": "cpu"}
    assert [path.name for path in tmp_path.iterdir()] == ["preferences.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"device": "gpu", "key_undo": 3, "keep_journal": false}'])
def test_a_damaged_file_gives_what_can_be_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "preferences.json").write_text(text)
    found = FileStore(tmp_path / "preferences.json").load()
    assert found == Preferences(keep_journal="false" not in text)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        FileStore(tmp_path / "file" / "preferences.json").save(device="cpu")


def test_two_verbs_never_share_a_key() -> None:
    assert Preferences(key_accept="U").keys == settings.KEYS
    assert Preferences(key_accept="T").keys == {**settings.KEYS, "accept": "T"}


def test_the_manifest_the_form_and_the_defaults_agree() -> None:
    declared = MANIFEST.contributions.configurations or {}
    assert {group: tuple(one.properties) for group, one in declared.items()} == GROUPS
    ours = {one.name: one for one in fields(Preferences)}
    assert set(ours) == {name for names in GROUPS.values() for name in names} == set(LABELS)
    for group in declared.values():
        for name, said in group.properties.items():
            assert said.default == ours[name].default
            assert tuple(said.enum or ()) == tuple(ours[name].metadata.get("choices", ()))


def test_our_keys_are_free_in_napari_s_own_maps() -> None:
    taken = {str(key) for name, keys in default_shortcuts.items() for key in keys}
    assert not taken & set(settings.KEYS.values())
    for kind in (ViewerModel, Points, Labels, Image):
        held = {str(key) for key in kind.class_keymap}
        assert not held & set(settings.FREE_KEYS), kind
    assert not {str(key) for key in Points([[0, 0]]).keymap} & set(settings.FREE_KEYS)


def test_another_key_takes_effect_at_once_and_is_given_back(started, click, preferences) -> None:
    click(started, 20, 30)
    layer = started.session.layers.clicks
    started.set_preferences(key_accept="T")
    bound = {str(key) for key in layer.keymap}
    assert "T" in bound and settings.KEY_ACCEPT not in bound
    assert started.accept_button.text() == "Accept (T)" and "Key: T" in started.accept_button.toolTip()
    preferences.save(key_accept="R")  # from elsewhere: another window, napari's dialog
    next(action for key, action in layer.keymap.items() if str(key) == "R")(layer)
    assert len(started.session.workbook.document) == 1
    assert started.session.workbook.document.objects[0].accepted is not None
    started.shutdown()
    assert layer.keymap == {}


def test_colours_of_clicks_are_the_user_s(viewer, make, click, preferences, qtbot) -> None:
    import numpy as np

    preferences.save(positive_colour="#0000ff", device="cpu")
    viewer.add_image(np.random.default_rng(0).random((60, 80)), name="scan")
    widget = make()
    assert widget.device.value == "cpu" and "#0000ff" in widget.positive.styleSheet()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    click(widget, 20, 30)
    np.testing.assert_allclose(widget.session.layers.clicks.face_color[0], (0, 0, 1, 1))
    widget.set_preferences(positive_colour="#ff0000")
    np.testing.assert_allclose(widget.session.layers.clicks.face_color[0], (1, 0, 0, 1))


def test_the_form_saves_and_follows(started, preferences, notes) -> None:
    panel = started.findChild(PreferencePanel)
    panel.parts["device"].value = "cpu"
    assert preferences.load().device == "cpu" == started.device.value
    preferences.save(key_undo="R")
    assert panel.parts["key_undo"].value == "R"
    panel.parts["negative_colour"].native.setText("#2ca")  # on the way
    assert not notes and panel.parts["negative_colour"].value == "#2ca"
    panel.parts["negative_colour"].native.setText("#2ca25f")
    panel.parts["negative_colour"].native.editingFinished.emit()
    assert preferences.load().negative_colour == "#2ca25f" and not notes
    size = panel.parts["input_size"].native
    assert not size.keyboardTracking()
    panel.parts["journal_folder"].native.setText("~nobody-of-this-name/journals")
    panel.parts["journal_folder"].native.editingFinished.emit()
    assert "no such home folder" in notes.pop() and preferences.load().journal_folder == ""
    preferences.save(negative_colour=Preferences().negative_colour)
    panel.parts["negative_colour"].native.setText("orange")
    panel.parts["negative_colour"].native.editingFinished.emit()
    assert panel.parts["negative_colour"].value == Preferences().negative_colour
    assert "#rrggbb" in notes[-1]
    started.open_preferences()
    assert panel.isVisibleTo(started)


def test_every_key_button_has_a_tooltip_that_names_it(started) -> None:
    buttons = started.findChildren(KeyButton)
    assert {button.verb for button in buttons} == set(settings.KEYS)
    assert all(f"Key: {settings.KEYS[button.verb]}" in button.toolTip() for button in buttons)


def test_the_journal_can_be_kept_private(viewer, make, click, preferences, journals, qtbot, tmp_path) -> None:
    import numpy as np

    preferences.save(keep_journal=False)
    viewer.add_image(np.random.default_rng(0).random((60, 80)), name="scan")
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    click(widget, 20, 30)
    assert widget.session.workbook.recovery.journal is None and not journals.exists()
    widget.set_preferences(keep_journal=True, journal_folder=str(tmp_path / "mine"))
    viewer.layers.remove("scan")
    qtbot.waitUntil(lambda: widget.session is None)
    viewer.add_image(np.random.default_rng(1).random((60, 80)), name="scan")
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    click(widget, 20, 30)
    qtbot.waitUntil(lambda: any((tmp_path / "mine").rglob("*.*")))
    assert not journals.exists()


def test_precision_and_input_size_reach_the_predictor() -> None:
    predictor = make_predictor("ois-compact", "cpu", **Preferences(input_size=96, precision="fp32").model_options)
    assert predictor.precision == "fp32"
    assert max(predictor.geometry.input_shape) == 96


def test_a_quality_reaches_the_predictor_where_no_size_is_given() -> None:
    assert Preferences(quality="fast").model_options == {"input_size": "fast"}
    assert Preferences(quality="fast", input_size=96).model_options == {"input_size": 96}
    assert Preferences().model_options == {}


def test_another_precision_loads_the_model_anew(viewer, make, qtbot, monkeypatch, fake) -> None:
    import numpy as np

    made: list[dict[str, Any]] = []

    def factory(model: str, device: str, **options: Any) -> Any:
        made.append(options)
        return fake(model, device)

    monkeypatch.setattr("napari_ois._napari.holder.make_predictor", factory)
    viewer.add_image(np.random.default_rng(0).random((60, 80)), name="scan")
    widget = make(None)
    for changes in ({}, {"device": "cpu"}, {"input_size": 256}):
        widget.set_preferences(**changes)
        with qtbot.waitSignal(widget.embedded):
            widget.start()
    assert made == [{}, {}, {"input_size": 256}]


def test_the_size_of_the_cache_reaches_the_disk(monkeypatch, tmp_path: Path) -> None:
    from napari_ois._napari import predictors

    monkeypatch.setenv("NAPARI_OIS_CACHE", str(tmp_path))
    assert "cache_gb" not in Preferences().model_options
    options = Preferences(cache_gb=3).model_options
    assert options == {"cache_gb": 3}
    kept = predictors._cache(predictors.SMALL, options["cache_gb"]).store
    assert kept is not None and kept.folder == tmp_path and kept._limit == 3_000_000_000
    assert predictors._cache(predictors.SMALL, 0).store is None
    assert predictors._cache(predictors.SMALL - 1, 3).store is None
    with pytest.raises(InputError, match="from 1 to 1024, or 0"):
        Preferences(cache_gb=-1)
