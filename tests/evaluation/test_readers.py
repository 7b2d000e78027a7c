from __future__ import annotations

import csv

import numpy as np
import pytest
from skimage.io import imsave

from napari_ois.errors import InputError
from napari_ois.evaluation.readers import EvalCollection, nearness

HEADER = ["set", "domain", "image", "mask", "depth", "object_id", "licence"]


@pytest.fixture
def collection(tmp_path):
    for name in ("images", "masks", "depth"):
        (tmp_path / "a" / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for stem in ("x", "y"):
        picture = rng.integers(0, 255, (12, 16, 3)).astype(np.uint8)
        imsave(tmp_path / f"a/images/{stem}.png", picture, check_contrast=False)
    labels = np.zeros((12, 16), np.uint8)
    labels[2:5, 2:5], labels[6:9, 6:9], labels[:, 15] = 1, 2, 255
    imsave(tmp_path / "a/masks/x.png", labels, check_contrast=False)
    wide = np.zeros((12, 16), np.uint16)
    wide[1:4, 1:4], wide[5:8, 5:8], wide[11] = 255, 300, 65535
    imsave(tmp_path / "a/masks/y.png", wide, check_contrast=False)
    distance = np.tile(np.arange(500, 2100, 100, dtype=np.uint16), (12, 1))
    distance[0, :3] = 0
    imsave(tmp_path / "a/depth/x.png", distance, check_contrast=False)
    licence = "stated, with a comma; and more"
    write_manifest(
        tmp_path,
        [
            ["a", "natural", "a/images/x.png", "a/masks/x.png", "a/depth/x.png", "1", licence],
            ["b", "medical", "a/images/y.png", "a/masks/y.png", "", "255", licence],
            ["a", "natural", "a/images/x.png", "a/masks/x.png", "a/depth/x.png", "1+2", licence],
            ["b", "medical", "a/images/y.png", "a/masks/y.png", "", "300", licence],
        ],
    )
    return tmp_path


def write_manifest(folder, rows, header=HEADER):
    with (folder / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def test_each_image_comes_once_with_its_objects(collection):
    samples = EvalCollection(collection)
    assert (len(samples), samples.n_objects) == (2, 4)
    x, y = samples
    assert [entry.name for entry in x.objects] == ["1", "1+2"]
    assert [entry.name for entry in y.objects] == ["255", "300"]
    assert (x.objects[0].set, y.objects[0].domain) == ("a", "medical")
    assert x.image.shape == (12, 16, 3)
    assert x.path.is_file()


def test_the_manifest_itself_may_be_named(collection):
    assert [*EvalCollection(collection / "MANIFEST.csv").forms.items()] == [(collection, "manifest")]


def test_targets_merge_ids_and_keep_ignore(collection):
    x, y = EvalCollection(collection)
    single, merged = (entry.target for entry in x.objects)
    assert (np.count_nonzero(single == 1), np.count_nonzero(merged == 1)) == (9, 18)
    assert single.dtype == np.uint8
    assert (single[:, 15] == 255).all()
    # 255 is an id like any other in a 16-bit map
    assert np.count_nonzero(y.objects[0].target == 1) == 9
    assert (y.objects[0].target[11] == 255).all()


def test_depth_is_larger_for_nearer_and_has_no_holes(collection):
    x, y = EvalCollection(collection)
    assert y.depth is None
    assert x.depth.dtype == np.float32
    assert x.depth[5, 0] == 1.0
    assert x.depth[5, 15] == 0.0
    assert (np.diff(x.depth[5]) <= 0).all()
    assert np.isfinite(x.depth).all()
    assert nearness(np.zeros((3, 3))) is None


def test_sets_and_number_of_objects_can_be_chosen(collection):
    assert EvalCollection(collection, sets=["b"]).n_objects == 2
    assert EvalCollection(collection, per_set=1).n_objects == 2
    with pytest.raises(InputError, match="no set zebra"):
        EvalCollection(collection, sets=["zebra"])
    with pytest.raises(InputError, match="at least 1"):
        EvalCollection(collection, per_set=0)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no .*nowhere"):
        EvalCollection(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no known form"):
        EvalCollection(tmp_path)


def test_missing_and_damaged_files_are_named_all_at_once(collection):
    (collection / "a/masks/x.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (collection / "a/depth/x.png").unlink()
    imsave(collection / "a/masks/y.png", np.ones((12, 15), np.uint8), check_contrast=False)
    with pytest.raises(InputError) as caught:
        EvalCollection(collection)
    for words in ("3 files", "a/masks/x.png (damaged)", "a/depth/x.png (missing)", "a/masks/y.png (another size"):
        assert words in str(caught.value)


def test_a_file_cut_short_behind_its_header_is_named_when_its_turn_comes(collection):
    path = collection / "a/images/x.png"
    path.write_bytes(path.read_bytes()[:300])
    samples = EvalCollection(collection)
    with pytest.raises(InputError, match=r"x\.png"):
        samples.read(0)
    assert samples.read(1).name == "a/images/y.png"


def test_some_objects_of_an_image_can_be_read(collection):
    sample = EvalCollection(collection).read(1, [("b", "300")])
    assert [entry.name for entry in sample.objects] == ["300"]


def test_folders_are_joined_if_their_sets_differ(collection, tmp_path_factory):
    other = tmp_path_factory.mktemp("cells")
    for name in ("images", "masks"):
        (other / name).mkdir()
        imsave(other / name / "1.png", np.full((6, 6), 3, np.uint8), check_contrast=False)
    both = EvalCollection(collection, other, per_set=1)
    assert both.sets == ["a", "b", other.name]
    assert sorted(both.forms.values()) == ["images and masks", "manifest"]
    with pytest.raises(InputError, match="a set called a"):
        EvalCollection(collection, collection)


@pytest.mark.parametrize(("object_id", "message"), [("7", "no object 7"), ("1-2", "object id")])
def test_wrong_object_ids_are_named(collection, object_id, message):
    row = ["a", "natural", "a/images/x.png", "a/masks/x.png", "", object_id, ""]
    write_manifest(collection, [row])
    with pytest.raises(InputError, match=message):
        next(iter(EvalCollection(collection)))


def test_damaged_manifest_is_named(collection):
    write_manifest(collection, [["a", "natural"]])
    with pytest.raises(InputError, match=r"MANIFEST\.csv, object 1"):
        EvalCollection(collection)
    write_manifest(collection, [], header=["set", "image"])
    with pytest.raises(InputError, match="lacks the columns domain"):
        EvalCollection(collection)
    (collection / "MANIFEST.csv").write_text("set,image\nKüche,a.png\n", encoding="utf-16")  # as a spreadsheet may
    with pytest.raises(InputError, match=r"cannot be read as a table .* save it as CSV in UTF-8"):
        EvalCollection(collection)
