"""`napari-ois evaluate` with several methods: reports, going on, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from skimage.io import imread, imsave

from napari_ois.cli import main
from napari_ois.evaluation.speed import Speed

METHODS = ("--method", "flood-fill", "--method", "random-walker", "--max-clicks", 2)


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def cells(tmp_path):
    """Images and masks of two bright disks each."""
    folder = tmp_path / "cells"
    rows, columns = np.indices((36, 60))
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in (1, 2):
        labels = np.zeros((36, 60), np.uint8)
        for label, column in ((1, 16), (2, 44)):
            labels[(rows - 18) ** 2 + (columns - column) ** 2 < 64 + 10 * number] = label
        imsave(folder / "images" / f"{number}.png", (labels > 0) * np.uint8(150) + 40, check_contrast=False)
        imsave(folder / "masks" / f"{number}.png", labels, check_contrast=False)
    return folder


def test_methods_are_compared_and_the_report_goes_on(cells, tmp_path):
    report = tmp_path / "report"
    result = run("evaluate", cells, *METHODS, "--report", report)
    assert result.exit_code == 0, result.output
    assert "flood-fill" in result.stdout and "random-walker" in result.stdout and "*" in result.stdout
    rows = (report / "objects.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 2 * 4
    # as if it had been killed after the first five results
    (report / "objects.csv").write_text("\n".join(rows[:6]) + "\n" + rows[6][:9], encoding="utf-8")
    again = run("evaluate", cells, *METHODS, "--report", report, "--json")
    assert again.exit_code == 0, again.output
    assert "5 results were there already, 3 to go" in again.stderr
    summary = json.loads(again.stdout)
    assert summary["model"] == "flood-fill" and summary["methods"]["random-walker"]["objects"] == 4
    assert [row.split(",")[:9] for row in (report / "objects.csv").read_text(encoding="utf-8").splitlines()] == [
        row.split(",")[:9] for row in rows
    ]


def test_another_run_is_not_mixed_into_a_report(cells, tmp_path):
    report = tmp_path / "report"
    assert run("evaluate", cells, "--method", "flood-fill", "--max-clicks", 1, "--report", report).exit_code == 0
    before = {path.name: path.read_bytes() for path in report.iterdir()}
    result = run("evaluate", cells, "--method", "flood-fill", "--max-clicks", 2, "--report", report)
    assert result.exit_code == 2 and "another run (other max_clicks)" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in report.iterdir()} == before


def test_speed_is_measured_when_asked_for(cells, tmp_path, monkeypatch):
    asked = []

    def measure_apart(method, images, *, max_clicks):
        asked.append((method.name, len(images), max_clicks))
        return Speed("cpu", 0.01, 0.02, 1.5, None, 100.0, None)

    monkeypatch.setattr("napari_ois.evaluation.speed.measure_apart", measure_apart)
    result = run("evaluate", cells, *METHODS, "--speed", "--json", "--report", tmp_path / "r")
    assert result.exit_code == 0, result.output
    assert asked == [("flood-fill", 2, 2), ("random-walker", 2, 2)]
    assert json.loads(result.stdout)["methods"]["flood-fill"]["speed"]["sat_sequential"] == 1.5
    assert "## Speed" in (tmp_path / "r" / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "flood-fill", "--model", "ois-compact"], "not both"),
        (["--method", "flood-fill", "--method", "flood-fill"], "given twice"),
        (["--method", "nosuch"], "no model called"),
        (["--method", "sam:nowhere"], "no weights of sam"),
        (["--method", "sam"], "sam:FOLDER"),
        (["--method", "ois-compact:use_order=off"], "is no switch"),
        (["--method", "flood-fill", "--jobs", "0"], "jobs"),
    ],
)
def test_bad_options_are_one_sentence_and_leave_nothing(cells, tmp_path, arguments, words):
    result = run("evaluate", cells, *arguments, "--report", tmp_path / "report")
    assert result.exit_code == 2 and words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "report").exists()


def test_damaged_data_is_named_before_any_click(cells, tmp_path):
    (cells / "masks" / "2.png").unlink()
    result = run("evaluate", cells, *METHODS, "--report", tmp_path / "report")
    assert result.exit_code == 2 and "images/2.png (no partner)" in result.stderr
    assert not (tmp_path / "report").exists()


def test_masks_of_0_and_255_are_measured(cells):
    for path in (cells / "masks").iterdir():
        imsave(path, (imread(path) > 0) * np.uint8(255), check_contrast=False)
    result = run("evaluate", cells, "--method", "flood-fill", "--max-clicks", 1, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["objects"] == 2


def test_coco_objects_without_pixels_are_said_and_the_rest_is_measured(cells, tmp_path):
    shapes = {1: [[10, 10, 22, 10, 22, 26, 10, 26]], 2: [], 3: [[30.6, 5, 30.9, 5, 30.9, 30, 30.6, 30]]}
    content = {
        "images": [{"id": 1, "file_name": "1.png"}],
        "annotations": [{"id": key, "image_id": 1, "segmentation": shape} for key, shape in shapes.items()],
    }
    path = cells / "boxes.json"
    path.write_text(json.dumps(content))
    result = run("evaluate", path, *METHODS, "--report", tmp_path / "report", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["objects"] == 1
    said = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
    assert "1 annotations have no segmentation" in said[0] and "annotation 3, covers no pixel" in said[1]
    assert all(line.startswith("Warning: ") for line in result.stderr.splitlines())
