"""An object goes through a stack on the command line, and its session makes the same labels again, bit for bit."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from torch import nn

from napari_ois.annotation import load_session
from napari_ois.cli import main, propagating, sessions
from napari_ois.network.order import normalize_depth
from napari_ois.segmentation.predictor import Predictor

SLICES = 7


class Bright(nn.Module):
    """What is bright within 12 pixels of the newest click, or was in the mask before; nothing where a slice is dark."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def embed_image(self, image, depth=None):
        return SimpleNamespace(image=image[0].mean(0), depth=normalize_depth(image[:, :1]))

    def decode_clicks(self, embedding, points, labels, previous=None):
        image = embedding.image
        rows, columns = torch.meshgrid(*(torch.arange(side) for side in image.shape), indexing="ij")
        row, column = points[0, -1]
        near = (rows - row) ** 2 + (columns - column) ** 2 < 144
        logits = torch.where(near & (image > image.min() + 0.5), 4.0, -4.0) * (1 if labels[0, -1] else -1)
        return logits[None, None] * self.weight + (0 if previous is None else previous.clip(-1, 1))


def truth(z: int) -> np.ndarray:
    rows, columns = np.indices((40, 60))
    return ((rows - 20) ** 2 + (columns - 15 - 2 * z) ** 2 <= 49) & (z < SLICES - 1)


@pytest.fixture(autouse=True)
def stack(tmp_path, monkeypatch) -> None:
    info = SimpleNamespace(name="ois-compact", sha256="12ab", available=True, note="")

    def load(model, device, precision, input_size, compiled=False):
        return Predictor.from_network(Bright(), input_size=60, multiple=1, device="cpu", precision="fp32", info=info)

    for module in (propagating, sessions):
        monkeypatch.setattr(module, "load_predictor", load)
    monkeypatch.chdir(tmp_path)
    pixels = np.stack([np.where(truth(z), 200, 20) for z in range(SLICES)]).astype(np.uint8)
    tifffile.imwrite("stack.tif", pixels)
    tifffile.imwrite("turned.tif", pixels.transpose(1, 0, 2))
    tifffile.imwrite("channels.tif", np.stack([pixels, pixels], axis=1), photometric="minisblack")


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_labels_slices_and_a_session_that_replays() -> None:
    result = run("propagate", "stack.tif", "-p", "2,20,19", "-o", "out")
    assert result.exit_code == 0, result.output
    labels = tifffile.imread("out/labels.tif")
    np.testing.assert_array_equal(labels, np.stack([truth(z) for z in range(SLICES)]))
    with open("out/slices.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["slice"]) for row in rows] == list(range(SLICES))
    assert [int(row["area_px"]) for row in rows] == [truth(z).sum() for z in range(SLICES)]
    assert [row["settled"] for row in rows] == ["0", "0", "1", "0", "0", "0", "0"]
    assert rows[-1]["flagged"] == "nothing was found"
    assert "Slices 0 to 5" in result.output and "Look at slice 6" in result.output
    objects = load_session("out/session.json").objects
    assert len(objects) == 6 and {obj.whole for obj in objects} == {1} and {obj.label for obj in objects} == {1}
    again = run("replay", "out/session.json", "stack.tif", "-o", "again", "--check")
    assert again.exit_code == 0, again.output
    np.testing.assert_array_equal(tifffile.imread("again/labels.tif"), labels)


def test_several_settled_slices_a_range_and_another_axis() -> None:
    words = ["turned.tif", "--axis", "1", "-p", "1,20,17", "-p", "4,20,23", "-n", "4,20,18", "--last", "5", "-o", "out"]
    assert run("propagate", *words).exit_code == 0
    labels = tifffile.imread("out/labels.tif")
    assert labels.shape == (40, SLICES, 60)
    assert labels[20, 1, 17] == 1 and not labels[:, 6].any()
    settled = [obj for obj in load_session("out/session.json").objects if obj.part is None or obj.part.settled]
    assert [(obj.plane.index[1], obj.clicks.labels.tolist()) for obj in settled] == [(1, [1]), (4, [1, 0])]
    assert run("replay", "out/session.json", "turned.tif", "-o", "again", "--check").exit_code == 0


def test_channels() -> None:
    assert run("propagate", "channels.tif", "--channel-axis", "1", "-p", "2,20,19", "-o", "out").exit_code == 0
    assert tifffile.imread("out/labels.tif").shape == (SLICES, 40, 60)
    assert run("replay", "out/session.json", "channels.tif", "-o", "again", "--check").exit_code == 0


def test_planes_too_large_are_refused_before_the_model_is_loaded(monkeypatch) -> None:
    monkeypatch.setattr("napari_ois.segmentation.lazy_plane.LARGE", 40 * 60 - 1)
    monkeypatch.setattr(propagating, "load_predictor", lambda *_: pytest.fail("no model is needed"))
    result = run("propagate", "stack.tif", "-p", "2,20,19", "-o", "out")
    assert result.exit_code == 2 and "crop the stack" in result.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("no click", []),
        ("no slice 9", ["-p", "9,1,1"]),
        ("negative clicks only", ["-p", "1,20,17", "-n", "3,1,1"]),
        ("is no SLICE,ROW,COL", ["-p", "1,2"]),
        ("outside", ["-p", "1,99,1"]),
        ("Nothing was found on slice 1", ["-p", "1,1,58"]),
        ("-2 is not in the range", ["-p", "1,20,17", "--first", "-2"]),
    ],
)
def test_what_cannot_be_done_is_one_sentence(says, words) -> None:
    result = run("propagate", "stack.tif", *words, "-o", "out")
    assert result.exit_code == 2
    assert says in result.output.replace("\n", " ")
