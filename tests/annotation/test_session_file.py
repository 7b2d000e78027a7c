"""A session file gives back all that was done; what is wrong with a file is said in one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_ois.annotation import (
    ArrayCanvas,
    Clicks,
    Document,
    ImageSignature,
    PlaneKey,
    Session,
    load_session,
    save_session,
)
from napari_ois.errors import InputError

IMAGE = ImageSignature.of(np.zeros((2, 24, 30), np.uint8), "image.tif")


@pytest.fixture
def session(disk):
    labels = np.zeros((2, 24, 30), np.int32)
    labels[0][disk(8, 8, 4)] = 4
    document = Document(ArrayCanvas(labels))
    plane = PlaneKey((1, 2), (0, 0, 0))
    seeded = document.start_from_label(plane, labels[0], 4, source="labels").number
    document.paint_edit(seeded, disk(8, 8, 4), disk(8, 9, 4))
    document.accept(seeded, disk(8, 9, 4), score=0.75, rule="overwrite")
    document.start(PlaneKey((1, 2), (1, 0, 0)), name="é", color="#010203", clicks=Clicks().added(1.25, 3, False))
    return Session(
        image=IMAGE,
        objects=document.objects,
        model={"name": "ois-compact", "sha256": "ab"},
        view={"channel_axis": None},
        pixel_size=(1.0, 0.5, 0.5),
        unit="micrometer",
        extra={"from a later version": [1]},
    )


@pytest.fixture
def path(session, tmp_path):
    path = tmp_path / "session.json"
    save_session(path, session)
    return path


def test_everything_comes_back(session, path) -> None:
    again = load_session(path)
    assert again.objects == session.objects
    assert (again.image, again.model, again.view) == (session.image, session.model, session.view)
    assert (again.pixel_size, again.unit, again.extra) == (session.pixel_size, session.unit, session.extra)
    assert {"napari-ois", "numpy", "torch"} <= set(again.versions)
    assert again.saved.endswith("Z")
    save_session(path, again)
    assert load_session(path).extra == session.extra
    assert [obj.number for obj in again.accepted] == [1]


def test_a_session_makes_its_labels_again(path, disk) -> None:
    document = Document(ArrayCanvas(np.zeros((2, 24, 30), np.int32)))
    document.load(load_session(path).objects)
    document.paint()
    labels = document.canvas.arrays["labels"]
    np.testing.assert_array_equal(labels[0] == 4, disk(8, 9, 4))
    assert document.start(PlaneKey((1, 2), (0, 0, 0))).number == 3


def test_a_newer_version_may_add_keys(path) -> None:
    record = json.loads(path.read_text())
    record["objects"][0]["mood"] = "good"
    record["objects"][0]["plane"]["hue"] = 1
    path.write_text(json.dumps(record))
    assert len(load_session(path).objects) == 2


@pytest.mark.parametrize(
    ("say", "spoil"),
    [
        ("update napari-ois", lambda r: r | {"version": 2}),
        ("does not say its version", lambda r: r | {"version": "1"}),
        ("no session", lambda r: r | {"format": "other"}),
        ("no session", lambda r: [r]),
        ('"objects" must be a list', lambda r: r | {"objects": {}}),
        ("image signature", lambda r: r | {"image": None}),
        ('"model" must be', lambda r: r | {"model": []}),
        ("pixel_size", lambda r: r | {"pixel_size": "small"}),
        ("Two objects have the number 1", lambda r: r | {"objects": r["objects"][:1] * 2}),
        ('Object 1: "clicks"', lambda r: _spoiled(r, clicks=[[1, 2]])),
        ('Object 1: "clicks"', lambda r: _spoiled(r, clicks=[[1, float("nan"), 1]])),
        ("no colour", lambda r: _spoiled(r, color="red")),
        ('"accepted" cannot be read', lambda r: _spoiled(r, accepted={"label": -1})),
        ('"number" cannot be read', lambda r: _spoiled(r, number="one")),
        ('"plane" cannot be read', lambda r: _spoiled(r, plane={"axes": [5, 6], "index": [0, 0]})),
    ],
)
def test_what_is_wrong_is_said(path, say, spoil) -> None:
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=say) as caught:
        load_session(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def _spoiled(record, **changes):
    first, *others = record["objects"]
    return record | {"objects": [first | changes, *others]}


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path, session) -> None:
    with pytest.raises(InputError, match="no file"):
        load_session(tmp_path / "none.json")
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not JSON"):
        load_session(tmp_path / "x")
    with pytest.raises(InputError, match="cannot be written"):
        save_session(tmp_path / "none" / "x.json", session)


def test_what_json_cannot_hold_leaves_the_old_file(path) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError, match="as JSON"):
        save_session(path, Session(IMAGE, order={"strength": float("nan")}))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["session.json"]
