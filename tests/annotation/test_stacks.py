"""An object through a stack has one label and is one step of the history, and is written down whole."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_ois.annotation import ArrayCanvas, Clicks, Document, ImageSignature, Journal, PlaneKey, StackSlice, recover
from napari_ois.annotation.features import features
from napari_ois.annotation.objects import Part
from napari_ois.annotation.records import object_from_record, object_record
from napari_ois.annotation.stacks import FROM_NEIGHBOUR, neighbour_seed
from napari_ois.errors import InputError

DEPTH, SHAPE = 6, (24, 30)


def plane(z: int) -> PlaneKey:
    return PlaneKey((1, 2), (z, 0, 0))


@pytest.fixture
def document() -> Document:
    return Document(ArrayCanvas(np.zeros((DEPTH, *SHAPE), np.int32)))


@pytest.fixture
def slices(disk) -> list[StackSlice]:
    """A disk that wanders through slices 1 to 4; the object was clicked on in slice 2."""
    masks = {z: disk(10, 6 + 3 * z, 4) for z in range(1, 5)}
    clicks = {z: Clicks().added(10, 6 + 3 * z) for z in masks}
    before = {1: masks[2], 2: None, 3: masks[2], 4: masks[3]}
    return [StackSlice(plane(z), masks[z], clicks[z], before[z], 0.9 - z / 10) for z in masks]


@pytest.fixture
def begun(document) -> int:
    return document.start(plane(2), name="nerve", color="#ff0000", clicks=Clicks().added(10, 12)).number


def labels(document: Document) -> np.ndarray:
    return document.canvas.arrays["labels"]


def wanted(slices: list[StackSlice], label: int = 1) -> np.ndarray:
    full = np.zeros((DEPTH, *SHAPE), np.int32)
    for one in slices:
        full[one.plane.index[0]][one.mask] = label
    return full


def test_one_label_through_the_stack_and_one_step(document, begun, slices) -> None:
    done = document.accept_stack(begun, slices)
    np.testing.assert_array_equal(labels(document), wanted(slices))
    assert {accepted.label for accepted in done.values()} == {1}
    assert [part.plane.index[0] for part in document.parts(begun)] == [2, 1, 3, 4]
    assert [part.part for part in document.parts(begun)] == [None, *[Part(begun, settled=False)] * 3]
    assert document.history.undo_text == "Undo accept nerve on 4 slices"
    (command,) = document.undo()
    assert len(command.changes) == 4
    assert not labels(document).any()
    assert len(document) == 1 and document.current.number == begun and document.current.accepted is None
    document.redo()
    np.testing.assert_array_equal(labels(document), wanted(slices))


def test_a_part_that_was_accepted_alone_has_the_id_of_the_whole(document, begun, slices, disk) -> None:
    """And the whole has the part's, where that was there first."""
    alone = document.start_part(begun, plane(4), clicks=Clicks().added(10, 18)).number
    label = document.accept(alone, disk(10, 18, 4)).label
    document.start(plane(0))
    document.accept(document.current.number, disk(10, 20, 3))  # somebody else's id lies between
    done = document.accept_stack(begun, [one for one in slices if one.plane != plane(4)])
    assert {accepted.label for accepted in done.values()} == {label}
    assert {part.label for part in document.parts(begun)} == {label}


def test_each_part_says_what_it_came_from(document, begun, slices) -> None:
    document.accept_stack(begun, slices)
    part = next(part for part in document.parts(begun) if part.plane == plane(4))
    np.testing.assert_array_equal(part.seed.mask.unpack(), slices[2].mask)
    assert part.seed.source == FROM_NEIGHBOUR and part.clicks == slices[3].clicks
    assert (part.name, part.color, part.accepted.score) == ("nerve", "#ff0000", pytest.approx(0.5))


def test_others_keep_their_pixels_or_are_overwritten(document, begun, slices, disk) -> None:
    labels(document)[3] = 7  # all of this slice is somebody's
    labels(document)[1, :10] = 8
    assert document.stack_overlap(begun, slices).taken == {7: 49, 8: 20}
    done = document.accept_stack(begun, slices)
    assert set(done) == {plane(1), plane(2), plane(4)}
    assert (labels(document)[3] == 7).all() and (labels(document)[1, :10] == 8).all()
    assert set(np.unique(labels(document)[2])) == {0, 9}
    document.undo()
    document.accept_stack(begun, slices, rule="overwrite")
    assert (labels(document) == 9).sum() == sum(one.mask.sum() for one in slices)
    document.undo()
    assert (labels(document)[3] == 7).all() and (labels(document)[1, :10] == 8).all()


def test_where_nothing_can_be_written_nothing_happens(document, begun, slices) -> None:
    document.accept_stack(begun, slices)
    labels(document)[labels(document) == 0] = 5
    shown, steps = labels(document).copy(), len(document.history.done)
    shifted = [StackSlice(one.plane, np.roll(one.mask, 12, axis=0), one.clicks, one.seed) for one in slices]
    with pytest.raises(InputError, match="belongs to another"):
        document.accept_stack(begun, shifted)
    np.testing.assert_array_equal(labels(document), shown)
    assert len(document.history.done) == steps
    with pytest.raises(InputError, match="propagate it first"):
        document.accept_stack(begun, [])
    with pytest.raises(InputError, match="no object 9"):
        document.accept_stack(9, slices)


def test_accepted_again_only_what_is_given_is_written_anew(document, begun, slices, disk) -> None:
    document.accept_stack(begun, slices)
    first = labels(document).copy()
    other = StackSlice(plane(3), disk(15, 15, 3), Clicks().added(15, 15), slices[1].mask, 0.8)
    document.accept_stack(begun, [other])
    assert (labels(document)[3] == 1).sum() == other.mask.sum()
    np.testing.assert_array_equal(labels(document)[[1, 2, 4]], first[[1, 2, 4]])
    document.undo()
    np.testing.assert_array_equal(labels(document), first)


def test_a_part_that_the_user_changes_is_settled(document, begun, slices) -> None:
    document.accept_stack(begun, slices)
    part = document.with_label(1, plane=plane(4))
    document.reopen(part.number)
    assert not labels(document)[4].any() and labels(document)[3].any()
    document.set_clicks(part.number, part.clicks.added(3, 3, positive=False))
    assert document[part.number].part == Part(begun, settled=True)
    painted = document.with_label(1, plane=plane(1)).number
    document.reopen(painted)
    document.paint_edit(painted, np.zeros(SHAPE), np.eye(*SHAPE))
    assert document[painted].part.settled
    document.accept(part.number, slices[3].mask)
    assert labels(document)[4].max() == 1


def test_a_settled_part_is_begun_on_its_plane(document, begun, slices) -> None:
    part = document.start_part(begun, plane(3), clicks=slices[2].clicks, seed=neighbour_seed(slices[1].mask))
    assert document.current == part and part.part == Part(begun) and part.name == "nerve"
    with pytest.raises(InputError, match="on this plane already"):
        document.start_part(begun, plane(3))
    document.accept_stack(begun, slices)
    assert document[part.number].accepted.label == 1 and document[part.number].part.settled


def test_names_colours_and_deletion_are_of_the_whole(document, begun, slices) -> None:
    document.accept_stack(begun, slices)
    document.rename(document.parts(begun)[2].number, "vein")
    document.recolor(begun, "#00ff00")
    assert {(part.name, part.color) for part in document.parts(begun)} == {("vein", "#00ff00")}
    document.undo()
    document.undo()
    assert {(part.name, part.color) for part in document.parts(begun)} == {("nerve", "#ff0000")}
    document.delete_stack(begun)
    assert len(document) == 0 and not labels(document).any()
    document.undo()
    np.testing.assert_array_equal(labels(document), wanted(slices))


def test_the_table_has_one_row_and_counts_the_user_s_clicks(document, begun, slices) -> None:
    document.accept_stack(begun, slices)
    table = features(document.objects, pixel_size=(2, 0.5, 0.5), unit="mm")
    assert table["index"] == [1] and table["clicks"] == [1]
    assert table["area_px"] == [int((labels(document) == 1).sum())]
    assert table["area"] == [table["area_px"][0] * 0.25]


def test_it_is_one_line_of_the_journal_and_comes_back_whole(document, begun, slices, tmp_path) -> None:
    journal = Journal(ImageSignature.of(labels(document)), tmp_path)
    journal.attach(document)
    lines = len(journal.path.read_text().splitlines())
    document.accept_stack(begun, slices)
    after = journal.path.read_text().splitlines()
    assert len(after) == lines + 1 and len(json.loads(after[-1])["do"]["changes"]) == 4
    journal.close()
    again = Document(ArrayCanvas(np.zeros((DEPTH, *SHAPE), np.int32)))
    recover(journal.path, again)
    again.paint()
    assert again.objects == document.objects
    np.testing.assert_array_equal(labels(again), labels(document))
    again.undo()
    assert not labels(again).any()


def test_a_part_is_the_same_from_json(document, begun, slices) -> None:
    document.accept_stack(begun, slices)
    for obj in document.objects:
        assert object_from_record(json.loads(json.dumps(object_record(obj)))) == obj
    old = object_record(document[begun])
    del old["part"]  # as written before there were parts
    assert object_from_record(old) == document[begun]
