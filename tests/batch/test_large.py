"""A large plane of a batch is worked on in windows; its labels have the image's size and lie where the objects do."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile
import zarr

from napari_ois.annotation import ArrayCanvas, Clicks, Document, ImageSignature, PlaneKey, Replay, Session, save_session
from napari_ois.annotation.answers import pack_answer
from napari_ois.annotation.packed import PackedMask
from napari_ois.annotation.playback import plane_pixels, window_reader
from napari_ois.batch import large_labels
from napari_ois.batch.cluster import do_item
from napari_ois.batch.items import click_items, everything_items, session_items
from napari_ois.batch.large_labels import LargeLabels
from napari_ois.batch.results import DONE, Results
from napari_ois.batch.sources import list_planes
from napari_ois.batch.work import EverythingWork, SessionWork
from napari_ois.errors import InputError
from napari_ois.segmentation import everything

SHAPE, CHUNK = (2_600, 3_000), 256
DISKS = {3: (600, 2_300, 90), 7: (2_000, 400, 60)}
"""Label: row, column, radius."""


pytestmark = pytest.mark.usefixtures("large_from_a_megapixel")


@pytest.fixture(scope="module")
def truth():
    """Labels of the disks."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    labels = np.zeros(SHAPE, np.int32)
    for label, (row, column, radius) in DISKS.items():
        labels[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = label
    return labels


@pytest.fixture(scope="module")
def image(truth):
    return np.where(truth > 0, 200, 20).astype(np.uint8)


@pytest.fixture
def predictor(bright_predictor):
    return bright_predictor()


@pytest.fixture
def table(tmp_path):
    """Clicks on both disks of ``NAME``, and then once more on the first one for a third object."""

    def make(name, place="image"):
        lines = [f"{name},{row},{column},1,{label}" for label, (row, column, _) in DISKS.items()]
        lines.append(f"{name},600,2310,1,9")
        text = "\n".join([f"{place},row,column,label,object", *lines])
        (tmp_path / "clicks.csv").write_text(text, encoding="utf-8")
        return tmp_path / "clicks.csv"

    return make


def check(folder, name, truth):
    written = tifffile.imread(folder / f"{name}.tif")
    assert written.shape == SHAPE and written.dtype == np.uint8 and set(np.unique(written)) == {0, *DISKS}
    for label in DISKS:
        one, other = written == label, truth == label
        assert (one & other).sum() / (one | other).sum() > 0.95
    with (folder / f"{name}.csv").open(newline="") as stream:
        areas = {int(row["index"]): int(row["area_px"]) for row in csv.DictReader(stream)}
    # The third object's pixels belong to the first one.
    assert areas == {9: 0, **{label: int((written == label).sum()) for label in DISKS}}


@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_clicks_on_a_file_give_labels_of_its_size(tmp_path, image, truth, predictor, table, suffix):
    folder = tmp_path / "images"
    folder.mkdir()
    if suffix == "npy":
        np.save(folder / "slide.npy", image)
    else:
        options = {"tile": (CHUNK, CHUNK), "compression": "zlib", "photometric": "minisblack"}
        with tifffile.TiffWriter(folder / "slide.tif") as writer:
            writer.write(image, subifds=1, **options)
            writer.write(image[::4, ::4], subfiletype=1, **options)
    (item,) = click_items(list_planes(folder), table("slide"))
    assert do_item(item, Results(tmp_path / "out"), lambda: predictor).status == DONE
    check(tmp_path / "out", "slide", truth)


def test_of_a_plane_of_an_ome_zarr_only_the_regions_are_read(tmp_path, image, truth, predictor, table, monkeypatch):
    from zarr.storage import LocalStore

    path, read = tmp_path / "image.zarr", []
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    for name, step in (("0", 1), ("1", 4)):
        level = image[::step, ::step]
        group.create_array(name, shape=(2, *level.shape), chunks=(1, CHUNK, CHUNK), dtype="uint8")[1] = level
    sets = [{"path": "0"}, {"path": "1"}]
    group.attrs["multiscales"] = [{"axes": [{"name": name} for name in "zyx"], "datasets": sets}]
    (item,) = click_items(list_planes(path), table("1", "plane"))

    async def get(self, key, *more, plain=LocalStore.get, **options):
        read.append(key)
        return await plain(self, key, *more, **options)

    monkeypatch.setattr(LocalStore, "get", get)
    assert do_item(item, Results(tmp_path / "out"), lambda: predictor).status == DONE
    check(tmp_path / "out", "z0001", truth)
    chunks = {key for key in read if key.startswith("0/") and key[2:3].isdigit()}
    assert chunks and all(key.startswith(("0/1.", "0/1/")) for key in chunks)
    assert len(chunks) < 0.4 * np.prod([-(-side // CHUNK) for side in SHAPE])


@pytest.mark.parametrize("channel_axis", [None, 0])
def test_a_session_on_a_large_image_is_played_bit_for_bit(tmp_path, image, predictor, channel_axis):
    view = {}
    if channel_axis is not None:
        image, view = np.stack([image, image // 2]), {"channel_axis": channel_axis}
    folder = tmp_path / "images"
    folder.mkdir()
    np.save(folder / "slide.npy", image)
    document = Document(ArrayCanvas({"labels": np.zeros(SHAPE, np.int32)}))
    predictor.set_image(image, channel_axis=channel_axis)
    row, column, _ = DISKS[3]
    obj = document.start(PlaneKey(), clicks=Clicks().added(row, column))
    document.accept(obj.number, pack_answer(Replay(predictor).answer(obj.clicks), SHAPE), target="labels")
    for corner, rule in (((row, column - 20), "keep"), ((row + 30, column + 10), "overwrite")):
        seed = PackedMask.pack_window(np.ones((60, 200), bool), corner, SHAPE)
        obj = document.start_from_label(PlaneKey(), seed.unpack(), 1, source=rule)
        document.accept(obj.number, seed, target="labels", rule=rule)
    session = Session(ImageSignature.of(image, "slide.npy"), document.objects, view=view)
    save_session(tmp_path / "s.json", session)
    (item,) = session_items(list_planes(folder), [tmp_path / "s.json"])
    assert do_item(item, Results(tmp_path / "out"), lambda: predictor).status == DONE
    written = tifffile.imread(tmp_path / "out" / "slide.tif")
    np.testing.assert_array_equal(written, document.canvas.arrays["labels"])
    assert set(np.unique(written)) == {0, 1, 2, 3}
    np.save(folder / "slide.npy", image + 1)  # another image under the name
    with pytest.raises(InputError, match="not the image of the session"):
        do_item(item, Results(tmp_path / "other"), lambda: predictor)


def test_an_object_too_wide_to_be_written_is_said(monkeypatch, image, predictor):
    document = Document(ArrayCanvas({"labels": np.zeros(SHAPE, np.int32)}))
    obj = document.start_from_label(PlaneKey(), image > 100, 1, source="elsewhere")
    document.accept(obj.number, image > 100, target="labels")
    monkeypatch.setattr("napari_ois.annotation.accepting.MOST_PIXELS", 10_000)
    work = SessionWork(document.objects)
    with pytest.raises(InputError, match="more than can be written as labels at once"):
        work.do(predictor, image, None)


def test_an_object_on_the_turned_image_is_said(image, predictor):
    document = Document(ArrayCanvas({"labels": np.zeros(SHAPE, np.int32)}))
    obj = document.start_from_label(PlaneKey((1, 0)), image.T > 100, 1, source="elsewhere")
    document.accept(obj.number, image.T > 100, target="labels")
    with pytest.raises(InputError, match="rows and columns exchanged"):
        SessionWork(document.objects).do(predictor, image, None)


def test_everything_in_too_large_an_image_is_refused_before_it_is_read(tmp_path, image, monkeypatch, squares):
    np.save(tmp_path / "slide.npy", image)
    monkeypatch.setattr(everything, "MOST_PIXELS", 2_000_000)
    (item,) = everything_items(list_planes(tmp_path), EverythingWork(grid=2))
    with pytest.raises(InputError, match="2600 x 3000 pixels is too large to look for everything in it"):
        do_item(item, Results(tmp_path / "out"), lambda: squares)
    assert squares.images == 0 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("channel_axis", [None, 0, 1, -1])
def test_a_window_of_any_plane_is_what_the_plane_has_there(channel_axis):
    shape = [2, 40, 50]
    if channel_axis is not None:
        shape.insert(channel_axis % 4, 3)
    array = np.arange(np.prod(shape)).reshape(shape)
    for axes in ((1, 2), (2, 1)):
        plane = PlaneKey(axes, (1, 0, 0))
        reader, whole = window_reader(array, plane, channel_axis), plane_pixels(array, plane, channel_axis)
        assert reader.shape == whole.shape
        np.testing.assert_array_equal(reader[3:20, 5:9], whole[3:20, 5:9])


# -- the tiles ----------------------------------------------------------------------------------------


def square(corner, side, shape, hole=0):
    window = np.ones((side, side), bool)
    window[:hole, :hole] = False
    return PackedMask.pack_window(window, corner, shape)


def test_tiles_are_what_an_array_would_be(tmp_path, monkeypatch):
    monkeypatch.setattr(large_labels, "TILE", 16)
    shape = (70, 90)
    labels, array = LargeLabels(shape), np.zeros(shape, np.int32)
    for corner, side, label, over in (((3, 5), 40, 2, False), ((20, 30), 45, 300, False), ((40, 10), 29, 7, True)):
        mask = square(corner, side, shape, hole=4)
        free = mask.unpack() & (over | (array == 0))
        assert labels.paint(mask, label, over=over) == free.sum()
        array[free] = label
    assert labels.paint(PackedMask.empty(shape), 9) == 0 and labels.paint(square((10, 10), 5, shape), 70_000) == 0
    np.testing.assert_array_equal(labels[:, :], array)
    labels.write(tmp_path / "labels.tif")
    written = tifffile.imread(tmp_path / "labels.tif")
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(written, array)


def test_labels_far_larger_than_memory_cost_what_is_painted():
    shape = (300_000, 400_000)
    labels = LargeLabels(shape)
    mask = square((299_000, 399_000), 100, shape)
    assert labels.paint(mask, 5) == 10_000 and labels.highest == 5
    assert (labels[299_000:299_100, 399_000:399_100] == 5).all() and not labels[298_000:299_000, 399_000:399_500].any()
