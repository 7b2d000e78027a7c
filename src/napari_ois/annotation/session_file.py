"""One rule: a session file holds all that is needed to make the same labels again, as JSON that people can read.

The format, ``"version": 1``::

    {
      "format": "napari-ois session", "version": 1, "saved": "2026-01-31T12:00:00Z",
      "versions": {"napari-ois": "...", "numpy": "...", "torch": "..."},
      "image": {"shape": [...], "dtype": "...", "sha256": "...", "source": "..." or null},
      "model": {"name": "...", "sha256": "...", "input_size": 512, "precision": "fp32", "device": "cpu"},
      "view": {},        how the image was made into the plane that the model saw, for example "channel_axis"
      "order": {         where the order came from, if not from the model itself
          "maps": {"key": {"statement": "...", ...}, ...}    one a depth map that objects were answered with
      },
      "pixel_size": [...] or null, "unit": "micrometer",
      "objects": [ {
          "number": 1, "name": "...", "color": "#rrggbb" or null, "label": 7 or null,
          "plane": {"axes": [1, 2], "index": [3, 0, 0]},
          "clicks": [[row, column, 1 positive or 0 negative], ...],        oldest first
          "settings": {"order_strength": 1.0, "threshold": 0.49 or null, "order": "key of a map, if not the model's",
                       "look": {...},    what was done to the image, if anything: see :class:`.Appearance`
                       "connected": true     where only parts with a positive click were kept
          },
          "seed": {"mask": M, "source": "...", "label": 4} or null,
          "edits": {"added": M, "removed": M} or null,
          "accepted": {"label": 7, "target": "labels", "rule": "keep", "turn": 2, "score": 0.93,
                       "written": M, "denied": M, "cleared": M, "ground": [[value, M], ...]} or null,
          "part": {"of": 1, "settled": false} or null        one plane of an object through a stack
      } ]
    }

with masks M in COCO's compressed form, ``{"size": [rows, columns], "counts": "..."}``. Keys of the outermost
object that are not known here are kept and written again; others are passed over. Additions do not change the
version; a file with a higher one is refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_ois.annotation.objects import AnnotatedObject
from napari_ois.annotation.records import object_from_record, object_record
from napari_ois.annotation.signature import ImageSignature
from napari_ois.errors import InputError
from napari_ois.segmentation.whole_file import whole_file

FORMAT, VERSION = "napari-ois session", 1
_KNOWN = {
    "format", "version", "saved", "versions", "image", "model", "view", "order", "pixel_size", "unit", "objects",
}  # fmt: skip


@dataclass(frozen=True)
class Session:
    """What a session file holds.

    Attributes
    ----------
    image : ImageSignature
    objects : tuple of AnnotatedObject
    model : dict
        ``name``, ``sha256`` and what else the predictor was made with.
    view : dict
        How the image was made into what the model saw.
    order : dict
        Where the order came from, if not from the model itself; its strength is each object's own.
    pixel_size : tuple of float or None
        One an axis of the image, colour not counted.
    unit : str
    versions : dict of str to str
        Of the programs that made it; filled when it is saved.
    saved : str
        When; filled when it is saved.
    extra : dict
        Keys that this version does not know.
    """

    image: ImageSignature
    objects: tuple[AnnotatedObject, ...] = ()
    model: dict[str, Any] = field(default_factory=dict)
    view: dict[str, Any] = field(default_factory=dict)
    order: dict[str, Any] = field(default_factory=dict)
    pixel_size: tuple[float, ...] | None = None
    unit: str = "pixel"
    versions: dict[str, str] = field(default_factory=dict)
    saved: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> list[AnnotatedObject]:
        """The accepted objects in the order in which they were accepted."""
        found = [(obj.accepted.turn, obj) for obj in self.objects if obj.accepted is not None]
        return [obj for _, obj in sorted(found, key=lambda pair: pair[0])]


def program_versions() -> dict[str, str]:
    """Versions of what the masks depend on; nothing is imported for it."""
    found = {}
    for name in ("napari-ois", "numpy", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def save_session(path: str | Path, session: Session) -> None:
    """Write a session, whole or not at all; the time and the versions are those of now.

    Raises
    ------
    InputError
        If the file cannot be written, or a setting is nothing that JSON can hold.
    """
    path = Path(path)
    record = {
        **session.extra,
        "format": FORMAT,
        "version": VERSION,
        "saved": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": program_versions(),
        "image": session.image.to_record(),
        "model": session.model,
        "view": session.view,
        "order": session.order,
        "pixel_size": None if session.pixel_size is None else list(session.pixel_size),
        "unit": session.unit,
        "objects": [object_record(obj) for obj in session.objects],
    }
    try:
        text = json.dumps(record, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"A setting of this session cannot be written as JSON ({error}).") from error
    try:
        with whole_file(path) as staging:
            staging.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def load_session(path: str | Path) -> Session:
    """Read a session file.

    Raises
    ------
    InputError
        If there is no such file, it is no session, it is from a later version, or something in it is damaged:
        the sentence says what.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}; check the name.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # json, or bytes that are no text
        raise InputError(f"{path} is no session of napari-ois: it is not JSON.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f"{path} is no session of napari-ois.")
    found = record.get("version")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise InputError(f"{path} does not say its version; the file is damaged.")
    if found > VERSION:
        raise InputError(f"{path} has version {found} of the session format; update napari-ois to read it.")
    try:
        return _session(record)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _session(record: dict[str, Any]) -> Session:
    objects = record.get("objects")
    if not isinstance(objects, list):
        raise InputError('"objects" must be a list.')
    found = tuple(object_from_record(one) for one in objects)
    _check_twice("number", (obj.number for obj in found))
    _check_twice("turn", (obj.accepted.turn for obj in found if obj.accepted is not None))
    size = record.get("pixel_size")
    try:
        pixel_size = None if size is None else tuple(float(side) for side in size)
    except (TypeError, ValueError) as error:
        raise InputError('"pixel_size" must be a list of numbers, or null.') from error
    return Session(
        image=ImageSignature.from_record(record.get("image")),
        objects=found,
        model=_dictionary(record, "model"),
        view=_dictionary(record, "view"),
        order=_dictionary(record, "order"),
        pixel_size=pixel_size,
        unit=str(record.get("unit", "pixel")),
        versions={str(name): str(value) for name, value in _dictionary(record, "versions").items()},
        saved=str(record.get("saved", "")),
        extra={key: value for key, value in record.items() if key not in _KNOWN},
    )


def _dictionary(record: dict[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key, {})
    if not isinstance(value, dict):
        raise InputError(f'"{key}" must be a JSON object.')
    return value


def _check_twice(name: str, values: Iterable[int]) -> None:
    seen: set[int] = set()
    for value in values:
        if value in seen:
            raise InputError(f"Two objects have the {name} {value}; the file is damaged.")
        seen.add(value)
