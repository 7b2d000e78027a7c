"""Undo and redo go back and forth over everything, a group at a time, and say what they will do."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.annotation import ArrayCanvas, Clicks, Document, PlaneKey
from napari_ois.annotation.commands import Command
from napari_ois.errors import InputError

PLANE = PlaneKey()


@pytest.fixture
def document():
    return Document(ArrayCanvas(np.zeros((24, 30), np.int32)))


def test_buttons_say_what_they_undo(document, disk) -> None:
    history = document.history
    said = []

    def note() -> None:
        said.append(history.undo_text)

    document.start(PLANE)
    two = Clicks().added(1, 1).added(2, 2, positive=False)
    for clicks in (two.first(1), two, two.moved(0, 5, 5), two.moved(0, 5, 5).removed(0), Clicks(), two):
        document.set_clicks(1, clicks)
        note()
    document.rename(1, "cell")
    note()
    document.recolor(1, "#00ff00")
    note()
    document.accept(1, disk(5, 5, 3))
    note()
    document.reopen(1)
    note()
    document.delete(1)
    note()
    assert said == [
        "Undo add click to object 1",
        "Undo add negative click to object 1",
        "Undo move click of object 1",
        "Undo delete click of object 1",
        "Undo clear clicks of object 1",
        "Undo change clicks of object 1",
        "Undo rename object 1 to cell",
        "Undo recolour cell",
        "Undo accept cell",
        "Undo reopen cell",
        "Undo delete cell",
    ]
    assert history.redo_text is None
    document.undo()
    assert history.redo_text == "Redo delete cell"


def test_what_changes_nothing_is_no_step(document) -> None:
    document.start(PLANE)
    assert not document.set_clicks(1, Clicks())
    assert not document.rename(1, "object 1")
    assert len(document.history.done) == 1


def test_undo_goes_across_objects_and_to_the_one_it_is_about(document) -> None:
    document.start(PLANE)
    document.set_clicks(1, Clicks().added(1, 1))
    document.start(PLANE)
    document.undo()
    assert len(document) == 1
    document.undo()
    assert document.current.number == 1
    assert document[1].clicks == Clicks()
    document.redo()
    document.redo()
    assert len(document[1].clicks) == 1
    assert document.current.number == 2


def test_something_new_ends_redo(document) -> None:
    document.start(PLANE)
    document.undo()
    document.start(PLANE)
    assert document.redo() == ()
    assert document.objects[0].number == 2  # a number is never given twice


def test_what_is_done_to_many_is_told_once(document, disk) -> None:
    told = []
    document.connect(told.append)
    with pytest.raises(InputError), document.told_once():
        for column in (6, 20):
            document.accept(document.start(PLANE).number, disk(12, column, 4))
        assert not told
        document.accept(99, np.ones((24, 30), bool))
    (happened,) = told  # of what was done before the error too
    assert (
        happened.kind == "do"
        and happened.numbers == {1, 2}
        and happened.written == (document.canvas.arrays["labels"] > 0).sum()
    )
    assert len(happened.commands) == 4 == len(document.undo())
    with document.told_once():
        document.select(None)
    assert [one.kind for one in told] == ["do", "undo"]


def test_a_group_is_one_step_and_neighbouring_groups_are_two(document) -> None:
    document.start(PLANE)
    for _ in range(2):
        with document.group(), document.group():
            for place in range(3):
                document.set_clicks(1, document[1].clicks.added(place, place))
    assert len(document[1].clicks) == 6
    assert len(document.undo()) == 3
    assert len(document[1].clicks) == 3
    document.undo()
    assert len(document[1].clicks) == 0
    document.redo()
    document.redo()
    assert [c.row for c in document[1].clicks] == [0, 1, 2, 0, 1, 2]


def test_a_command_s_json_is_small_and_must_fit(document) -> None:
    document.start(PLANE)
    document.set_clicks(1, Clicks().added(1, 1))
    record = document.history.done[-1].to_record()
    assert record["changes"] == [{"number": 1, "set": {"clicks": [[], [[1.0, 1.0, 1]]]}}]
    with pytest.raises(InputError, match="not there"):
        Command.from_record(record, {})
    with pytest.raises(InputError, match="does not fit"):
        Command.from_record(record, {1: document[1]})
    with pytest.raises(InputError, match="damaged"):
        Command.from_record({"title": "x"}, {})
