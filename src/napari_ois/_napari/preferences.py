"""One rule: what the user prefers is read and written here, whichever file it lies in.

napari 0.9 and newer keep plugins' preferences and show them in their own dialog (the manifest's ``configurations``
declare them); for older versions they lie in a JSON file of ours. Nothing but this module knows which.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from napari_ois._napari import settings
from napari_ois.errors import InputError
from napari_ois.segmentation.quality import QUALITIES
from napari_ois.segmentation.whole_file import whole_file

LOG = logging.getLogger(__name__)

PRECISIONS = ("auto", "fp32", "half", "bf16", "fp16")
MOST_INPUT = 4096
KEPT, MOST_KEPT = 8, 1024
"""Gigabytes of embeddings on disk, by default and at most."""
GROUPS = {
    "inference": ("device", "precision", "quality", "input_size", "cache_gb"),
    "colours": ("positive_colour", "negative_colour"),
    "keys": tuple(f"key_{verb}" for verb in settings.KEYS),
    "journal": ("keep_journal", "journal_folder"),
}
"""Where each lies in napari's plugin preferences; the manifest has the same."""


def _choice(default: str, choices: tuple[str, ...]) -> Any:
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True)
class Preferences:
    """What the user prefers.

    Attributes
    ----------
    device, precision : str
        See :class:`napari_ois.Predictor`; the device is what the widget offers first.
    quality : str
        How large the network's input is, in a word; ``auto`` is what suits the device.
    input_size : int
        Its longest side in pixels, or 0 for what the quality says: more is finer and slower.
    cache_gb : int
        Gigabytes of embeddings kept on disk, of models that take long to embed; 0 keeps them in memory only.
    positive_colour, negative_colour : str
        Of clicks, ``"#rrggbb"``.
    key_... : str
        One letter a verb of the widget.
    keep_journal : bool
        Whether what is done is written down as it is done.
    journal_folder : str
        Where; empty for the user's data folder.
    """

    device: str = _choice("auto", settings.DEVICES)
    precision: str = _choice("auto", PRECISIONS)
    quality: str = _choice("auto", ("auto", *QUALITIES))
    input_size: int = field(default=0, metadata={"range": (0, MOST_INPUT), "least": 32})
    cache_gb: int = field(default=KEPT, metadata={"range": (0, MOST_KEPT), "least": 1})
    positive_colour: str = field(default=settings.COLORS[settings.POSITIVE], metadata={"colour": True})
    negative_colour: str = field(default=settings.COLORS[settings.NEGATIVE], metadata={"colour": True})
    key_toggle_polarity: str = _choice(settings.KEYS["toggle_polarity"], settings.FREE_KEYS)
    key_accept: str = _choice(settings.KEYS["accept"], settings.FREE_KEYS)
    key_undo: str = _choice(settings.KEYS["undo"], settings.FREE_KEYS)
    key_redo: str = _choice(settings.KEYS["redo"], settings.FREE_KEYS)
    key_clear: str = _choice(settings.KEYS["clear"], settings.FREE_KEYS)
    key_next_object: str = _choice(settings.KEYS["next_object"], settings.FREE_KEYS)
    key_previous_object: str = _choice(settings.KEYS["previous_object"], settings.FREE_KEYS)
    key_reopen_object: str = _choice(settings.KEYS["reopen_object"], settings.FREE_KEYS)
    keep_journal: bool = settings.JOURNAL
    journal_folder: str = ""

    def __post_init__(self) -> None:
        for one in fields(self):
            _check(one.name, getattr(self, one.name), one.metadata)

    @property
    def keys(self) -> dict[str, str]:
        """The letter of each verb; those of napari-ois where two verbs have the same."""
        keys = {verb: getattr(self, f"key_{verb}") for verb in settings.KEYS}
        return keys if len(set(keys.values())) == len(keys) else dict(settings.KEYS)

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each kind of click."""
        return {settings.POSITIVE: self.positive_colour, settings.NEGATIVE: self.negative_colour}

    @property
    def folder(self) -> Path | None:
        """Where journals lie; None for the user's data folder."""
        return Path(self.journal_folder).expanduser() if self.journal_folder.strip() else None

    @property
    def model_options(self) -> dict[str, Any]:
        """How a model is loaded: keyword arguments of :func:`make_predictor` that are not its defaults."""
        options: dict[str, Any] = {} if self.precision == "auto" else {"precision": self.precision}
        if self.cache_gb != KEPT:
            options["cache_gb"] = self.cache_gb
        if self.input_size:
            return {**options, "input_size": self.input_size}
        return options if self.quality == "auto" else {**options, "input_size": self.quality}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Preferences:
        """What can be used of any values; the rest, and what is missing, is as napari-ois has it."""
        found = cls()
        for one in fields(cls):
            if one.name in values:
                try:
                    found = replace(found, **{one.name: values[one.name]})
                except InputError as error:
                    LOG.warning("napari-ois: a preference is passed over: %s", error)
        return found


def _check(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    if name == "journal_folder":
        try:
            Path(str(value)).expanduser()
        except RuntimeError as error:
            raise InputError(f"journal_folder cannot be {value!r}: there is no such home folder.") from error
    if "choices" in limits and value not in limits["choices"]:
        raise InputError(f"{name} cannot be {value!r}; choose one of {', '.join(limits['choices'])}.")
    if "range" in limits:
        (low, high), least = limits["range"], limits["least"]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high or 0 < value < least:
            raise InputError(f"{name} cannot be {value!r}; give a whole number from {least} to {high}, or 0.")
    if "colour" in limits and not re.fullmatch("#[0-9a-fA-F]{6}", str(value)):
        raise InputError(f'{name} cannot be "{value}"; write a colour as #rrggbb, like #ff8800.')
    if name == "keep_journal" and not isinstance(value, bool):
        raise InputError(f"{name} is yes or no, not {value!r}.")
    if name == "journal_folder" and not isinstance(value, str):
        raise InputError(f"{name} is the name of a folder, not {value!r}.")


class Store(Protocol):
    """Where preferences lie."""

    def load(self) -> Preferences:
        """Read them."""

    def save(self, **changes: Any) -> Preferences:
        """Change some; InputError where a value cannot be used, and nothing is changed then."""

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have a function called after each change; gives one that ends that."""


class _Told:
    """Functions that are called after each change."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """See :class:`Store`."""
        self._listeners.append(callback)

        def forget() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)

        return forget

    def _tell(self, event: object = None) -> None:
        for callback in list(self._listeners):
            callback()


class FileStore(_Told):
    """Preferences in a JSON file of our own, written whole or not at all.

    Parameters
    ----------
    path : Path, optional
        By default in the user's configuration folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self._path = path or default_file()

    def load(self) -> Preferences:
        """See :class:`Store`; a file that is damaged counts as none, and is kept until something is saved."""
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Preferences()
        except (OSError, ValueError) as error:
            LOG.warning("napari-ois: %s cannot be read: %s", self._path, error)
            return Preferences()
        return Preferences.of(values if isinstance(values, dict) else {})

    def save(self, **changes: Any) -> Preferences:
        """See :class:`Store`."""
        new = replace(self.load(), **changes)
        values = {one.name: getattr(new, one.name) for one in fields(new) if getattr(new, one.name) != one.default}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path) as staging:
                staging.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self._path} cannot be written: {error.strerror or error}.") from error
        self._tell()
        return new


class NapariStore(_Told):
    """Preferences where napari keeps those of its plugins.

    Parameters
    ----------
    find : callable
        Gives ``napari.settings.get_plugin_settings("napari-ois")``, which writes itself down at each change. It is
        asked each time: when any plugin is switched on or off napari makes another, and the old one would write over
        what was set in that.
    """

    def __init__(self, find: Callable[[], Any]) -> None:
        super().__init__()
        self._find = find
        self._heard: Any = None  # whose changes are told of
        self._emitters: list[Any] = []

    def load(self) -> Preferences:
        """See :class:`Store`."""
        model = self._model()
        return Preferences.of({n: getattr(getattr(model, g), n) for g, names in GROUPS.items() for n in names})

    def save(self, **changes: Any) -> Preferences:
        """See :class:`Store`."""
        replace(self.load(), **changes)
        model = self._model()
        for group, names in GROUPS.items():
            for name in names:
                if name in changes:
                    setattr(getattr(model, group), name, changes[name])
        return self.load()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """See :class:`Store`."""
        ended = super().listen(callback)
        self._model()

        def forget() -> None:
            ended()
            if not self._listeners:
                self._hear(None)

        return forget

    def _model(self) -> Any:
        model = self._find()
        if self._listeners and model is not self._heard:
            self._hear(model)
        return model

    def _hear(self, model: Any) -> None:
        for emitter in self._emitters:
            emitter.disconnect(self._tell)
        fields_of = () if model is None else ((g, n) for g, names in GROUPS.items() for n in names)
        self._heard, self._emitters = model, [getattr(getattr(model, g).events, n) for g, n in fields_of]
        for emitter in self._emitters:
            emitter.connect(self._tell)


def default_file() -> Path:
    """Where our own file lies."""
    from platformdirs import user_config_path

    return user_config_path(settings.PLUGIN, appauthor=False) / "preferences.json"


_STORES: dict[Path, FileStore] = {}
"""One a file, so that each viewer of this program follows what is set in another."""


def open_store() -> Store:
    """Where preferences lie with this version of napari."""
    path = default_file()
    own = _STORES.setdefault(path, FileStore(path))
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # before 0.9
        return own
    find = partial(get_plugin_settings, settings.PLUGIN)
    try:
        find()
    except KeyError:  # napari does not know the plugin: it is used from a script, or disabled
        return own
    except Exception as error:  # its file, or another plugin's, is damaged in a way that napari does not foresee
        LOG.warning("napari-ois: the preferences that napari keeps cannot be read: %s", error)
        return own
    return NapariStore(find)
