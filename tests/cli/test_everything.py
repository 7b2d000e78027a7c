"""Everything in an image is found without a click, by the model that is shipped, and written whole."""

from __future__ import annotations

import csv
import importlib

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from napari_ois.cli import main
from napari_ois.segmentation import everything, lazy_plane

CENTRES = [(40, 50), (40, 150), (45, 250), (140, 60), (150, 160), (145, 245)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows, columns = np.indices((192, 300))
    image = np.random.default_rng(0).normal(60, 4, rows.shape)
    for row, column in CENTRES:
        image[(rows - row) ** 2 + (columns - column) ** 2 < 28**2] += 110
    tifffile.imwrite("image.tif", image.clip(0, 255).astype(np.uint8))
    return tmp_path


def run(*words):
    return CliRunner().invoke(main, ["everything", *map(str, words)])


@pytest.mark.parametrize("large", [False, True])
def test_bright_discs_are_found_and_tabled(here, monkeypatch, large):
    if large:  # read in windows
        monkeypatch.setattr(lazy_plane, "LARGE", 10_000)
    result = run("image.tif", "-o", "out", "--grid", 8, "--device", "cpu")
    assert result.exit_code == 0, result.output
    labels = tifffile.imread("out/labels.tif")
    assert labels.shape == (192, 300)
    rows, columns = np.indices(labels.shape)
    for row, column in CENTRES:
        disc = (rows - row) ** 2 + (columns - column) ** 2 < 28**2
        mask = labels == labels[row, column]
        assert labels[row, column] > 0
        assert (mask & disc).sum() / (mask | disc).sum() > 0.8
    with open("out/labels.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert len({labels[centre] for centre in CENTRES}) == 6 <= len(table)
    assert all(float(line["score"]) >= 0.8 and float(line["stability"]) >= 0.7 for line in table)
    assert f"{len(table)} objects of 64 prompts" in result.output


def test_an_image_beyond_the_bound_is_refused_before_a_model_is_loaded(here, monkeypatch):
    monkeypatch.setattr(everything, "MOST_PIXELS", 50_000)
    command = importlib.import_module("napari_ois.cli.everything")  # its name in the package is the command's
    monkeypatch.setattr(command, "load_predictor", lambda *_: pytest.fail("no model is needed"))
    result = run("image.tif", "-o", "out")
    assert result.exit_code == 2 and result.output.count("\n") == 1
    assert "192 x 300 pixels is too large to look for everything in it (at most 0 million" in result.output
    assert [path.name for path in here.iterdir()] == ["image.tif"]


def test_a_plane_of_a_stack_is_chosen(here):
    tifffile.imwrite("stack.tif", np.stack([np.zeros((192, 300), np.uint8), tifffile.imread("image.tif")]))
    result = run("stack.tif", "-o", "out", "--plane", 1, "--grid", 4, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert tifffile.imread("out/labels.tif").any()


def test_bad_numbers_and_files_end_with_one_sentence_and_nothing_written(here):
    for words, sentence in (
        (("missing.tif",), "There is no file"),
        (("image.tif", "--score", 3), "score=3"),
        (("image.tif", "--grid", 0, "--device", "cpu"), "grid=0"),
    ):
        result = run(*words, "-o", "out")
        assert result.exit_code == 2
        assert sentence in result.output and result.output.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["image.tif"]
