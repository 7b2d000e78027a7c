"""A table of clicks, sessions or nothing at all say what is done to which plane; what is wrong is said beforehand."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_ois.annotation import (
    ArrayCanvas,
    Clicks,
    Document,
    ImageSignature,
    PlaneKey,
    Session,
    Settings,
    save_session,
)
from napari_ois.batch.cluster import do_item
from napari_ois.batch.items import click_items, everything_items, fingerprint, session_items
from napari_ois.batch.results import DONE, THERE, Results
from napari_ois.batch.sources import list_planes
from napari_ois.batch.work import EverythingWork
from napari_ois.errors import InputError
from napari_ois.segmentation.appearance import Appearance

IMAGE = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
HEADER = "image,row,column,label,object\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", IMAGE + (name == "b"))
    return tmp_path


def table(folder, text, name="clicks.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def session_on(image, *places, name="a.tif", target="labels"):
    """A session with an object at each place (plane, row, column), made as the viewer makes it."""
    document = Document(ArrayCanvas({target: np.zeros(image.shape, np.int32)}))
    for plane, row, column in places:
        obj = document.start(plane, clicks=Clicks().added(row, column))
        mask = np.zeros(plane.shape_in(image.shape), bool)
        mask[row - 2 : row + 3, column - 2 : column + 3] = True
        document.accept(obj.number, mask, target=target)
    return Session(ImageSignature.of(image, name), document.objects)


def test_clicks_of_a_table_are_played_on_their_images(folder, squares, tmp_path):
    lines = "b.tif,5,5,1,2\na,10,10,1,1\na,20,20,1,3\na,21,21,0,3\nb,5,7,1,7\n"
    items = click_items(list_planes(folder), table(folder, HEADER + lines))
    assert [item.plane.name for item in items] == ["a", "b"]
    results = Results(tmp_path / "out")
    for item in items:
        assert do_item(item, results, lambda: squares).status == DONE
    a, b = (tifffile.imread(tmp_path / "out" / f"{name}.tif") for name in "ab")
    assert a[10, 10] == 1 and a[20, 20] == 3 and (a == 3).sum() == 25
    assert (b == 2).sum() == 25 and (b == 7).sum() == 10  # the earlier object keeps its pixels
    lines = (tmp_path / "out" / "a.csv").read_text().splitlines()
    assert lines == ["index,area_px,score,clicks", "1,25,0.75,1", "3,25,0.75,2"]


def test_planes_are_named_by_their_name_or_their_index(tmp_path, make_zarr):
    planes = list_planes(make_zarr(tmp_path / "s.zarr", np.stack([IMAGE] * 3), "zyx"))
    items = click_items(planes, table(tmp_path, "plane,row,column,label,object\n2,5,5,1,1\nz0001,5,5,1,1\n"))
    assert [item.plane.index for item in items] == [(1,), (2,)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,row,column,label\na,1,2,1\n", "no column object"),
        ("row,column,label,object\n1,2,1,1\n", "no column image"),
        (HEADER + "a,1,2,1,1\nc,1,2,1,1\n", 'line 3: there is no image or plane "c"'),
        (HEADER + "a,one,2,1,1\n", "line 2: row and column"),
        (HEADER + "a,1,2,5,1\n", "label is 1"),
        (HEADER + "a,1,2,1,0\n", "numbered from 1 on"),
        (HEADER + "a,1,2\n", "line 2"),
        (HEADER, "holds no click"),
    ],
)
def test_a_wrong_line_is_named(folder, text, sentence):
    with pytest.raises(InputError, match=sentence):
        click_items(list_planes(folder), table(folder, text))


def test_a_table_that_is_not_there_is_said(folder):
    with pytest.raises(InputError, match="There is no file"):
        click_items(list_planes(folder), folder / "none.csv")


def test_a_session_is_played_on_the_image_that_it_is_of(folder, squares, tmp_path):
    session = session_on(IMAGE, (PlaneKey(), 10, 10), (PlaneKey(), 20, 30))
    save_session(folder / "any.json", replace(session, pixel_size=(0.5, 0.25), unit="mm"))
    (item,) = session_items(list_planes(folder), [folder / "any.json"])
    assert item.plane.name == "a"
    do_item(item, Results(tmp_path / "out"), lambda: squares)
    labels = tifffile.imread(tmp_path / "out" / "a.tif")
    assert (labels == 1).sum() == 25 == (labels == 2).sum() and labels[20, 30] == 2
    assert (tmp_path / "out" / "a.csv").read_text().startswith("index,name,area_px")
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as written:
        tags = written.pages[0].tags
        assert (tags["XResolution"].value, tags["YResolution"].value) == ((4, 1), (2, 1))
        assert written.imagej_metadata["unit"] == "mm"


def test_a_session_that_was_saved_under_windows_finds_its_image(folder):
    session = session_on(IMAGE, (PlaneKey(), 10, 10))
    elsewhere = replace(session.image, source="C:\\data of mine\\a.tif")
    save_session(folder / "any.json", replace(session, image=elsewhere))
    (item,) = session_items(list_planes(folder), [folder / "any.json"])
    assert item.plane.name == "a"


def test_a_session_of_another_image_fails_where_it_is_done(folder, squares, tmp_path):
    save_session(folder / "any.json", session_on(IMAGE, (PlaneKey(), 10, 10), name="b.tif"))
    (item,) = session_items(list_planes(folder), [folder / "any.json"])
    with pytest.raises(InputError, match="not the image of the session"):
        do_item(item, Results(tmp_path / "out"), lambda: squares)
    assert not list((tmp_path / "out").glob("*.tif"))


@pytest.mark.parametrize(
    ("then", "sentence"),
    [
        ({"sha256": "ab", "input_size": 192}, "other weights"),
        ({"sha256": "cd", "input_size": 192}, "input of 192 px; give --input-size 192"),
        ({"sha256": "cd", "input_size": 224}, None),
        ({"input_size": "full"}, None),
        ({}, None),
    ],
)
def test_a_session_of_other_weights_or_another_input_fails_where_it_is_done(folder, squares, tmp_path, then, sentence):
    squares.model_info, squares.input_size = SimpleNamespace(name="ois-compact", sha256="cd"), 224
    session = session_on(IMAGE, (PlaneKey(), 10, 10))
    save_session(folder / "any.json", replace(session, model=then))
    (item,) = session_items(list_planes(folder), [folder / "any.json"])
    with nullcontext() if sentence is None else pytest.raises(InputError, match=sentence):
        do_item(item, Results(tmp_path / "out"), lambda: squares)
    assert (tmp_path / "out" / "a.tif").exists() == (sentence is None)


def test_a_session_on_an_ome_zarr_gives_an_item_for_each_plane_with_objects(tmp_path, squares, make_zarr):
    stack = np.stack([IMAGE + i for i in range(4)])
    path = make_zarr(tmp_path / "s.zarr", stack, "zyx")
    places = [(PlaneKey((1, 2), (z, 0, 0)), row, 12) for z, row in ((1, 8), (3, 8), (3, 20))]
    save_session(tmp_path / "s.json", session_on(stack, *places, name=str(path)))
    items = session_items(list_planes(path), [tmp_path / "s.json"])
    assert [item.plane.name for item in items] == ["z0001", "z0003"]
    do_item(items[1], Results(tmp_path / "out"), lambda: squares)
    labels = tifffile.imread(tmp_path / "out" / "z0003.tif")
    assert sorted(np.unique(labels)) == [0, 2, 3] and labels[20, 12] == 3
    other = make_zarr(tmp_path / "o.zarr", stack + 1, "zyx")
    with pytest.raises(InputError, match="is not the image of"):
        session_items(list_planes(other), [tmp_path / "s.json"])
    across = session_on(stack, (PlaneKey((0, 2), (0, 5, 0)), 2, 12))
    save_session(tmp_path / "x.json", across)
    with pytest.raises(InputError, match="planes of rows and columns"):
        session_items(list_planes(path), [tmp_path / "x.json"])


def test_sessions_that_cannot_be_are_refused(folder):
    planes = list_planes(folder)
    session = session_on(IMAGE, (PlaneKey(), 10, 10), name="elsewhere.tif")
    save_session(folder / "s.json", session)
    with pytest.raises(InputError, match="none is called elsewhere"):
        session_items(planes, [folder / "s.json"])
    save_session(folder / "a.json", session)  # called as its image is
    assert session_items(planes, [folder / "a.json"])[0].plane.name == "a"
    with pytest.raises(InputError, match="Two sessions are of a"):
        session_items(planes, [folder / "a.json", folder / "a.json"])
    save_session(folder / "none.json", replace(session, objects=()))
    with pytest.raises(InputError, match="no accepted object"):
        session_items(planes, [folder / "none.json"])
    for change, sentence in (
        ({"model": {"name": "ois-vitb"}}, "give --model ois-vitb"),
        ({"objects": [replace(session.objects[0], settings=Settings(order="abc"))]}, "does not know .order abc"),
        (
            {"objects": [replace(session.objects[0], settings=Settings(look=Appearance(level=1)))]},
            "does not know .clicks on level 1 of a pyramid",
        ),
    ):
        save_session(folder / "a.json", replace(session, **change))
        with pytest.raises(InputError, match=sentence):
            session_items(planes, [folder / "a.json"], None, "ois-compact")
    save_session(folder / "a.json", replace(session, model={"name": "finetuned"}))
    assert session_items(planes, [folder / "a.json"], None, "tuned/finetuned.safetensors")  # called as its file is
    save_session(folder / "turned.json", session_on(IMAGE, (PlaneKey((1, 0)), 10, 10)))
    with pytest.raises(InputError, match="rows and columns exchanged"):
        session_items(planes, [folder / "turned.json"])
    stack = session_on(np.zeros((2, 30, 40)), (PlaneKey((1, 2), (1, 0, 0)), 10, 10), name="a.tif")
    save_session(folder / "stack.json", stack)
    with pytest.raises(InputError, match="session on a stack"):
        session_items(planes, [folder / "stack.json"])


def test_of_several_labels_one_is_chosen(folder):
    one = session_on(IMAGE, (PlaneKey(), 10, 10)).objects[0]
    two = session_on(IMAGE, (PlaneKey(), 20, 20), target="other").objects[0]
    two = replace(two, number=2, accepted=replace(two.accepted, turn=2))
    save_session(folder / "s.json", Session(ImageSignature.of(IMAGE, "a.tif"), (one, two)))
    with pytest.raises(InputError, match="choose one with --target"):
        session_items(list_planes(folder), [folder / "s.json"])
    (item,) = session_items(list_planes(folder), [folder / "s.json"], "other")
    assert [obj.accepted.target for obj in item.work.objects] == ["other"]


def test_everything_is_looked_for_on_each_plane(folder, squares, tmp_path):
    bright = np.zeros((30, 40), np.uint8)
    bright[5:15, 5:25] = 200
    tifffile.imwrite(folder / "c.tif", bright)
    items = everything_items(list_planes(folder), EverythingWork(grid=4))
    assert [item.plane.name for item in items] == ["a", "b", "c"]
    do_item(items[2], Results(tmp_path / "out"), lambda: squares)
    labels = tifffile.imread(tmp_path / "out" / "c.tif")
    assert np.array_equal(labels != 0, bright > 0)
    assert "score,stability" in (tmp_path / "out" / "c.csv").read_text()


def test_what_is_there_is_not_made_again(folder, squares, tmp_path):
    item = everything_items(list_planes(folder), EverythingWork(grid=2))[0]
    results = Results(tmp_path / "out")
    assert do_item(item, results, lambda: squares).status == DONE
    written = (tmp_path / "out" / "a.tif").stat().st_ino
    assert do_item(item, results, lambda: pytest.fail("no model is needed")).status == THERE
    assert (tmp_path / "out" / "a.tif").stat().st_ino == written and squares.images == 1


def test_a_fingerprint_is_of_what_a_file_holds(folder):
    one, two = table(folder, "x", "1"), table(folder, "x", "2")
    assert fingerprint(one) == fingerprint(two) != fingerprint(one, two)
