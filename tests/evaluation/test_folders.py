from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.io import imsave

from napari_ois.errors import InputError
from napari_ois.evaluation.folders import HQSEG_VALIDATION
from napari_ois.evaluation.readers import EvalCollection, open_collection


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, array, check_contrast=False)


def picture(shape=(10, 12)):
    return np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)


@pytest.fixture
def hqseg(tmp_path):
    for count, (images, masks) in enumerate(HQSEG_VALIDATION.values(), start=1):
        for number in range(count):
            save(tmp_path / images / f"{number}.jpg", picture())
            mask = np.zeros((10, 12), np.uint8)
            mask[: 2 + number, :3] = 1 + number  # not only 255 is object
            save(tmp_path / masks / f"{number}.png", mask)
    return tmp_path


def test_hqseg_has_four_sets_of_one_object_an_image(hqseg):
    collection = open_collection(hqseg)
    assert list(collection.forms.values()) == ["HQSeg-44K"]
    assert collection.sets == ["DIS5K-VD", "ThinObject5K-TE", "COIFT", "HRSOD"]
    assert (len(collection), collection.n_objects) == (10, 10)
    sample = collection.read(9)
    assert sample.objects[0].set == "HRSOD"
    assert np.count_nonzero(sample.objects[0].target == 1) == 15


def test_hqseg_in_parts_says_what_lacks(hqseg):
    (hqseg / "DIS5K/DIS-VD/gt").rename(hqseg / "elsewhere")
    with pytest.raises(InputError, match="lacks DIS5K/DIS-VD/gt"):
        open_collection(hqseg)


def test_files_without_a_partner_are_named(hqseg):
    (hqseg / "thin_object_detection/COIFT/masks/2.png").unlink()
    with pytest.raises(InputError, match=r"1 file: thin_object_detection/COIFT/images/2\.jpg \(no partner\)"):
        open_collection(hqseg)


def test_many_wrong_files_are_counted_and_the_first_named(tmp_path):
    for number in range(8):
        save(tmp_path / "img" / f"{number}.jpg", picture())
        save(tmp_path / "gt" / f"{number}.png", np.ones((9, 12), np.uint8))
    with pytest.raises(InputError, match=r"8 files: gt/0\.png .*gt/4\.png .* and 3 more") as caught:
        open_collection(tmp_path)
    assert "gt/5.png" not in str(caught.value)


def test_davis_takes_every_colour_but_black(tmp_path):
    save(tmp_path / "img" / "bear_00.jpg", picture())
    mask = np.zeros((10, 12, 3), np.uint8)
    mask[2:4, 2:4, 0], mask[6:8, 6:9, 2] = 128, 64  # two labels, merged
    save(tmp_path / "gt" / "bear_00.png", mask)
    collection = open_collection(tmp_path)
    assert list(collection.forms.values()) == ["DAVIS"]
    (sample,) = collection
    assert sample.name == "img/bear_00.jpg"
    assert np.count_nonzero(sample.objects[0].target == 1) == 4 + 6
    save(tmp_path / "gt" / "bear_00.png", mask * 0)
    with pytest.raises(InputError, match=r"bear_00\.png holds no object"):
        open_collection(tmp_path).read(0)


def test_alpha_of_a_mask_is_no_object(tmp_path):
    save(tmp_path / "img" / "1.png", picture())
    mask = np.zeros((10, 12, 4), np.uint8)
    mask[..., 3], mask[0, :5, 1] = 255, 200
    save(tmp_path / "gt" / "1.png", mask)
    (sample,) = open_collection(tmp_path)
    assert np.count_nonzero(sample.objects[0].target == 1) == 5


@pytest.fixture
def plain(tmp_path):
    folder = tmp_path / "cells"
    save(folder / "images" / "a.png", picture())
    (folder / "images" / "notes.txt").write_text("not an image")
    labels = np.zeros((10, 12), np.uint16)
    labels[1:3, 1:3], labels[5:8, 5:8], labels[9] = 7, 300, 65535
    (folder / "masks").mkdir()
    tifffile.imwrite(folder / "masks" / "a.tif", labels)
    return folder


def test_plain_folder_has_an_object_for_every_id(plain):
    collection = open_collection(plain)
    assert list(collection.forms.values()) == ["images and masks"]
    (sample,) = collection
    assert [(entry.set, entry.name) for entry in sample.objects] == [("cells", "7"), ("cells", "300")]
    assert [np.count_nonzero(entry.target == 1) for entry in sample.objects] == [4, 9]
    assert (sample.objects[1].target[9] == 255).all()
    assert sample.depth is None


def test_palette_masks_are_read_as_ids(plain):
    (plain / "masks" / "a.tif").unlink()
    image = Image.fromarray(np.repeat(np.array([[0, 1, 2, 255]], np.uint8), 10, axis=0).repeat(3, axis=1)).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [9, 9, 9] * 253)
    image.save(plain / "masks" / "a.png")
    (sample,) = open_collection(plain)
    assert [entry.name for entry in sample.objects] == ["1", "2"]
    assert np.count_nonzero(sample.objects[0].target == 255) == 30


def test_a_depth_image_beside_the_photo_is_found(plain):
    distance = np.tile(np.linspace(1, 5, 12, dtype=np.float32), (10, 1))
    distance[0, 0] = np.nan
    (plain / "depth").mkdir()
    np.save(plain / "depth" / "a.npy", distance)
    (sample,) = open_collection(plain)
    assert sample.depth[5, 0] == 1.0 and sample.depth[5, 11] == 0.0
    assert np.isfinite(sample.depth).all()
    np.save(plain / "depth" / "a.npy", distance[:5])
    with pytest.raises(InputError, match=r"a\.npy must have"):
        open_collection(plain).read(0)


def test_a_jpeg_holds_no_ids_and_of_one_object_what_is_above_half(plain, tmp_path):
    disk = np.zeros((40, 60), np.uint8)
    disk[10:30, 15:45] = 255
    save(tmp_path / "davis" / "img" / "a.png", picture((40, 60)))
    save(tmp_path / "davis" / "gt" / "a.jpg", disk)
    (image,) = EvalCollection(tmp_path / "davis")
    assert np.count_nonzero(np.asarray(Image.open(tmp_path / "davis" / "gt" / "a.jpg")) > 0) > 600  # rings
    np.testing.assert_array_equal(image.objects[0].target, disk > 0)
    (plain / "masks" / "a.tif").unlink()
    save(plain / "masks" / "a.jpg", disk[8:18, 12:24])
    with pytest.raises(InputError, match=r"a\.jpg \(a JPEG, which changes ids\)"):
        open_collection(plain)


def test_photographs_as_masks_are_refused(plain):
    (plain / "masks" / "a.tif").unlink()
    save(plain / "masks" / "a.png", picture())
    with pytest.raises(InputError, match=r"a\.png is no label map"):
        open_collection(plain)


def test_empty_folders_and_twins_are_named(plain):
    save(plain / "images" / "a.jpg", picture())
    with pytest.raises(InputError, match="two files called a"):
        open_collection(plain)
    for path in (plain / "images").iterdir():
        path.unlink()
    (plain / "masks" / "a.tif").unlink()
    with pytest.raises(InputError, match="holds no image"):
        EvalCollection(plain)


def test_a_folder_without_any_object_is_said(plain):
    tifffile.imwrite(plain / "masks" / "a.tif", np.zeros((10, 12), np.uint8))
    with pytest.raises(InputError, match="no object to click"):
        EvalCollection(plain)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_highest_id_is_the_object_where_it_is_alone_and_ignored_beside_others(plain, dtype):
    highest = np.iinfo(dtype).max
    mask = np.zeros((10, 12), dtype)
    mask[2:5, 2:6] = highest
    tifffile.imwrite(plain / "masks" / "a.tif", mask)
    (sample,) = open_collection(plain)
    assert [entry.name for entry in sample.objects] == [str(highest)]
    np.testing.assert_array_equal(sample.objects[0].target, mask > 0)
    mask[7:9] = 1
    tifffile.imwrite(plain / "masks" / "a.tif", mask)
    (sample,) = open_collection(plain)
    assert [entry.name for entry in sample.objects] == ["1"]
    np.testing.assert_array_equal(sample.objects[0].target == 255, mask == highest)


def test_negative_ids_are_ignored(plain):
    labels = np.zeros((10, 12), np.int16)
    labels[2:5], labels[7:9] = -1, 4
    tifffile.imwrite(plain / "masks" / "a.tif", labels)
    (sample,) = open_collection(plain)
    assert [entry.name for entry in sample.objects] == ["4"]
    assert np.count_nonzero(sample.objects[0].target == 255) == 36
