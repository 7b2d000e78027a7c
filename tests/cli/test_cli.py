"""Commands write what they say; bad input is one sentence, exit code 2 and no file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from skimage.io import imsave

from napari_ois import checkpoints
from napari_ois.cli import main
from napari_ois.errors import WeightsError
from napari_ois.network import build


@pytest.fixture(autouse=True)
def weights(tmp_path_factory, monkeypatch):
    """Random weights in the embedded model's place: these tests are about commands, not masks."""
    path = tmp_path_factory.mktemp("weights") / "ois-compact.safetensors"
    path.write_bytes(b"weights")
    info = SimpleNamespace(
        name="ois-compact",
        preset="ois-compact",
        parameters=2_500_000,
        licence="BSD-3-Clause",
        size_bytes=7,
        sha256=hashlib.sha256(b"weights").hexdigest(),
        path=path,
        available=True,
        note="",
    )

    def load_model(name, *, device="cpu"):
        if name != "ois-compact":
            raise WeightsError(f'There is no model "{name}"; napari-ois models lists them.')
        torch.manual_seed(0)
        return build("ois-compact").eval(), info

    monkeypatch.setattr(checkpoints, "load_model", load_model, raising=False)
    monkeypatch.setattr(checkpoints, "list_models", lambda: [info], raising=False)
    return info


@pytest.fixture
def picture(tmp_path):
    rows, columns = np.indices((40, 60))
    image = np.where((rows - 20) ** 2 + (columns - 30) ** 2 < 100, 200, 50).astype(np.uint8)
    path = tmp_path / "picture.png"
    imsave(path, image, check_contrast=False)
    return path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def segment(picture, output, *more):
    return run("segment", picture, "--output", output, "--input-size", 64, "--device", "cpu", *more)


def test_segment_writes_all_files(picture, tmp_path):
    result = segment(picture, tmp_path / "out", "--positive", "20,30", "--negative", "2,3")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "clicks.csv",
        "depth.tif",
        "mask.tif",
        "order_negative_01.tif",
        "order_positive.tif",
        "overview.png",
        "probability.tif",
    ]
    assert tifffile.imread(tmp_path / "out" / "mask.tif").shape == (40, 60)
    assert "score" in result.output and "cpu" in result.output


def test_clicks_keep_the_order_of_the_command_line(picture, tmp_path):
    result = segment(picture, tmp_path / "out", "-p", "20,30", "-n", "2,3", "--positive=21,31", "-n1,1")
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "out" / "clicks.csv").read_text().split()
    assert lines[1:] == ["20.0,30.0,1", "2.0,3.0,0", "21.0,31.0,1", "1.0,1.0,0"]


def test_segment_equals_the_script(picture, tmp_path):
    from skimage.io import imread

    from napari_ois import Predictor

    clicks = [(20, 30), (2, 3), (22, 28)]
    segment(picture, tmp_path / "out", "-p", "20,30", "-n", "2,3", "-p", "22,28")
    predictor = Predictor(device="cpu", input_size=64)
    predictor.set_image(imread(picture))
    state = None
    for count in range(1, 4):
        prediction = predictor.predict(clicks[:count], [1, 0, 1][:count], previous=state)
        state = prediction.state
    probability = tifffile.imread(tmp_path / "out" / "probability.tif")
    np.testing.assert_array_equal(probability, prediction.probability)


def test_segment_takes_depth_and_channels(tmp_path):
    image, depth = tmp_path / "image.tif", tmp_path / "depth.npy"
    rng = np.random.default_rng(0)
    tifffile.imwrite(image, rng.integers(0, 4000, (2, 40, 60)).astype(np.uint16))
    np.save(depth, np.tile(np.arange(60.0), (40, 1)))
    result = segment(image, tmp_path / "out", "-p", "20,30", "--channel-axis", 0, "--depth", depth)
    assert result.exit_code == 0, result.output
    written = tifffile.imread(tmp_path / "out" / "depth.tif")
    np.testing.assert_allclose(written[7], np.arange(60) / 59, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": "missing.png"}, "There is no file"),
        ({"image": "damaged.png"}, "cannot be read as an image"),
        ({"image": "stack.tif"}, "channel_axis"),
        ({"clicks": ["-p", "40,3"]}, "Click 1 at row 40, column 3 lies outside"),
        ({"clicks": ["-p", "4"]}, "no ROW,COL"),
        ({"clicks": ["-p", "a,b"]}, "no ROW,COL"),
        ({"clicks": ["-p", "1,2,3"]}, "no ROW,COL"),
        ({"clicks": []}, "no click"),
        ({"clicks": ["-n", "1,1"]}, "only negative"),
        ({"more": ["--model", "nosuch"]}, 'no model "nosuch"'),
        ({"more": ["--device", "abacus"]}, "no device"),
        ({"more": ["--precision", "int3"]}, "no precision"),
        ({"more": ["--input-size", "3"]}, "input_size"),
        ({"more": ["--channel-axis", "5"]}, "channel_axis"),
        ({"more": ["--depth", "missing.tif"]}, "There is no file"),
        ({"more": ["--depth", "stack.tif"]}, "has shape"),
        ({"more": ["--nosuch"]}, "No such option"),
        ({"output": "damaged.png"}, "is a file"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_file(picture, tmp_path, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    Path("damaged.png").write_bytes(b"nothing")
    tifffile.imwrite("stack.tif", np.zeros((7, 40, 60), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    result = segment(
        changes.get("image", picture),
        changes.get("output", "out"),
        *changes.get("clicks", ["-p", "20,30"]),
        *changes.get("more", []),
    )
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.startswith("Error: ") and len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(picture, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    result = segment(picture, locked / "out", "-p", "20,30")
    assert result.exit_code == 2 and "may not be written" in result.stderr


def test_no_folder_can_be_made(picture, tmp_path, monkeypatch):
    """The disk refuses at the last moment."""

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = segment(picture, tmp_path / "out", "-p", "20,30")
    assert result.exit_code == 2 and "cannot be written: Permission denied" in result.stderr
    assert not (tmp_path / "out").exists()


def test_models_for_people_and_for_programs(weights):
    text = run("models")
    assert text.exit_code == 0 and "2.50 M parameters, BSD-3-Clause" in text.output
    assert str(checkpoints.user_folder()) in text.output
    records = json.loads(run("models", "--json").output)
    assert records[0]["name"] == "ois-compact" and records[0]["parameters"] == 2_500_000
    assert records[0]["sha256"] == weights.sha256 and records[0]["available"] is True


@pytest.mark.parametrize(("version", "code"), [("0.5.6", 1), ("0.6.6", 0), ("0.10.0rc1", 0)])
def test_doctor_knows_how_old_napari_may_be(monkeypatch, version, code):
    from napari_ois.cli import checkup

    monkeypatch.setattr(checkup, "_self_test", lambda model: (True, "self-test"))
    monkeypatch.setattr(
        checkup, "_version", lambda package: version if package == "napari" else None if package == "PySide6" else "1.0"
    )
    result = run("doctor")
    assert result.exit_code == code and ("needs 0.6.6 or newer" in result.output) == bool(code)


def test_doctor_names_what_it_found(monkeypatch):
    from napari_ois.cli import checkup

    monkeypatch.setattr(checkup, "_self_test", lambda model: (True, f"self-test: {model}"))
    result = run("doctor")
    assert result.exit_code == 0, result.output
    for words in ("torch 2", "Qt: ", "devices: ", "hash as expected", "self-test: ois-compact"):
        assert words in result.output
    assert "FAILED" not in result.output


@pytest.mark.parametrize(
    ("version", "python", "code"), [("6.12.0", (3, 11), 1), ("6.12.0", (3, 12), 0), ("6.11.3", (3, 11), 0)]
)
def test_doctor_knows_the_pyside_that_ends_napari(monkeypatch, version, python, code):
    from napari_ois.cli import checkup

    monkeypatch.setattr(checkup, "_self_test", lambda model: (True, "self-test"))
    monkeypatch.setattr(checkup, "_version", lambda package: version if package == "PySide6" else "1.0")
    monkeypatch.setattr(checkup.sys, "version_info", python)
    result = run("doctor")
    assert result.exit_code == code and ("install another one" in result.output) == bool(code)


def test_doctor_fails_on_damaged_weights_and_a_failed_test(weights, monkeypatch):
    from napari_ois.cli import checkup

    monkeypatch.setattr(checkup, "_self_test", lambda model: (True, "self-test"))
    weights.path.write_bytes(b"other")
    result = run("doctor")
    assert result.exit_code == 1 and "[FAILED] weights of ois-compact: damaged" in result.output
    weights.path.write_bytes(b"weights")
    monkeypatch.setattr(checkup, "_self_test", lambda model: (False, "self-test: no"))
    assert run("doctor").exit_code == 1


def test_doctor_opens_the_user_s_own_weights(monkeypatch, tmp_path):
    from napari_ois.checkpoints import loading, registry, save_checkpoint
    from napari_ois.cli import checkup

    monkeypatch.setattr(checkup, "_self_test", lambda model: (True, "self-test"))
    monkeypatch.setattr(checkpoints, "load_model", loading.load_model)
    monkeypatch.setattr(checkpoints, "list_models", registry.list_models)
    monkeypatch.setenv("NAPARI_OIS_CHECKPOINTS", str(tmp_path))
    mine, preset = tmp_path / "mine.safetensors", {"preset": "ois-compact"}
    save_checkpoint(build("ois-compact").state_dict(), mine, metadata=preset)
    assert "weights of mine: can be loaded" in run("doctor").output
    save_checkpoint({"other": torch.zeros(3)}, mine, metadata=preset)
    result = run("doctor")
    assert result.exit_code == 1 and "[FAILED] weights of mine: " in result.output
    mine.write_bytes(b"no weights")
    result = run("doctor")
    assert result.exit_code == 1 and "[FAILED] weights of mine: " in result.output and "is damaged" in result.output


def test_doctor_s_self_test_runs_the_model():
    from napari_ois.cli.checkup import _self_test

    _, line = _self_test("ois-compact")  # random weights: only that it came to a figure
    assert "IoU" in line
    good, line = _self_test("nosuch")
    assert not good and "no model" in line


def test_demo_without_napari_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("demo")
    assert result.exit_code == 2 and "napari-ois[viewer]" in result.stderr


def test_demo_passes_its_options_on(monkeypatch, tmp_path):
    calls = []
    fake = types.ModuleType("napari_ois._napari.demo")
    fake.run_demo = lambda output, exit_when_done: calls.append((output, exit_when_done)) or 0
    monkeypatch.setitem(sys.modules, "napari_ois._napari.demo", fake)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert run("demo", "--output", tmp_path, "--exit").exit_code == 0
    assert run("demo").exit_code == 0
    assert calls == [(tmp_path, True), (None, False)]


@pytest.fixture
def collection(tmp_path):
    """Two images with one object each."""
    folder = tmp_path / "data"
    (folder / "toy").mkdir(parents=True)
    lines = ["set,domain,image,mask,depth,object_id"]
    rows, columns = np.indices((40, 60))
    for index, column in enumerate((20, 40)):
        disk = ((rows - 20) ** 2 + (columns - column) ** 2 < 100).astype(np.uint8)
        imsave(folder / "toy" / f"{index}.png", disk * 150 + 50, check_contrast=False)
        imsave(folder / "toy" / f"{index}-mask.png", disk, check_contrast=False)
        lines.append(f"toy,natural,toy/{index}.png,toy/{index}-mask.png,,1")
    (folder / "MANIFEST.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_evaluate_reports(collection, tmp_path):
    options = ("--max-clicks", 3, "--input-size", 64, "--device", "cpu")
    result = run("evaluate", collection, *options, "--report", tmp_path / "report", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["objects"] == 2 and summary["max_clicks"] == 3
    assert 0 <= summary["mean_over_sets"]["iou_1"] <= 1
    assert json.loads((tmp_path / "report" / "summary.json").read_text()) == summary
    assert len((tmp_path / "report" / "objects.csv").read_text().splitlines()) == 3
    table = run("evaluate", collection, *options, "--limit", 1)
    assert table.exit_code == 0 and "mean over sets" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "MANIFEST.csv"),
        (["data", "--set", "nosuch"], "no set nosuch"),
        (["data", "--max-clicks", "0"], "max-clicks"),
    ],
)
def test_evaluate_refuses_bad_input(collection, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    result = run("evaluate", *arguments, "--report", "report")
    assert result.exit_code == 2 and words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("report").exists()


def test_train_passes_its_options_on(monkeypatch, tmp_path, weights):
    from napari_ois.training import run as training

    calls, saved = [], []

    def train(recipe, out, **options):
        calls.append((recipe, out, options))
        return SimpleNamespace(step=7, checkpoint=out / "last.pt")

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(checkpoints, "export", lambda *args: saved.append(args), raising=False)
    export = tmp_path / "weights" / "mine.safetensors"
    result = run(
        *("train", "--output", tmp_path / "out", "--steps", 9, "--batch", 3, "--scenes", 4, "--minutes", 2),
        *("--device", "cpu", "--export", export),
    )
    assert result.exit_code == 0, result.output
    ((recipe, out, options),) = calls
    assert (recipe.steps, recipe.preset, out) == (9, "ois-compact", tmp_path / "out")
    assert {phase.batch(step)[1] for phase in recipe.phases for step in range(9)} == {3}
    assert (options["scenes"], options["seconds"], options["device"]) == (4, 120, "cpu")
    assert saved == [(tmp_path / "out" / "last.pt", export, {})]
    assert "7 of 9 steps" in result.output


def test_vit_presets_train_by_the_paper_recipe_on_real_images(monkeypatch, tmp_path):
    from napari_ois.training import run as training

    calls = []
    fake = SimpleNamespace(step=0, checkpoint=tmp_path / "last.pt")
    monkeypatch.setattr(training, "train", lambda recipe, out, **rest: calls.append((recipe, rest)) or fake)
    chosen = ("--preset", "ois-vits", "--data", tmp_path, "--depth-weights", tmp_path / "depth")
    assert run("train", "--output", tmp_path / "out", *chosen).exit_code == 0
    ((recipe, rest),) = calls
    assert (recipe.loss, rest["scenes"], rest["depth_weights"]) == ("nfl", 0, tmp_path / "depth")


def test_fetch_says_the_licence_and_the_place(monkeypatch):
    def fetch(name, *, revision, show):
        show(f"licence of {name} at {revision}")
        return Path("here.safetensors")

    monkeypatch.setattr(checkpoints, "fetch_depth_weights", fetch, raising=False)
    result = run("models", "--fetch", "ois-vits", "--revision", "v1")
    assert (result.exit_code, result.stdout.strip()) == (0, "here.safetensors")
    assert result.stderr.strip() == "licence of ois-vits at v1"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scenes", "0"], "Nothing to learn from"),
        (["--preset", "nosuch"], "no preset nosuch"),
        (["--scenes", "0", "--data", "nowhere"], "nowhere"),
        (["--device", "abacus"], "no device"),
        (["--steps", "0"], "steps"),
        (["--switch", "use_order=maybe"], "is no switch"),
        (["--switch", "use_magic=true"], "no switch 'use_magic'"),
        (["--borrowed"], "--start"),
    ],
)
def test_train_refuses_bad_input(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    result = run("train", "--output", "out", *options)
    assert result.exit_code == 2 and words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("out").exists()


def test_help_is_fast_because_it_imports_little():
    code = (
        "import sys; from click.testing import CliRunner; from napari_ois.cli import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; "
        "print([n for n in ('torch', 'numpy', 'skimage', 'napari', 'qtpy') if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
