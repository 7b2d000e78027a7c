"""A session file and its image make the same labels again on the command line; labels leave in other formats."""

from __future__ import annotations

import json
from types import SimpleNamespace

import click
import numpy as np
import pytest
import tifffile
import torch
import zarr
from click.testing import CliRunner
from PIL import Image
from torch import nn

from napari_ois.annotation import (
    ArrayCanvas,
    Clicks,
    Document,
    ImageSignature,
    PlaneKey,
    Replay,
    Session,
    Settings,
    save_session,
)
from napari_ois.annotation.answers import pack_answer
from napari_ois.annotation.export import read_coco
from napari_ois.cli import sessions
from napari_ois.cli.parts import SentenceGroup
from napari_ois.cli.sessions import export, replay
from napari_ois.network.order import normalize_depth
from napari_ois.segmentation.depth import depth_key, prepare_depth
from napari_ois.segmentation.image_files import FileArray
from napari_ois.segmentation.order_files import map_file
from napari_ois.segmentation.predictor import Predictor

SIZE = 60


class SpotNetwork(nn.Module):
    """Finds what is as bright as at the newest click and near to it; goes on from the answer before."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def embed_image(self, image, depth=None):
        seen = image[0, 0] if depth is None else depth[0, 0]  # so that a given depth is seen in the mask
        return SimpleNamespace(image=seen, depth=normalize_depth(image[:, :1]))

    def decode_clicks(self, embedding, points, labels, previous=None):
        image = embedding.image
        rows, columns = torch.meshgrid(*(torch.arange(side) for side in image.shape), indexing="ij")
        row, column = points[0, -1]
        value = image[int(row.round()), int(column.round())]
        alike = ((image - value).abs() < 0.2) & ((rows - row) ** 2 + (columns - column) ** 2 < 500)
        logits = torch.where(alike, 4.0, -4.0) * (1 if labels[0, -1] else -0.5)
        return logits[None, None] * self.weight + (0 if previous is None else previous)


@pytest.fixture(autouse=True)
def predictor(monkeypatch):
    """A network of a few lines in the model's place: these tests are about commands, not masks."""
    info = SimpleNamespace(name="ois-compact", sha256="12ab", available=True, note="")
    asked = []

    def load(model, device, precision, input_size, compiled=False):
        asked.append((model, precision, input_size))
        return Predictor.from_network(
            SpotNetwork(), input_size=SIZE, multiple=1, device="cpu", precision="fp32", info=info
        )

    monkeypatch.setattr(sessions, "load_predictor", load)
    return SimpleNamespace(load=load, asked=asked)


@pytest.fixture
def image(tmp_path):
    rows, columns = np.indices((40, 60))
    spot = (rows - 20) ** 2 + (columns - 30) ** 2 < 100
    stack = np.stack([np.where(spot, 200, 50), np.where(spot, 30, 180)]).astype(np.uint8)
    tifffile.imwrite(tmp_path / "image.tif", stack)
    return stack


@pytest.fixture
def session(image, predictor):
    """Two planes clicked on with the model, both rules, a stroke of the brush."""
    model = predictor.load("ois-compact", "cpu", "fp32", SIZE)
    document = Document(ArrayCanvas(np.zeros(image.shape, np.int32)))
    places = [(0, 20, 30, "keep"), (0, 20, 42, "overwrite"), (1, 20, 30, "keep")]
    for number, (z, row, column, rule) in enumerate(places, start=1):
        clicks = Clicks().added(row, column).added(35, 55, positive=False)
        document.start(PlaneKey((1, 2), (z, 0, 0)), name=f"spot {number}", clicks=clicks)
        model.set_image(image[z])
        prediction = Replay(model).answer(clicks)
        mask = prediction.mask
        painted = mask.copy()
        painted[:4, :4] = ~painted[:4, :4]
        document.paint_edit(number, mask, painted)
        document.accept(number, document[number].mask(prediction), rule=rule, score=0.5)
    made_with = {"name": "ois-compact", "sha256": "12ab", "input_size": SIZE, "precision": "fp32"}
    labels = document.canvas.arrays["labels"]
    return Session(ImageSignature.of(image), document.objects, made_with, pixel_size=(2, 0.5, 0.5), unit="mm"), labels


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    group = SentenceGroup(commands=[replay, export])

    def call(*arguments: str) -> click.testing.Result:
        return CliRunner().invoke(group, list(arguments))

    return call


def test_replay_makes_the_same_labels_again(run, session, predictor, tmp_path) -> None:
    saved, labels = session
    assert 0 in labels[0]
    predictor.asked.clear()
    save_session(tmp_path / "session.json", saved)
    result = run("replay", "session.json", "image.tif", "--output", "again", "--device", "cpu", "--check")
    assert result.exit_code == 0, result.output
    assert predictor.asked == [("ois-compact", "fp32", SIZE)]
    assert "3 of 3 objects are as in the session" in result.output
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "again" / "labels.tif"), labels)
    lines = (tmp_path / "again" / "labels.csv").read_text().splitlines()
    assert len(lines) == len(np.unique(labels))
    assert lines[1].startswith("1,spot 1,")


def test_replay_takes_an_ome_zarr(run, session, image, tmp_path) -> None:
    saved, labels = session
    save_session(tmp_path / "session.json", saved)
    zarr.create_array(str(tmp_path / "image.zarr"), data=image, chunks=(1, 20, 20))
    result = run("replay", "session.json", "image.zarr", "--output", "again", "--device", "cpu", "--check")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "again" / "labels.tif"), labels)
    (tmp_path / "empty").mkdir()
    result = run("replay", "session.json", "empty", "--output", "again")
    assert result.exit_code == 2 and "without a zarr array" in result.output


@pytest.mark.usefixtures("large_from_a_megapixel")
def test_a_large_image_is_replayed_in_windows(run, bright_predictor, monkeypatch, tmp_path) -> None:
    shape, chunk = (2_600, 3_000), 256
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    image = np.full(shape, 20, np.uint8)
    image[(rows - 600) ** 2 + (columns - 2_300) ** 2 <= 90**2] = 200
    group = zarr.open_group(str(tmp_path / "slide.zarr"), mode="w")
    levels = [image, image[::4, ::4]]
    for number, level in enumerate(levels):
        group.create_array(str(number), data=level, chunks=(chunk, chunk))
    group.attrs["multiscales"] = [
        {"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": str(number)} for number in range(2)]}
    ]
    predictor = bright_predictor()
    predictor.set_image(levels)
    document = Document(ArrayCanvas({name: np.zeros(shape, np.int32) for name in ("labels", "others")}))
    for target in ("labels", "others"):
        obj = document.start(PlaneKey(), clicks=Clicks().added(600, 2_300))
        document.accept(obj.number, pack_answer(Replay(predictor).answer(obj.clicks), shape), target=target)
    saved = Session(ImageSignature.of(image), document.objects, pixel_size=(0.5, 0.25), unit="mm")
    save_session(tmp_path / "session.json", saved)
    monkeypatch.setattr(sessions, "load_predictor", lambda *_: bright_predictor())
    read, plain = set(), FileArray.__getitem__

    def remembered(array, key):
        found = plain(array, key)
        if array.shape == shape:
            read.add(found.size)
        return found

    monkeypatch.setattr(FileArray, "__getitem__", remembered)
    result = run("replay", "session.json", "slide.zarr", "-o", "again", "--device", "cpu", "--check")
    assert result.exit_code == 0, result.output
    assert read and max(read) < image.size / 2
    for target in ("labels", "others"):
        with tifffile.TiffFile(tmp_path / "again" / f"{target}.tif") as written:
            page = written.pages[0]
            assert page.is_tiled and page.tags["XResolution"].value == (4, 1)
            np.testing.assert_array_equal(page.asarray(), document.canvas.arrays[target])


def test_replay_says_what_differs(run, session, tmp_path) -> None:
    saved, _ = session
    save_session(tmp_path / "session.json", saved)
    record = json.loads((tmp_path / "session.json").read_text())
    record["objects"][0]["edits"] = None
    (tmp_path / "session.json").write_text(json.dumps(record))
    command = ("replay", "session.json", "image.tif", "-o", "again", "--device", "cpu")
    assert run(*command).exit_code == 0
    result = run(*command, "--check")
    assert result.exit_code == 1
    assert "spot 1, label 1:" in result.output
    assert "16 pixels differ" in result.output
    assert "2 of 3 objects" in result.output


@pytest.mark.parametrize(
    ("says", "spoil"),
    [
        ("not the image", lambda r: r["image"].update(sha256="0")),
        ("hashes differ", lambda r: r["model"].update(sha256="0")),
        ("does not know (order strength)", lambda r: r["order"].update({"order strength": 1})),
    ],
)
def test_another_image_model_or_setting_needs_force(run, session, tmp_path, says, spoil) -> None:
    save_session(tmp_path / "session.json", session[0])
    record = json.loads((tmp_path / "session.json").read_text())
    spoil(record)
    (tmp_path / "session.json").write_text(json.dumps(record))
    command = ("replay", "session.json", "image.tif", "-o", "again", "--device", "cpu")
    result = run(*command)
    assert result.exit_code == 2
    assert says in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "again").exists()
    assert run(*command, "--force").exit_code == 0
    assert (tmp_path / "again" / "labels.tif").exists()


def test_a_session_without_objects_is_refused(run, image, tmp_path) -> None:
    save_session(tmp_path / "session.json", Session(ImageSignature.of(image)))
    result = run("replay", "session.json", "image.tif", "-o", "again")
    assert result.exit_code == 2
    assert "no accepted object" in result.output


def test_export_takes_names_and_pixel_size_from_a_session(run, session, tmp_path) -> None:
    saved, labels = session
    save_session(tmp_path / "session.json", saved)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    result = run("export", "labels.tif", "--to", "coco", "--output", "new/out.json", "--session", "session.json")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "new" / "out.json").read_text())
    np.testing.assert_array_equal(read_coco(record), labels)
    assert record["annotations"][0]["name"] == "spot 1"
    result = run("export", "labels.tif", "-o", "out.csv", "--session", "session.json")
    assert result.exit_code == 0, result.output
    row = (tmp_path / "out.csv").read_text().splitlines()[1].split(",")
    assert (int(row[2]), float(row[3]), row[4]) == ((labels == 1).sum(), (labels == 1).sum() * 0.25, "mm²")


@pytest.mark.parametrize(
    ("says", "arguments"),
    [
        ("does not say its format", ("labels.tif", "-o", "out.png")),
        ("no format", ("labels.tif", "-o", "out.tif", "--to", "png")),
        ("no pixel size", ("labels.tif", "-o", "out.tif", "--pixel-size", "a")),
        ("one length for each", ("labels.tif", "-o", "out.tif", "--pixel-size", "1,2,3")),
        ("There is no file", ("none.tif", "-o", "out.tif")),
        ("integers", ("float.tif", "-o", "out.tif")),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(run, tmp_path, says, arguments) -> None:
    tifffile.imwrite(tmp_path / "labels.tif", np.eye(5, dtype=np.uint8))
    tifffile.imwrite(tmp_path / "float.tif", np.eye(5, dtype=np.float32))
    result = run("export", *arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert result.output.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"labels.tif", "float.tif"}


def test_ids_of_a_palette_are_its_indices_and_colours_are_refused(run, tmp_path) -> None:
    ids = np.zeros((8, 9), np.uint8)
    ids[2:5, 3:7] = 2
    picture = Image.fromarray(ids, mode="P")
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.save(tmp_path / "ids.png")
    result = run("export", str(tmp_path / "ids.png"), "--to", "tiff", "-o", str(tmp_path / "ids.tif"))
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "ids.tif"), ids)
    picture.convert("RGB").save(tmp_path / "colours.png")
    result = run("export", str(tmp_path / "colours.png"), "--to", "tiff", "-o", str(tmp_path / "b.tif"))
    assert result.exit_code == 2 and "colours" in result.output
    assert not (tmp_path / "b.tif").exists()


def test_sets_of_labels_whose_names_differ_in_signs_have_files_of_their_own(tmp_path) -> None:
    saved = SimpleNamespace(pixel_size=None, unit="pixel")
    arrays = {
        name: np.full((4, 4), number, np.uint8) for number, name in enumerate(("A/B", "A:B", "a_b_3", "a_b"), start=1)
    }
    sessions._write(tmp_path / "out", saved, [], arrays)
    written = {path.name: tifffile.imread(path).max() for path in (tmp_path / "out").glob("*.tif")}
    assert written == {"A_B.tif": 1, "A_B_2.tif": 2, "a_b_3.tif": 3, "a_b_4.tif": 4}


def test_replay_takes_the_map_that_the_order_came_from(run, image, predictor, tmp_path) -> None:
    depth = prepare_depth(np.linspace(0, 1, 40 * 60).reshape(40, 60) ** 2, (40, 60))
    key = depth_key(depth)
    model = predictor.load("ois-compact", "cpu", "fp32", SIZE)
    model.set_image(image[0], depth=depth)
    document = Document(ArrayCanvas(np.zeros(image.shape, np.int32)))
    document.start(PlaneKey((1, 2), (0, 0, 0)), clicks=Clicks().added(20, 30), settings=Settings(order=key))
    document.accept(1, Replay(model).answer(document[1].clicks).mask)
    saved = Session(
        ImageSignature.of(image), document.objects, {"sha256": "12ab"}, order={"maps": {key: {"statement": "Heights."}}}
    )
    save_session(tmp_path / "session.json", saved)
    command = ("replay", "session.json", "image.tif", "-o", "again", "--device", "cpu", "--check")
    refused = run(*command)
    assert refused.exit_code == 2 and "Heights." in refused.output and "--depth" in refused.output
    assert run(*command, "--force").exit_code == 1  # the model's own depth gives another mask
    tifffile.imwrite(tmp_path / "other.tif", np.ones((40, 60), np.float32))
    assert "not here" in run(*command, "--depth", "other.tif").output
    tifffile.imwrite(map_file(tmp_path / "session.json", key), depth)
    found = run(*command)
    assert found.exit_code == 0, found.output
    assert f"Order from depth map {key}: Heights." in found.output
