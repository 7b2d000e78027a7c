"""Objects come and go by commands; labels follow, and come back exactly when a command is undone."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest

from napari_ois.annotation import ArrayCanvas, Clicks, Document, PlaneKey, Settings
from napari_ois.annotation.commands import Command
from napari_ois.annotation.records import object_from_record, object_record
from napari_ois.errors import InputError

PLANE = PlaneKey()


def answer(mask):
    """What a network gives that is sure of a mask."""
    return SimpleNamespace(mask=mask, probability=np.where(mask, 0.9, 0.2).astype(np.float32))


@pytest.fixture
def labels():
    return np.zeros((24, 30), np.int32)


@pytest.fixture
def document(labels):
    return Document(ArrayCanvas(labels))


def test_a_click_an_accept_and_a_reopen_go_on_with_the_clicks(document, labels, disk) -> None:
    obj = document.start(PLANE, name="cell", color="#FF8800")
    document.set_clicks(obj.number, Clicks().added(5, 5))
    written = document.accept(obj.number, disk(5, 5, 3), score=0.9)
    assert (written.label, document[1].state, document[1].color) == (1, "accepted", "#ff8800")
    np.testing.assert_array_equal(labels == 1, disk(5, 5, 3))
    with pytest.raises(InputError, match="reopen it first"):
        document.set_clicks(1, Clicks())
    reopened = document.reopen(1)
    assert not labels.any()
    assert (reopened.state, len(reopened.clicks)) == ("open", 1)
    assert document.accept(1, disk(5, 5, 4)).label == 1  # the same label again


def test_keep_leaves_and_overwrite_takes_pixels_and_gives_them_back(document, labels, disk) -> None:
    first, second, third = (document.start(PLANE).number for _ in range(3))
    document.accept(first, disk(10, 10, 5))
    kept = document.accept(second, disk(10, 14, 5))
    overlap = disk(10, 10, 5) & disk(10, 14, 5)
    assert kept.denied.area == overlap.sum() > 0
    assert (labels[overlap] == 1).all()
    asked = document.overlap(third, disk(10, 12, 5))
    before = labels.copy()
    document.accept(third, disk(10, 12, 5), rule="overwrite")
    assert (labels[disk(10, 12, 5)] == 3).all()
    assert asked.taken == {1: int((before[disk(10, 12, 5)] == 1).sum()), 2: int((before[disk(10, 12, 5)] == 2).sum())}
    document.delete(third)
    np.testing.assert_array_equal(labels, before)


def test_pixels_go_back_to_whom_they_were_taken_from_as_far_as_they_are_free(document, labels, disk) -> None:
    numbers = [document.start(PLANE).number for _ in range(3)]
    for number, column in zip(numbers, (8, 11, 14), strict=True):
        document.accept(number, disk(10, column, 5), rule="overwrite")
    document.reopen(2)
    expected = np.where(disk(10, 14, 5), 3, np.where(disk(10, 8, 5), 1, 0))
    np.testing.assert_array_equal(labels, expected)


def test_what_others_painted_is_never_touched(document, labels, disk) -> None:
    document.accept(document.start(PLANE).number, disk(10, 10, 5))
    labels[10, 10] = 77  # the user's brush
    document.undo()
    assert labels[10, 10] == 77
    assert (labels != 0).sum() == 1
    document.redo()
    assert labels[10, 10] == 77


def test_values_of_other_tools_come_back_from_under_two_objects(document, labels, disk) -> None:
    labels[disk(10, 10, 3)] = 50
    before = labels.copy()
    low, high = document.start(PLANE).number, document.start(PLANE).number
    document.accept(low, disk(10, 10, 5), rule="overwrite")
    document.accept(high, disk(10, 10, 4), rule="overwrite")
    document.delete(low)  # the upper one inherits what only the lower one knew
    document.delete(high)
    np.testing.assert_array_equal(labels, before)


def test_pixels_that_the_user_erased_go_to_the_next_object(document, labels, disk) -> None:
    document.accept(document.start(PLANE).number, disk(10, 10, 5))
    labels[disk(10, 14, 5)] = 0  # the user's eraser
    erased = labels.copy()
    second = document.start(PLANE).number
    assert document.accept(second, disk(10, 14, 5)).written.area == document.overlap(second, disk(10, 14, 5)).taken[2]
    np.testing.assert_array_equal(labels == 2, disk(10, 14, 5))
    painted = np.zeros_like(labels)
    copy = Document(ArrayCanvas(painted))
    copy.load(object_from_record(json.loads(json.dumps(object_record(obj)))) for obj in document.objects)
    copy.paint()
    np.testing.assert_array_equal(painted, labels)
    document.undo()
    np.testing.assert_array_equal(labels, erased)
    document.redo()
    third = document.start(PLANE).number
    document.accept(third, disk(10, 12, 5), rule="overwrite")
    document.delete(second)  # the third one inherits that the first one had been erased there
    document.delete(third)
    np.testing.assert_array_equal(labels, erased)


def test_a_label_of_the_same_array_is_refined_in_place(document, labels, disk) -> None:
    labels[disk(10, 10, 4)] = 6
    labels[disk(20, 20, 2)] = 9
    before = labels.copy()
    obj = document.start_from_label(PLANE, labels, 6, source="labels")
    np.testing.assert_array_equal(obj.mask(None), disk(10, 10, 4))
    assert document.accept(obj.number, disk(10, 12, 4)).label == 6
    np.testing.assert_array_equal(labels == 6, disk(10, 12, 4))
    with pytest.raises(InputError, match="reopen it instead"):
        document.start_from_label(PLANE, labels, 6, source="labels")
    document.undo()
    np.testing.assert_array_equal(labels, before)
    with pytest.raises(InputError, match="no label 4"):
        document.start_from_label(PLANE, labels, 4)


def test_brush_strokes_lie_on_any_answer_and_the_later_one_counts(document, disk) -> None:
    number = document.start(PLANE).number
    shown, painted = disk(10, 10, 4), disk(10, 10, 4) | disk(10, 20, 2)
    document.paint_edit(number, shown, painted)
    document.paint_edit(number, painted, painted & ~disk(10, 8, 2))
    other = disk(12, 10, 5)
    expected = (other | disk(10, 20, 2)) & ~(disk(10, 8, 2) & shown)
    np.testing.assert_array_equal(document[number].mask(answer(other)), expected)
    document.paint_edit(number, expected, expected & ~disk(10, 20, 2))
    assert not document[number].mask(answer(other))[10, 20]
    assert document.clear_edits(number)
    np.testing.assert_array_equal(document[number].mask(answer(other)), other)


def test_settings_are_the_object_s_own_and_can_be_undone(document, disk) -> None:
    number = document.start(PLANE, settings=Settings(order_strength=2.0)).number
    assert document.adjust(number, Settings(2.0, threshold=0.1))
    assert document[number].mask(answer(disk(5, 5, 3))).all()
    assert not document.adjust(number, Settings(2.0, threshold=0.1))
    document.undo()
    np.testing.assert_array_equal(document[number].mask(answer(disk(5, 5, 3))), disk(5, 5, 3))
    for wrong in (Settings(-1.0), Settings(float("nan")), Settings(threshold=1.5)):
        with pytest.raises(InputError, match="cannot be"):
            document.adjust(number, wrong)


def test_one_label_goes_through_a_stack_but_not_twice_on_a_plane(disk) -> None:
    labels = np.zeros((3, 24, 30), np.uint16)
    document = Document(ArrayCanvas(labels))
    planes = [PlaneKey((1, 2), (z, 0, 0)) for z in range(3)]
    document.accept(document.start(planes[0]).number, disk(5, 5, 2))
    label = document.accept(document.start(planes[1], label=1).number, disk(5, 6, 2)).label
    assert label == 1
    assert document.accept(document.start(planes[2]).number, disk(5, 6, 2)).label == 2
    with pytest.raises(InputError, match="another object of this plane"):
        document.accept(document.start(planes[0], label=1).number, disk(20, 20, 2))
    found = document.with_label(1, plane=planes[1])
    assert found is not None
    assert found.number == 2


@pytest.mark.parametrize(
    ("say", "do"),
    [
        ("no object to accept", lambda d, m: d.accept(1, np.zeros_like(m))),
        ("no overlap rule", lambda d, m: d.accept(1, m, rule="ask")),
        ("no labels named", lambda d, m: d.accept(1, m, target="cells")),
        ("shape", lambda d, m: d.accept(1, m[:5])),
        ("no object 9", lambda d, m: d.delete(9)),
        ("needs a name", lambda d, m: d.rename(1, "  ")),
        ("no colour", lambda d, m: d.recolor(1, "orange")),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(document, disk, say, do) -> None:
    document.start(PLANE)
    before = document.objects, document.history.done
    with pytest.raises(InputError, match=say):
        do(document, disk(5, 5, 3))
    assert (document.objects, document.history.done) == before


def test_no_free_pixel_no_id_and_no_labels_are_refused(disk) -> None:
    labels = np.full((24, 30), 255, np.uint8)
    document = Document(ArrayCanvas(labels))
    number = document.start(PLANE).number
    with pytest.raises(InputError, match="wider type"):
        document.accept(number, disk(5, 5, 3), rule="overwrite")
    labels[:] = 3
    with pytest.raises(InputError, match="nothing was written"):
        document.accept(number, disk(5, 5, 3))
    document.canvas = None
    with pytest.raises(InputError, match="no labels to write into"):
        document.accept(number, disk(5, 5, 3))


def test_labels_that_cannot_be_written_leave_the_document_as_it_was(document, labels, disk) -> None:
    number = document.start(PLANE).number
    labels.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        document.accept(number, disk(5, 5, 3))
    assert document[number].state == "open"
    assert len(document.history.done) == 1


def test_next_and_previous_go_round_without_reopening(document, disk) -> None:
    assert document.next() is None
    for _ in range(3):
        document.start(PLANE)
    document.accept(3, disk(5, 5, 3))
    document.delete(2)
    document.select(1)
    assert [document.next().number, document.next().number, document.previous().number] == [3, 1, 3]
    assert document.current.state == "accepted"


def test_listeners_hear_what_happened_until_they_leave(document, disk) -> None:
    heard = []
    leave = document.connect(heard.append)
    document.start(PLANE)
    document.accept(1, disk(5, 5, 3))
    document.undo()
    document.select(None)
    assert [(h.kind, h.numbers, h.written > 0) for h in heard] == [
        ("do", {1}, False),
        ("do", {1}, True),
        ("undo", {1}, True),
        ("select", set(), False),
    ]
    leave()
    document.redo()
    assert len(heard) == 4


def test_random_work_can_be_undone_step_by_step_and_goes_through_json(disk) -> None:
    for seed in range(6):
        dice = random.Random(seed)
        base = np.zeros((2, 24, 30), np.int32)
        base[1, 2:8, 2:9], base[0, 10:14, 10:20] = 5, 9
        labels = base.copy()
        document = Document(ArrayCanvas(labels))
        trail = [labels.copy()]
        for _ in range(80):
            steps = len(document.history.done)
            try:
                _do_something(document, labels, dice, disk)
            except InputError:
                assert len(document.history.done) == steps
            now = len(document.history.done)
            if now > steps:
                trail[now:] = [labels.copy()]
            np.testing.assert_array_equal(labels, trail[now])
        final = labels.copy()
        objects = {}
        for command in document.history.done:
            again = Command.from_record(json.loads(json.dumps(command.to_record())), objects)
            assert again == command
            objects = again.applied(objects)
        other = base.copy()
        copy = Document(ArrayCanvas(other))
        copy.load(objects.values())
        copy.paint()
        np.testing.assert_array_equal(other, final)
        while document.undo():
            np.testing.assert_array_equal(labels, trail[len(document.history.done)])
        while document.redo():
            pass
        np.testing.assert_array_equal(labels, final)
        for obj in document.objects:
            document.delete(obj.number)
        np.testing.assert_array_equal(labels, base)


def _do_something(document, labels, dice, disk) -> None:
    numbers = [obj.number for obj in document.objects]
    z = dice.randrange(2)
    act = dice.choice(["start", "seed", "click", "paint", "undo", "redo", "delete", "reopen", *["accept"] * 5])
    if act == "undo":
        document.undo()
    elif act == "redo":
        document.redo()
    elif act == "start" or not numbers:
        document.start(PlaneKey((1, 2), (z, 0, 0)))
    elif act == "seed":
        document.start_from_label(PlaneKey((1, 2), (z, 0, 0)), labels[z], (9, 5)[z], source="labels")
    else:
        number, mask = dice.choice(numbers), disk(dice.randrange(24), dice.randrange(30), dice.randrange(1, 9))
        {
            "click": lambda: document.set_clicks(number, document[number].clicks.added(dice.random(), 3)),
            "paint": lambda: document.paint_edit(number, disk(5, 5, 3), mask),
            "delete": lambda: document.delete(number),
            "reopen": lambda: document.reopen(number),
            "accept": lambda: document.accept(number, mask, rule=dice.choice(["keep", "overwrite"])),
        }[act]()
