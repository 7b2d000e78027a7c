"""The demo runs through the widget, leaves its files, and says when a step fails."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import tifffile
from skimage import io

from napari_ois._napari.demo import FIRST_CLICK, run_demo
from napari_ois.errors import WeightsError


def test_it_leaves_what_a_reader_needs(qapp, fake, tmp_path, capsys) -> None:
    fake.radius = 20.0
    code = run_demo(tmp_path / "out", exit_when_done=True, predictor_factory=fake)
    assert code == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "screenshot.png",
        "mask.tif",
        "probability.tif",
        "depth.tif",
        "order_positive.tif",
        "clicks.csv",
    }
    mask = tifffile.imread(tmp_path / "out" / "mask.tif")
    assert mask[FIRST_CLICK] == 255
    assert mask.shape == (303, 384)
    assert tifffile.imread(tmp_path / "out" / "order_positive.tif")[FIRST_CLICK] == 0
    rows = list(csv.reader((tmp_path / "out" / "clicks.csv").open()))
    assert rows[1] == [str(float(FIRST_CLICK[0])), str(float(FIRST_CLICK[1])), "1"]
    picture = io.imread(tmp_path / "out" / "screenshot.png")
    assert min(picture.shape[:2]) > 500
    assert np.std(picture) > 10
    said = capsys.readouterr().out
    for step in ("viewer and widget", "embedded", "first click", "files written"):
        assert step in said


def test_it_says_why_it_failed(qapp, tmp_path, capsys) -> None:
    def factory(model: str, device: str) -> Any:
        raise WeightsError("There are no weights; train some.")

    code = run_demo(tmp_path / "out", exit_when_done=True, predictor_factory=factory)
    assert code == 1
    assert "There are no weights" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
