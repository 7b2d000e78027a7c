"""Boxes and scribbles on the command line are what they are in a script, in the order given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner

from napari_ois import checkpoints
from napari_ois.annotation import Prompt, Replay
from napari_ois.cli import main
from napari_ois.network import build
from napari_ois.segmentation.predictor import Predictor

SHAPE = (48, 64)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    def load_model(name):
        torch.manual_seed(0)
        return build("ois-compact").eval(), SimpleNamespace(preset="ois-compact", available=True, note="")

    monkeypatch.setattr(checkpoints, "load_model", load_model, raising=False)
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("image.tif", np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8))


def segment(*options: str):
    return CliRunner().invoke(
        main, ["segment", "image.tif", "-o", "out", "--input-size", "64", "--device", "cpu", *options]
    )


def test_a_box_scribbles_and_clicks_are_played_in_the_order_given():
    given = ["--box", "10,20,30,50", "--negative-scribble", "40,2 40,60", "-n", "3,3", "--scribble", "20,30 20,45"]
    result = segment(*given)
    assert result.exit_code == 0, result.output
    prompt = Prompt().with_box([(10, 20), (30, 50)], SHAPE).with_scribble([(40, 2), (40, 60)], SHAPE, False)
    prompt = prompt.with_click(3, 3, False).with_scribble([(20, 30), (20, 45)], SHAPE)
    predictor = Predictor(device="cpu", input_size=64)
    predictor.set_image(tifffile.imread("image.tif"))
    expected = Replay(predictor).answer(prompt.clicks, seed=prompt.seed)
    np.testing.assert_array_equal(tifffile.imread("out/probability.tif"), expected.probability)
    clicks = np.loadtxt("out/clicks.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(clicks[1:, :2], prompt.clicks.points, atol=1e-3)
    assert clicks[0, 2] == 1 and 10 <= clicks[0, 0] <= 30 and 20 <= clicks[0, 1] <= 50  # the box's guess


def test_a_ring_is_boxed_and_its_hole_clicked_away():
    result = segment("--box", "10,20,30,50", "--negative", "20,35")
    assert result.exit_code == 0, result.output
    clicks = np.loadtxt("out/clicks.csv", delimiter=",", skiprows=1)
    assert clicks[:, 2].tolist() == [1, 0] and clicks[1, :2].tolist() == [20, 35]
    assert ((clicks[0, 0] - 20) / 21) ** 2 + ((clicks[0, 1] - 35) / 31) ** 2 >= 0.2**2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--box", "1,2,3"], "write ROW,COL,ROW,COL"),
        (["--box", "1,2,3,4,5,6"], "write ROW,COL,ROW,COL"),
        (["--box", "5,5,5,9"], "no extent"),
        (["--scribble", "1,2 3"], "list of places"),
        (["--scribble", ""], "list of places"),
        (["--negative-scribble", "1,2 3,4"], "positive"),
        ([], "positive"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(options, words):
    result = segment(*options)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
