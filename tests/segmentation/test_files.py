"""Images are read, and results written, whole or not at all."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from skimage.io import imread, imsave

from napari_ois.errors import InputError
from napari_ois.segmentation.colour import to_plane
from napari_ois.segmentation.files import check_target, read_ids, read_image, whole_folder, write_prediction
from napari_ois.segmentation.predictor import Predictor


@pytest.fixture
def answered(network):
    """A plane and a prediction with one positive and two negative clicks."""
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    predictor = Predictor.from_network(network, input_size=64, multiple=32, device="cpu")
    predictor.set_image(image)
    return to_plane(image), predictor.predict([(30, 40), (5, 80.5), (50, 10)], [1, 0, 0])


def test_written_files_read_back_as_the_prediction(tmp_path, answered):
    plane, prediction = answered
    written = write_prediction(tmp_path / "new" / "out", plane, prediction)
    folder = tmp_path / "new" / "out"
    assert {path.name for path in written} == {path.name for path in folder.iterdir()}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
    mask = tifffile.imread(folder / "mask.tif")
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(mask > 0, prediction.mask)
    for name, array in (
        ("probability", prediction.probability),
        ("depth", prediction.depth),
        ("order_positive", prediction.positive_order_map),
        ("order_negative_01", prediction.negative_order_maps[0]),
        ("order_negative_02", prediction.negative_order_maps[1]),
    ):
        np.testing.assert_array_equal(tifffile.imread(folder / f"{name}.tif"), array)
    with (folder / "clicks.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(float(r["row"]), float(r["column"]), r["label"]) for r in rows] == [
        (30, 40, "1"),
        (5, 80.5, "0"),
        (50, 10, "0"),
    ]


def test_overview_shows_the_clicks_in_their_place(tmp_path, answered):
    plane, prediction = answered
    write_prediction(tmp_path / "out", plane, prediction)
    overview = imread(tmp_path / "out" / "overview.png")
    assert overview.ndim == 3 and overview.shape[1] > 5 * 500  # image, depth, three order maps
    red = (overview == (255, 65, 54)).all(axis=-1)
    green = (overview == (46, 204, 64)).all(axis=-1)
    scale = 512 / 90
    rows, columns = np.nonzero(green)
    assert abs(columns.mean() - (8 + 40.5 * scale)) < 3 and abs(rows.mean() - (26 + 30.5 * scale)) < 3
    assert red.sum() > green.sum()


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1)])
def test_overview_of_a_narrow_image(tmp_path, network, shape):
    predictor = Predictor.from_network(network, input_size=64, multiple=32, device="cpu")
    predictor.set_image(np.arange(np.prod(shape)).reshape(shape))
    prediction = predictor.predict([(0, 0)], [1])
    write_prediction(tmp_path / "out", np.zeros((*shape, 3), np.float32), prediction)
    assert imread(tmp_path / "out" / "overview.png").ndim == 3


def test_a_second_run_leaves_nothing_of_the_first_but_foreign_files(tmp_path, answered):
    plane, prediction = answered
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "order_negative_07.tif").write_bytes(b"old")
    write_prediction(tmp_path, plane, prediction)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.glob("order_negative_*")) == [
        "order_negative_01.tif",
        "order_negative_02.tif",
    ]


def test_nothing_is_left_behind_after_an_error(tmp_path):
    (tmp_path / "kept").mkdir()
    for target in (tmp_path / "kept", tmp_path / "new"):
        with pytest.raises(ZeroDivisionError), whole_folder(target) as staging:
            (staging / "half.txt").write_text("half")
            raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert not list((tmp_path / "kept").iterdir())


def test_nothing_is_written_beside_a_folder_that_is_there(tmp_path):
    """It may be another disk, or not ours."""
    with whole_folder(tmp_path / "out" / "new") as staging:
        (staging / "a.txt").write_text("a")
    target = tmp_path / "out" / "new"
    with whole_folder(target) as staging:
        assert target in staging.parents
        (staging / "b.txt").write_text("b")
    assert sorted(path.name for path in target.iterdir()) == ["a.txt", "b.txt"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="is a file"):
            check_target(target)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy"])
def test_formats_are_read(tmp_path, name):
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    path = tmp_path / name
    np.save(path, image) if name.endswith("npy") else imsave(path, image, check_contrast=False)
    np.testing.assert_array_equal(read_image(path), image)


@pytest.mark.parametrize("compression", ["lzw", "jpeg", "zstd", "zlib"])
def test_tiff_is_read_as_microscopes_and_slide_scanners_write_it(tmp_path, compression):
    image = np.add.outer(np.arange(64), np.arange(80)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, compression=compression, tile=(32, 32))
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - image).max() <= 4 * (compression == "jpeg")


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a.jpg", "a.txt"])
def test_damaged_files_are_refused_in_one_sentence(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"no image at all")
    with pytest.raises(InputError, match="cannot be read as an image") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="There is no file"):
        read_image(tmp_path / f"missing-{name}")


def test_four_inks_are_no_transparency_and_grey_with_alpha_is_grey(tmp_path):
    red = Image.new("RGB", (16, 16), (200, 30, 30))
    red.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    seen = read_image(tmp_path / "print.jpg")
    assert seen.shape == (16, 16, 3) and np.abs(seen.astype(int) - (200, 30, 30)).max() < 12
    Image.new("LA", (16, 16), (90, 255)).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.full((16, 16), 90))


def test_a_picture_beyond_its_readers_bound_is_one_sentence(tmp_path, monkeypatch):
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="save it as a tiled TIFF or OME-Zarr"):
        read_image(tmp_path / "a.png")


def test_names_that_the_system_refuses_are_no_files(tmp_path):
    """As below a folder that may not be entered, the system's answer is an error, and not that there is none."""
    with pytest.raises(InputError, match="There is no file"):
        read_image(tmp_path / ("x" * 300 + ".png"))
    check_target(tmp_path / ("x" * 300))


def test_a_folder_is_no_picture_but_a_zarr_array_of_ids_is_read(tmp_path):
    with pytest.raises(InputError, match="is a folder, where one file is taken"):
        read_image(tmp_path)
    ids = np.arange(12, dtype=np.uint16).reshape(3, 4)
    zarr.save_array(str(tmp_path / "ids.zarr"), ids)
    np.testing.assert_array_equal(read_ids(tmp_path / "ids.zarr"), ids)
