"""Folders in the usual layouts become training images; what is missing is named."""

from __future__ import annotations

import csv
import logging
import pickle

import numpy as np
import pytest
import tifffile
from PIL import Image
from torch.utils.data import DataLoader

pytest.importorskip("cv2", reason="training needs the extra 'train'")

from napari_ois.errors import InputError
from napari_ois.evaluation.folders import HQSEG_VALIDATION
from napari_ois.evaluation.readers import EvalCollection
from napari_ois.training.batches import BatchStream, Phase, as_is, in_sentences
from napari_ois.training.datasets import read_image
from napari_ois.training.dev import dev_images
from napari_ois.training.folders import HQSEG44K, read_collection
from napari_ois.training.recipe import recipe_for
from napari_ois.training.run import real_images
from napari_ois.training.sources import Files, shrink
from napari_ois.training.windows import sample_whole

RNG = np.random.default_rng(0)


def picture(height=40, width=60):
    return RNG.integers(0, 255, (height, width, 3), dtype=np.uint8)


def labels(height=40, width=60):
    ids = np.zeros((height, width), np.uint8)
    ids[5:25, 5:30], ids[20:38, 35:58] = 7, 255
    return ids


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def hqseg(tmp_path):
    for images, masks in HQSEG44K.values():
        save(tmp_path / images / "b.jpg", picture())
        save(tmp_path / images / "a.jpg", picture(30, 50))
        save(tmp_path / masks / "b.png", labels())
        save(tmp_path / masks / "a.png", np.repeat(labels(30, 50)[..., None], 3, axis=2))  # grey saved as colour
    return tmp_path


def test_hqseg_is_read_set_by_set_with_anything_above_zero_as_the_object(hqseg):
    items = read_collection(hqseg)
    assert len(items) == 14 and {item.set for item in items} == set(HQSEG44K)
    assert {item.image.name for item in items} == {"a.jpg", "b.jpg"}
    rgb, ids, depth = read_image(items[1])
    assert rgb.shape == (40, 60, 3) and rgb.dtype == np.uint8 and depth is None
    np.testing.assert_array_equal(ids, labels() > 0)
    assert read_image(items[0])[1].max() == 1


def test_what_hqseg_lacks_is_named(hqseg, caplog, tmp_path):
    (hqseg / "cascade_psp" / "ecssd").rename(hqseg / "elsewhere")
    with caplog.at_level(logging.WARNING):
        assert len(read_collection(hqseg)) == 12
    assert "ECSSD (cascade_psp/ecssd)" in caplog.text
    (hqseg / "DIS5K" / "DIS-TR" / "gt" / "b.png").unlink()
    with pytest.raises(InputError, match=r"1 of the 2 images .* b\.jpg first"):
        read_collection(hqseg)
    (tmp_path / "empty" / "DIS5K").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no training set"):
        read_collection(tmp_path / "empty")


@pytest.mark.parametrize("kind", ["png", "palette", "tif", "npy"])
def test_ids_come_in_any_usual_format(tmp_path, kind):
    save(tmp_path / "images" / "one.png", picture())
    masks = tmp_path / "masks"
    masks.mkdir()
    if kind == "png":
        save(masks / "one.png", labels())
    elif kind == "palette":
        image = Image.fromarray(labels())
        image.putpalette(list(RNG.integers(0, 255, 768)))
        image.save(masks / "one.png")
    elif kind == "tif":
        tifffile.imwrite(masks / "one.tif", labels().astype(np.int32) * 100_000)
    else:
        np.save(masks / "one.npy", np.where(labels() == 7, 7, np.where(labels() == 255, 9, -1)))
    (item,) = read_collection(tmp_path)
    _, ids, _ = read_image(item)
    assert ids.dtype == np.uint16
    np.testing.assert_array_equal(ids == 1, labels() == 7)
    # in 8 bits, 255 beside other ids is ignored
    bytes_ = kind in ("png", "palette")
    np.testing.assert_array_equal(ids == 2, (labels() == 255) & (not bytes_))
    np.testing.assert_array_equal(ids == 65535, labels() == 255 if bytes_ else (labels() == 0) & (kind == "npy"))


def test_the_highest_id_alone_is_the_object_as_the_evaluation_has_it(tmp_path):
    save(tmp_path / "images" / "one.png", picture())
    save(tmp_path / "masks" / "one.png", np.where(labels() > 0, 255, 0).astype(np.uint8))
    _, ids, _ = read_image(read_collection(tmp_path)[0])
    np.testing.assert_array_equal(ids, labels() > 0)
    (seen,) = EvalCollection(tmp_path)
    np.testing.assert_array_equal(seen.objects[0].target, ids)


def test_images_of_any_depth_of_grey_come_as_the_network_sees_them(tmp_path):
    (tmp_path / "images").mkdir()
    grey = np.linspace(100, 40_000, 40 * 60).reshape(40, 60).astype(np.uint16)
    tifffile.imwrite(tmp_path / "images" / "one.tif", grey)
    save(tmp_path / "masks" / "one.png", labels())
    rgb, _, _ = read_image(read_collection(tmp_path)[0])
    assert rgb.dtype == np.uint8 and rgb.min() == 0 and rgb.max() == 255
    assert (rgb[..., 0] == rgb[..., 2]).all()


def test_im_and_gt_are_one_object_an_image(tmp_path):
    save(tmp_path / "im" / "one.jpg", picture())
    save(tmp_path / "gt" / "one.png", labels())
    (item,) = read_collection(tmp_path)
    assert (item.kind, item.set) == ("single", tmp_path.name)
    assert read_image(item)[1].max() == 1


def test_a_manifest_of_evaluation_gives_each_image_once(tmp_path):
    save(tmp_path / "one.png", picture())
    save(tmp_path / "mask.png", labels())
    save(tmp_path / "depth.png", np.full((40, 60), 800, np.uint16))
    names = ["set", "domain", "image", "mask", "depth", "object_id", "width", "height"]
    rows = [["a", "natural", "one.png", "mask.png", "depth.png", i, 60, 40] for i in (7, 255)]
    with (tmp_path / "MANIFEST.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])
    (item,) = read_collection(tmp_path)
    assert read_collection(tmp_path / "MANIFEST.csv") == [item]
    assert dev_images(tmp_path / "MANIFEST.csv").n_objects == dev_images(tmp_path).n_objects == 2
    assert isinstance(dev_images(tmp_path / "MANIFEST.csv"), EvalCollection)
    assert (item.depth_kind, item.kind) == ("depth_mm", "instances")
    ids = read_image(item)[1]
    assert item.objects == ("7", "255")  # named, 255 is an object, as the evaluation has it
    np.testing.assert_array_equal(ids == 1, labels() == 7)
    np.testing.assert_array_equal(ids == 2, labels() == 255)


def test_a_manifest_of_evaluation_says_which_ids_are_one_object(tmp_path):
    mask = np.repeat(np.arange(6, dtype=np.uint8), 10)[None].repeat(40, axis=0)
    mask[0] = 255
    save(tmp_path / "one.png", picture())
    save(tmp_path / "mask.png", mask)
    names = ["set", "domain", "image", "mask", "depth", "object_id", "width", "height"]
    rows = [["a", "natural", "one.png", "mask.png", "", name, 60, 40] for name in ("1+3", "5", "5+4")]
    with (tmp_path / "MANIFEST.csv").open("w", newline="", encoding="utf-8-sig") as stream:
        csv.writer(stream).writerows([names, *rows])
    (item,) = read_collection(tmp_path)
    expected = np.array([0, 1, 0, 1, 0, 2], np.uint16)[np.minimum(mask, 5)]
    expected[mask == 255] = 65535
    np.testing.assert_array_equal(read_image(item)[1], expected)
    (seen,) = EvalCollection(tmp_path)
    np.testing.assert_array_equal(seen.objects[0].target == 1, expected == 1)


def test_bad_folders_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        read_collection(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no layout"):
        read_collection(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        read_collection(tmp_path)
    save(tmp_path / "images" / "one.png", picture())
    save(tmp_path / "masks" / "one.jpg", labels())
    with pytest.raises(InputError, match="JPEG"):
        read_collection(tmp_path)
    (tmp_path / "masks" / "one.jpg").unlink()
    save(tmp_path / "masks" / "one.png", labels(30, 30))
    with pytest.raises(InputError, match="size"):
        read_image(read_collection(tmp_path)[0])
    save(tmp_path / "masks" / "one.png", picture())
    with pytest.raises(InputError, match="no label map"):
        read_image(read_collection(tmp_path)[0])
    (tmp_path / "images" / "one.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"one\.png.*cannot be read"):
        read_image(read_collection(tmp_path)[0])
    save(tmp_path / "images" / "one.tif", picture())
    with pytest.raises(InputError, match="holds both"):
        read_collection(tmp_path)


def test_files_stay_in_memory_up_to_a_bound_and_travel_without_pixels(hqseg):
    files = Files(read_collection(hqseg), longest=30, kept=2)
    rgb, ids, _ = files.image(1)
    assert rgb.shape == (20, 30, 3) and ids.shape == (20, 30)
    assert files.image(1)[0] is rgb
    files.image(2), files.image(3)
    assert files.image(1)[0] is not rgb
    assert len(pickle.loads(pickle.dumps(files))._held) == 0
    assert {files.draw(np.random.default_rng(n)) for n in range(200)} == set(range(14))
    depth = np.arange(24, dtype=np.uint16).reshape(4, 6)
    assert shrink(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint16), depth, 3)[2].shape == (2, 3)


def test_the_paper_recipe_reads_files_and_shows_whole_images(hqseg, tmp_path):
    recipe = recipe_for("ois-vitb")
    source = real_images(hqseg, tmp_path / "pack", recipe)
    assert isinstance(source, Files) and source.longest == 1022 and not (tmp_path / "pack").exists()
    stream = BatchStream(source, None, phases=[Phase(1.0, 56, 3)], steps=1, view=recipe.view, objects=recipe.objects)
    batch = stream[0]
    assert len(batch.targets) == 3
    # about a third of the square is empty: the images are 2 to 3
    share = batch.valid.float().mean(dim=(1, 2, 3))
    assert ((share > 0.5) & (share < 0.75)).all()


def test_whole_images_stay_aligned_and_lie_in_the_corner():
    ids = np.zeros((40, 60), np.uint16)
    ids[4:22, 6:40] = 1
    rgb = np.repeat((ids * 200).astype(np.uint8)[..., None], 3, axis=2)
    turned = 0
    for seed in range(30):
        window = sample_whole(np.random.default_rng(seed), rgb, ids, ids.astype(np.float32), size=60, augment=False)
        (target,) = window.targets
        assert (target[~window.valid] == 255).all() and window.rgb.shape == (60, 60, 3)
        agree = (window.rgb[..., 0] > 100) == (target == 1)
        assert agree[window.valid].mean() > 0.98
        assert 0.9 * 18 * 34 < (target == 1).sum() < 1.1 * 18 * 34
        assert window.valid[3:37, 3:37].mean() > 0.97  # whichever way it lies
        turned += window.valid[50:, :30].mean() > 0.5
    assert 0 < turned < 20
    with pytest.raises(InputError, match="no object"):
        sample_whole(np.random.default_rng(0), rgb, np.zeros_like(ids), size=60)


def test_the_published_sets_are_measured_on_their_own_images_and_not_on_those_of_training(hqseg, tmp_path):
    for images, masks in HQSEG_VALIDATION.values():
        save(hqseg / images / "v.jpg", picture())
        save(hqseg / masks / "v.png", labels())
    measured = dev_images(hqseg)
    assert measured.sets == list(HQSEG_VALIDATION) and measured.n_objects == 4
    save(tmp_path / "davis" / "img" / "one.jpg", picture())
    save(tmp_path / "davis" / "gt" / "one.png", labels())
    assert dev_images(tmp_path / "davis").n_objects == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_stops_the_training_and_is_named(tmp_path, workers):
    save(tmp_path / "images" / "good.png", picture())
    save(tmp_path / "masks" / "good.png", labels())
    save(tmp_path / "masks" / "bad.png", labels())
    (tmp_path / "images" / "bad.png").write_bytes(b"nothing")
    source = Files(read_collection(tmp_path), longest=60)
    stream = BatchStream(source, None, phases=[Phase(1.0, 32, 8)], steps=1)
    loader = DataLoader(
        stream, batch_size=None, num_workers=workers, collate_fn=as_is,
        multiprocessing_context="spawn" if workers else None,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"^[^\n]*bad\.png cannot be read[^\n]*$"):
        list(in_sentences(loader))


def test_images_without_an_object_are_drawn_again(tmp_path):
    for name, ids in (("good", labels()), ("empty", labels() * 0)):
        save(tmp_path / "images" / f"{name}.png", picture())
        save(tmp_path / "masks" / f"{name}.png", ids)
    source = Files(read_collection(tmp_path), longest=60)
    assert len(BatchStream(source, None, phases=[Phase(1.0, 32, 8)], steps=1)[0].targets) >= 8
