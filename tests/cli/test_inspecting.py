"""The command `inspect`: the inspector's figure and arrays, without a viewer."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from skimage.io import imread, imsave

from napari_ois.cli import main


@pytest.fixture
def photo(tmp_path):
    rows, columns = np.indices((60, 90))
    image = np.zeros((60, 90, 3), np.uint8)
    image[(rows - 30) ** 2 + (columns - 40) ** 2 < 200] = 200
    imsave(tmp_path / "photo.png", image, check_contrast=False)
    imsave(tmp_path / "depth.png", (columns * 2).astype(np.uint8), check_contrast=False)
    return tmp_path / "photo.png"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_figure_and_arrays_are_written(photo, tmp_path):
    out = tmp_path / "out"
    depth = tmp_path / "depth.png"
    out.mkdir()
    (out / "attention_07.tif").write_bytes(b"of an earlier run")
    result = run("inspect", photo, "-p", "30,40", "-n", "5,80", "-o", out, "--depth", depth, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert not (out / "attention_07.tif").exists()
    assert "Order changed" in result.output
    assert imread(out / "order.png").std() > 10
    maps = tifffile.imread(out / "attention_01.tif")
    assert maps.shape == (3, 60, 90) and maps.min() >= 0 and not np.allclose(maps[0], maps[1])
    record = json.loads((out / "order.json").read_text())
    changed = tifffile.imread(out / "changed.tif")
    assert (record["iou_with_and_without_order"] == 1) == (not changed.any())
    assert np.shape(record["sigma"]) == (3, 4) and 0 <= record["separation"] <= 1


def test_strength_zero_changes_nothing(photo, tmp_path):
    out = tmp_path / "out"
    result = run("inspect", photo, "-p", "30,40", "-o", out, "--strength", 0, "--block", 1, "--head", 2)
    assert result.exit_code == 0, result.output
    assert json.loads((out / "order.json").read_text())["iou_with_and_without_order"] == 1
    maps = tifffile.imread(out / "attention_01.tif")
    np.testing.assert_array_equal(maps[0], maps[1])


@pytest.mark.parametrize(
    ("wrong", "words"), [(("--strength", "-1"), "out of range"), (("--block", "9"), "no block"), (("-n", "99,0"), "9")]
)
def test_bad_input_is_one_sentence_and_nothing_is_written(photo, tmp_path, wrong, words):
    out = tmp_path / "out"
    result = run("inspect", photo, "-p", "30,40", "-o", out, *wrong)
    assert result.exit_code == 2
    assert words in result.output and not out.exists()
