from __future__ import annotations

import json

import numpy as np
import pytest
from skimage.io import imsave

from napari_ois.errors import InputError
from napari_ois.evaluation.coco import draw
from napari_ois.evaluation.readers import open_collection


def encode_counts(counts):
    """The format's text, written from its description: five bits a character, the last one signed."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        while True:
            low, value = value & 31, value >> 5
            done = value == (-1 if low & 16 else 0)
            text += chr(48 + low + (0 if done else 32))
            if done:
                break
    return text


@pytest.mark.parametrize(
    ("text", "column"),
    [
        # 2, 3, 1, then 1 - 3 = -2: five bits 11110 = 30, and "0" + 30 is "N"
        ("231N", [0, 0, 1, 1, 1, 0, 1]),
        # 20 = 10100 would be read as negative, so a second character says that it is not
        ("d00", [0] * 20),
    ],
)
def test_hand_made_texts(text, column):
    np.testing.assert_array_equal(draw({"size": [len(column), 1], "counts": text}, (len(column), 1), "x")[:, 0], column)


def test_runs_go_down_the_columns():
    expected = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0]], np.uint8)
    runs = [2, 3, 4]
    for counts in (runs, encode_counts(runs)):
        np.testing.assert_array_equal(draw({"size": [3, 3], "counts": counts}, (3, 3), "x"), expected)


def test_polygons_cover_the_pixels_inside_and_are_merged():
    # x 2..7 and y 3..9 hold columns 2-6 and rows 3-8; the second polygon overlaps it
    drawn = draw([[2, 3, 7, 3, 7, 9, 2, 9], [6, 8, 9, 8, 9, 10, 6, 10]], (12, 12), "x")
    expected = np.zeros((12, 12), np.uint8)
    expected[3:9, 2:7] = expected[8:10, 6:9] = 1
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize(
    "shape",
    [
        {"size": [3, 3], "counts": [2, 3]},
        {"size": [4, 3], "counts": [2, 3, 4]},
        {"size": [3, 3], "counts": "23d"},
        {"size": [3, 3], "counts": "2\x01"},
        {"size": [3, 3]},
        [[1, 2, 3]],
        7,
    ],
)
def test_damaged_shapes_are_named(shape):
    with pytest.raises(InputError, match="annotation 5 has a damaged segmentation"):
        draw(shape, (3, 3), "annotation 5")


@pytest.fixture
def coco(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    for name in ("a", "b"):
        imsave(tmp_path / "val2017" / f"{name}.png", np.zeros((12, 12, 3), np.uint8), check_contrast=False)
    content = {
        "images": [{"id": 3, "file_name": "a.png"}, {"id": 4, "file_name": "b.png"}],
        "annotations": [
            {"id": 10, "image_id": 4, "segmentation": [[0, 0, 4, 0, 4, 2, 0, 2]], "iscrowd": 0},
            {"id": 11, "image_id": 3, "segmentation": {"size": [12, 12], "counts": [0, 24, 120]}},
            {"id": 12, "image_id": 4, "segmentation": {"size": [12, 12], "counts": "0d0h3"}, "iscrowd": 0},
            {"id": 13, "image_id": 4, "segmentation": {"size": [12, 12], "counts": [0, 144]}, "iscrowd": 1},
        ],
    }
    content["annotations"][2]["segmentation"]["counts"] = encode_counts([12, 12, 120])
    path = tmp_path / "annotations" / "instances_val2017.json"
    path.write_text(json.dumps(content))
    return tmp_path


def test_coco_objects_are_found_image_by_image_without_crowds(coco):
    for path in (coco, coco / "annotations" / "instances_val2017.json"):
        collection = open_collection(path)
        assert list(collection.forms.values()) == ["COCO"]
        assert (collection.sets, len(collection), collection.n_objects) == (["instances_val2017"], 2, 3)
        a, b = collection
        assert [entry.name for entry in a.objects] == ["11"]
        assert [entry.name for entry in b.objects] == ["10", "12"]
        assert np.count_nonzero(b.objects[0].target) == 8
        np.testing.assert_array_equal(np.flatnonzero(b.objects[1].target.any(axis=0)), [1])


def test_coco_images_that_are_missing_or_damaged_are_named(coco):
    (coco / "val2017" / "a.png").unlink()
    (coco / "val2017" / "b.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"2 files: a\.png \(missing\), b\.png \(damaged\)"):
        open_collection(coco)


def test_damaged_and_several_coco_files_are_said(coco):
    path = coco / "annotations" / "instances_val2017.json"
    (coco / "annotations" / "other.json").write_text("{}")
    with pytest.raises(InputError, match=r"several COCO files \(instances_val2017\.json, other\.json\)"):
        open_collection(coco)
    for text in ("{", "[]", '{"images": [], "annotations": [{"id": 1}]}'):
        path.write_text(text)
        with pytest.raises(InputError, match="no COCO file"):
            open_collection(path)


def test_annotations_without_a_shape_or_a_pixel_are_left_out_and_said(coco):
    path = coco / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    sliver = [[2.6, 1, 2.9, 1, 2.9, 9, 2.6, 9]]  # between two columns of pixel centres
    for number, shape in enumerate(([], None, [[]], sliver)):
        content["annotations"].append({"id": 20 + number, "image_id": 3, "segmentation": shape})
    path.write_text(json.dumps(content))
    with pytest.warns(RuntimeWarning, match="3 annotations have no segmentation"):
        collection = open_collection(coco)
    assert collection.n_objects == 4
    with pytest.warns(RuntimeWarning, match="annotation 23, covers no pixel"):
        a, _ = collection
    assert [entry.name for entry in a.objects] == ["11"]
