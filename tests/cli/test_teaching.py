"""Commands that teach hand their options on, and refuse bad input in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

pytest.importorskip("cv2", reason="training needs the extra 'train'")

from napari_ois.cli import teaching
from napari_ois.cli.parts import SentenceGroup
from napari_ois.training import depth_check, run
from napari_ois.training import finetune as tuning
from napari_ois.training.recipe import recipe_for

COMMANDS = [teaching.train, teaching.finetune, teaching.depth_accuracy, teaching.order_control]
GROUP = SentenceGroup(name="teaching", commands=COMMANDS)
BEFORE = {"noc85": 12.0, "noc90": 20.0, "iou_1": 0.3, "iou_3": 0.4, "iou_5": 0.5}


def call(*arguments):
    return CliRunner().invoke(GROUP, [str(argument) for argument in arguments])


@pytest.fixture
def tuned(monkeypatch, tmp_path):
    calls = []

    def finetune(data, output, **options):
        calls.append((data, output, options))
        return tuning.FinetuneReport(
            path=output / tuning.GOOD, better=True, before=BEFORE, after=BEFORE | {"noc85": 8.0}, objects=7,
            noc85_change=(-5.0, -3.0), share=0.5, trained_on=["a", "b"], chosen_on=[], kept_back=["c"], skipped=[],
            steps=5, seconds=30.0, start=options["start"],
        )  # fmt: skip

    monkeypatch.setattr(tuning, "finetune", finetune)
    return calls


def test_finetune_says_clicks_before_and_after(tuned, tmp_path):
    result = call("finetune", "--from", "mine", "--data", tmp_path, "-o", tmp_path / "out", "--minutes", 3, "--encoder")
    assert result.exit_code == 0, result.output
    ((data, output, options),) = tuned
    assert (data, output) == (tmp_path, tmp_path / "out")
    assert (options["start"], options["minutes"], options["encoder"], options["holdout"]) == ("mine", 3, True, 0.2)
    assert (options["dev"], options["objects"]) == (None, 60)
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith(("before", "after"))]
    assert [row[1] for row in rows] == ["12.00", "8.00"]
    assert "Better" in result.stdout and tuning.GOOD in result.stdout


def test_finetune_prints_a_report_for_programs(tuned, tmp_path):
    others = ("--dev", tmp_path / "others", "--objects", 500)
    result = call("finetune", "--data", tmp_path, "-o", tmp_path / "out", "--json", *others)
    assert [tuned[0][2][name] for name in ("dev", "objects")] == [tmp_path / "others", 500]
    found = json.loads(result.stdout)
    assert found["after"]["noc85"] == 8.0 and found["start"] == "ois-compact"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--data", ".", "--holdout", "1"], "holdout"),
        (["--data", ".", "--minutes", "0"], "minutes"),
        (["--data", "."], "no layout"),
        (["--data", ".", "--seed", "-1"], "seed"),
    ],
)
def test_finetune_refuses_bad_input(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    result = call("finetune", "--output", "out", *options)
    assert result.exit_code == 2 and words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("out").exists()


def test_train_hands_on_what_concerns_devices_and_measuring(monkeypatch, tmp_path):
    calls = []
    fake = SimpleNamespace(step=0, checkpoint=tmp_path / "last.pt")
    monkeypatch.setattr(run, "train", lambda recipe, out, **rest: calls.append(rest) or fake)
    options = ("--precision", "bf16", "--accumulate", 4, "--dev", tmp_path, "--dev-every", 50, "--tensorboard")
    result = call("train", "-o", tmp_path / "out", "--device", "cpu", *options)
    assert result.exit_code == 0, result.output
    (rest,) = calls
    assert (rest["precision"], rest["accumulate"], rest["tensorboard"]) == ("bf16", 4, True)
    assert (rest["dev"], rest["dev_every"]) == (tmp_path, 50)


def test_train_hands_on_what_makes_an_ablation(monkeypatch, tmp_path):
    recipes = []
    fake = SimpleNamespace(step=0, checkpoint=tmp_path / "last.pt")
    monkeypatch.setattr(run, "train", lambda recipe, out, **rest: recipes.append(recipe) or fake)
    options = ("--start", "ois-compact", "--borrowed", "--switch", "use_order=false", "--switch", "num_blocks=2")
    result = call("train", "-o", tmp_path / "out", "--device", "cpu", *options)
    assert result.exit_code == 0, result.output
    (recipe,) = recipes
    assert recipe.borrowed and recipe.switches == {"use_order": False, "num_blocks": 2}
    assert recipe == replace(recipe_for("ois-compact"), borrowed=True, switches=recipe.switches)  # from the beginning


def test_train_takes_another_optimizer_and_refuses_one_that_it_does_not_know(monkeypatch, tmp_path):
    recipes = []
    fake = SimpleNamespace(step=0, checkpoint=tmp_path / "last.pt")
    monkeypatch.setattr(run, "train", lambda recipe, out, **rest: recipes.append(recipe) or fake)
    options = ("train", "-o", tmp_path / "out", "--device", "cpu", "--optimizer")
    assert call(*options, "adam").exit_code == 0
    assert recipes == [recipe_for("ois-compact", optimizer="adam")] != [recipe_for("ois-compact")]
    refused = call(*options, "lion")
    assert refused.exit_code == 2 and "adam, muon" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1 and len(recipes) == 1


def test_train_refuses_a_folder_that_is_no_collection(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for option in ("--dev", "--data"):
        result = call("train", "-o", "out", "--device", "cpu", "--scenes", 0, "--data", "nowhere", option, tmp_path)
        assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
        assert "no layout" in result.stderr
        assert not Path("out").exists()


def test_train_refuses_what_it_could_not_use_or_write_in_the_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "train", lambda *_, **__: pytest.fail("it began"))
    Path("folder.safetensors").mkdir()
    options = (("--export", "."), ("--export", "a.pt"), ("--export", "folder.safetensors"), ("--seed", "-1"))
    for option, value in options:
        result = call("train", "-o", "out", "--device", "cpu", option, value)
        assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
        assert value in result.stderr and option in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "-o", "out"),
        ("finetune", "--data", ".", "-o", "out"),
        ("depth-accuracy", "."),
        ("order-control", "--scenes", 1),
    ],
)
def test_without_the_extra_each_says_what_to_install(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "train", lambda *_, **__: pytest.fail("it began"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = call(*arguments)
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert 'pip install "napari-ois[train]"' in result.stderr


def test_depth_accuracy_prints_sets_and_their_mean(monkeypatch, tmp_path):
    seen = []
    found = depth_check.DepthAccuracy({"a": 0.75, "b": 0.55}, {"a": 3, "b": 1}, 0.65, 0.6)
    monkeypatch.setattr(depth_check, "images_with_depth", lambda data: [data])
    monkeypatch.setattr(depth_check, "depth_accuracy", lambda *arguments, **options: seen.append(options) or found)
    monkeypatch.setattr(teaching, "load_predictor", lambda *_: None)
    text = call("depth-accuracy", tmp_path, "--pairs", 9).stdout
    assert "0.750" in text and text.splitlines()[-2].split()[3] == "0.650"
    assert text.splitlines()[-1].startswith("lower is nearer  0.600")
    assert seen[0]["pairs"] == 9
    assert json.loads(call("depth-accuracy", tmp_path, "--json").stdout)["mean"] == 0.65


def test_depth_accuracy_refuses_a_folder_without_depth(tmp_path):
    result = call("depth-accuracy", tmp_path)
    assert result.exit_code == 2 and "no layout" in result.stderr
