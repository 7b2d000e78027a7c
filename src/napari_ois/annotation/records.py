"""One rule: every value of the document has one JSON form, the same in the journal and in a session file.

Keys that are not known are passed over, so that a later version may add some; what must be there and is not,
or is of another kind, is refused in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from napari_ois.annotation.clicks import Clicks
from napari_ois.annotation.objects import Accepted, AnnotatedObject, Edits, Part, Seed, Settings
from napari_ois.annotation.packed import PackedMask
from napari_ois.annotation.planes import PlaneKey
from napari_ois.errors import InputError
from napari_ois.segmentation.appearance import PLAIN, Appearance

Record = dict[str, Any]
Value = TypeVar("Value")

RULES = ("keep", "overwrite")
"""What happens to pixels that others have."""


def check_color(color: str | None) -> str | None:
    """Give a colour back in small letters; InputError unless it is ``"#rrggbb"`` or None."""
    if color is not None and not re.fullmatch("#[0-9a-fA-F]{6}", str(color)):
        raise InputError(f'"{color}" is no colour; write it as #rrggbb, like #ff8800.')
    return None if color is None else color.lower()


def check_rule(rule: str) -> str:
    """Give an overlap rule back; InputError if there is no such rule."""
    if rule not in RULES:
        raise InputError(f'There is no overlap rule "{rule}"; use keep or overwrite.')
    return rule


def object_record(obj: AnnotatedObject) -> Record:
    """JSON of an object; what it has not is null."""
    return {
        "number": obj.number,
        "name": obj.name,
        "color": obj.color,
        "plane": obj.plane.to_record(),
        "clicks": [[c.row, c.column, int(c.positive)] for c in obj.clicks],
        "settings": _settings_record(obj.settings),
        "seed": None if obj.seed is None else _seed_record(obj.seed),
        "edits": None if obj.edits is None else _edits_record(obj.edits),
        "label": obj.label,
        "accepted": None if obj.accepted is None else _accepted_record(obj.accepted),
        "part": None if obj.part is None else {"of": obj.part.of, "settled": obj.part.settled},
    }


def object_from_record(record: Any) -> AnnotatedObject:
    """Read an object.

    Raises
    ------
    InputError
        Naming what is missing or wrong.
    """
    if not isinstance(record, dict):
        raise InputError("An object must be a JSON object; the file is damaged.")
    number = _take(record, "number", _count)
    try:
        return AnnotatedObject(
            number=number,
            name=_take(record, "name", str),
            color=check_color(record.get("color")),
            plane=_take(record, "plane", PlaneKey.from_record),
            clicks=_take(record, "clicks", _clicks),
            settings=_maybe(record, "settings", _settings) or Settings(),
            seed=_maybe(record, "seed", _seed),
            edits=_maybe(record, "edits", _edits),
            label=_maybe(record, "label", _count),
            accepted=_maybe(record, "accepted", _accepted),
            part=_maybe(record, "part", _part),
        )
    except InputError as error:
        raise InputError(f"Object {number}: {error}") from error


def _take(record: Any, key: str, read: Callable[[Any], Value]) -> Value:
    try:
        value = record[key]
    except (KeyError, TypeError) as error:
        raise InputError(f'"{key}" is missing; the file is damaged.') from error
    try:
        return read(value)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = str(error) if isinstance(error, InputError) else "the file is damaged."
        raise InputError(f'"{key}" cannot be read: {reason}') from error


def _maybe(record: Record, key: str, read: Callable[[Any], Value]) -> Value | None:
    return None if record.get(key) is None else _take(record, key, read)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{value!r} is no count.")
    return value


def _clicks(value: Any) -> Clicks:
    if not value:
        return Clicks()
    table = np.asarray(value, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 3 or not np.isfinite(table).all():
        raise InputError("clicks must be a list of [row, column, 1 or 0].")
    return Clicks.from_arrays(table[:, :2], table[:, 2] != 0)


def check_settings(settings: Settings) -> Settings:
    """Give settings back; InputError if a number is out of range."""
    if not 0 <= settings.order_strength < float("inf"):
        raise InputError(f"The order's strength cannot be {settings.order_strength}; give 0 or more.")
    if settings.threshold is not None and not 0 <= settings.threshold <= 1:
        raise InputError(f"The threshold cannot be {settings.threshold}; give a probability between 0 and 1.")
    return settings


def _settings_record(settings: Settings) -> Record:
    record: Record = {"order_strength": settings.order_strength, "threshold": settings.threshold}
    if settings.order:
        record["order"] = settings.order
    if settings.connected:
        record["connected"] = True
    return record if settings.look.plain else {**record, "look": settings.look.to_record()}


def _settings(record: Any) -> Settings:
    strength = _maybe(record, "order_strength", float)
    order = _maybe(record, "order", str) or ""
    look = _maybe(record, "look", Appearance.from_record) or PLAIN
    threshold = _maybe(record, "threshold", float)
    connected = _maybe(record, "connected", bool) or False
    return check_settings(Settings(1.0 if strength is None else strength, threshold, order, look, connected))


def _seed_record(seed: Seed) -> Record:
    return {"mask": seed.mask.to_record(), "source": seed.source, "label": seed.label}


def _seed(record: Any) -> Seed:
    return Seed(
        _take(record, "mask", PackedMask.from_record), _take(record, "source", str), _take(record, "label", _count)
    )


def _edits_record(edits: Edits) -> Record:
    return {"added": edits.added.to_record(), "removed": edits.removed.to_record()}


def _edits(record: Any) -> Edits:
    return Edits(_take(record, "added", PackedMask.from_record), _take(record, "removed", PackedMask.from_record))


def _part(record: Any) -> Part:
    return Part(_take(record, "of", _count), _take(record, "settled", bool))


def _accepted_record(accepted: Accepted) -> Record:
    return {
        "label": accepted.label,
        "target": accepted.target,
        "rule": accepted.rule,
        "turn": accepted.turn,
        "written": accepted.written.to_record(),
        "denied": accepted.denied.to_record(),
        "cleared": accepted.cleared.to_record(),
        "ground": [[value, mask.to_record()] for value, mask in accepted.ground],
        "score": accepted.score,
    }


def _accepted(record: Any) -> Accepted:
    return Accepted(
        label=_take(record, "label", _count),
        target=_take(record, "target", str),
        rule=_take(record, "rule", check_rule),
        turn=_take(record, "turn", _count),
        written=_take(record, "written", PackedMask.from_record),
        denied=_take(record, "denied", PackedMask.from_record),
        cleared=_take(record, "cleared", PackedMask.from_record),
        ground=_take(record, "ground", lambda pairs: tuple((int(v), PackedMask.from_record(m)) for v, m in pairs)),
        score=_maybe(record, "score", float),
    )
