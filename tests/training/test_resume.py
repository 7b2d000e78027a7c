"""A killed training ends where it would have ended; measuring it on the way changes nothing."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="training needs the extra 'train'")

from napari_ois.checkpoints import export, load_model
from napari_ois.checkpoints.exporting import read_training
from napari_ois.checkpoints.store import save_checkpoint
from napari_ois.errors import InputError
from napari_ois.network import build
from napari_ois.training import trainer as training
from napari_ois.training.batches import Phase
from napari_ois.training.dev import FIGURES, Labelled, dev_images, is_better, measure
from napari_ois.training.folders import read_collection
from napari_ois.training.logs import CsvLog
from napari_ois.training.recipe import Recipe, as_plain, is_same
from napari_ois.training.scenes import load_cache, write_cache
from napari_ois.training.trainer import Trainer

RECIPE = Recipe(
    steps=4, phases=(Phase(1.0, 64, 2, turns=((32, 4),)),), warmup=2, seed=7, rate=1e-3, rounds=(0.5, 0.5), ema=0.9,
    objects=1, switches={"mixer_widths": None, "num_blocks": 1},
)  # fmt: skip


class Killed(Exception):
    """The machine went away."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_cache(folder, 6, size=64, seed=1, workers=1, progress=False)
    return folder


@pytest.fixture
def dev(tmp_path, scenes):
    """One image with one object to measure on, in the plain layout."""
    scene = load_cache(scenes).scene(0)
    largest = np.bincount(scene.ids[scene.ids > 0]).argmax()
    for name, array in (("images", scene.rgb), ("masks", (scene.ids == largest).astype(np.int32))):
        (tmp_path / "dev" / name).mkdir(parents=True)
        np.save(tmp_path / "dev" / name / "one.npy", array)
    return tmp_path / "dev"


def assert_same(one, two):
    for a, b in ((one.model.state_dict(), two.model.state_dict()), (one.average, two.average)):
        assert a.keys() == b.keys()
        for name in a:
            assert torch.equal(a[name], b[name]), name


def trainer(out, scenes, **options):
    return Trainer(RECIPE, out, pack=None, scenes=scenes, accumulate=2, **options)


def test_killed_and_resumed_with_accumulation_and_mean_is_the_same_bit_for_bit(tmp_path, scenes, monkeypatch):
    monkeypatch.setattr(training, "LOG_EVERY", 2)
    whole = trainer(tmp_path / "whole", scenes)
    whole.run(workers=0)
    killed = trainer(tmp_path / "killed", scenes)
    save, seen, step = killed.save, [], killed._train_step

    def save_once():
        if not seen:
            save()
        seen.append(killed.step)

    def step_until(batch):
        if killed.step == 3:
            raise Killed
        return step(batch)

    monkeypatch.setattr(killed, "save", save_once)
    monkeypatch.setattr(killed, "_train_step", step_until)
    with pytest.raises(Killed):
        killed.run(workers=0, save_every=0)
    assert seen[0] == 1 and seen[-1] == 3  # two steps and a row of the log are lost
    torch.manual_seed(99)
    resumed = trainer(tmp_path / "killed", scenes)
    assert resumed.step == 1
    resumed.run(workers=0)
    assert_same(resumed, whole)
    columns = ("step", "loss", "iou_last", "rate")
    curves = [[[row[c] for c in columns] for row in t.log.rows()] for t in (resumed, whole)]
    assert curves[0] == curves[1] and [row[0] for row in curves[0]] == ["2", "4"]


def test_measuring_changes_nothing_and_keeps_the_best(tmp_path, scenes, dev, monkeypatch):
    figures = iter([9.0, 12.0])

    def measured(predictor, images):
        assert len(list(images)) == 1 and not predictor.has_image
        torch.rand(3), np.random.rand(3)  # whatever an evaluation may draw
        return dict.fromkeys(FIGURES, 0.5) | {"noc85": next(figures)}

    monkeypatch.setattr(training, "measure", measured)
    plain = trainer(tmp_path / "plain", scenes)
    plain.run(workers=0)
    watched = trainer(tmp_path / "watched", scenes, dev=dev_images(dev), dev_every=2)
    watched.run(workers=0)
    assert_same(watched, plain)
    assert [(row["step"], row["noc85"]) for row in watched.dev_log.rows()] == [("2", "9"), ("4", "12")]
    best = torch.load(tmp_path / "watched" / "best.pt", weights_only=True)
    assert (best["step"], best["dev"]["noc85"]) == (2, 9.0)
    assert not all(torch.equal(best["average"][k], v) for k, v in watched.average.items())
    model, _ = load_model(export(tmp_path / "watched" / "best.pt", tmp_path / "best.safetensors", {}))
    name = "mask_decoder.head.conv3.bias"
    torch.testing.assert_close(model.state_dict()[name], best["average"][name])
    assert trainer(tmp_path / "watched", scenes).state.best["noc85"] == 9.0  # a resumed run does not forget it


def test_the_best_is_sought_anew_on_other_images(tmp_path, scenes, dev, monkeypatch):
    figures = iter([4.0, 9.0, 6.0])
    monkeypatch.setattr(training, "measure", lambda *_: dict.fromkeys(FIGURES, 0.5) | {"noc85": next(figures)})
    watched = trainer(tmp_path / "watched", scenes, dev=dev_images(dev))
    watched.measure()
    watched.save()
    (dev / "images" / "one.npy").rename(dev / "images" / "two.npy")
    (dev / "masks" / "one.npy").rename(dev / "masks" / "two.npy")
    resumed = trainer(tmp_path / "watched", scenes, dev=dev_images(dev))
    assert resumed.state.best["noc85"] == 4.0
    for expected in (9.0, 6.0):
        resumed.measure()
        assert resumed.state.best["noc85"] == expected
        assert torch.load(tmp_path / "watched" / "best.pt", weights_only=True)["dev"]["noc85"] == expected


def test_a_training_says_what_it_started_from(tmp_path, scenes):
    assert trainer(tmp_path / "fresh", scenes).state.start == ""
    switches = RECIPE.switches
    torch.manual_seed(3)
    path = save_checkpoint(
        build("ois-compact", **switches).state_dict(),
        tmp_path / "own.safetensors",
        metadata={"preset": "ois-compact", "switches": switches},
    )
    (tmp_path / "began").mkdir()
    began = trainer(tmp_path / "began", scenes, start=path)
    began.save()
    again = trainer(tmp_path / "began", scenes)
    assert again.state.start == began.state.start and began.state.start.startswith("own.safetensors (sha256 ")
    assert read_training(tmp_path / "began" / "last.pt")[1]["start"] == began.state.start


def test_images_to_measure_on_hold_each_object_once(dev):
    (image,) = dev_images(dev)
    assert image.image.shape == (64, 64, 3) and image.depth is None
    assert [o.name for o in image.objects] == ["1"] and set(np.unique(image.objects[0].target)) == {0, 1}
    assert Labelled(read_collection(dev), most=1).n_objects == 1

    class Right:
        def set_image(self, image, depth=None):
            self.asked = 0

        def predict(self, points, labels, previous=None):
            self.asked += 1  # nothing at the first click, then the object
            return SimpleNamespace(mask=(self.asked > 1) & (image.objects[0].target == 1), state=None)

    figures = measure(Right(), dev_images(dev))
    assert figures == {"iou_1": 0.0, "iou_3": 1.0, "iou_5": 1.0, "noc85": 2.0, "noc90": 2.0}
    np.save(dev / "masks" / "one.npy", np.zeros((64, 64), np.uint8))
    with pytest.raises(InputError, match="no object"):
        dev_images(dev)


def test_fewer_clicks_are_better_and_ties_go_on():
    old = {"noc85": 5.0, "noc90": 9.0, "iou_1": 0.5, "iou_3": 0.6, "iou_5": 0.7}
    assert is_better(old, None) and not is_better(old, old)
    assert is_better(old | {"noc85": 4.9, "noc90": 20.0}, old)
    assert not is_better(old | {"noc85": 5.1, "noc90": 1.0}, old)
    assert is_better(old | {"iou_5": 0.71}, old) and not is_better(old | {"noc90": 9.1, "iou_5": 0.9}, old)


def test_a_checkpoint_of_an_older_version_has_the_same_recipe():
    stored = as_plain(RECIPE)
    del stored["view"], stored["at_maximum"]  # this version's
    assert is_same(stored, RECIPE)
    assert not is_same(stored, replace(RECIPE, view="whole"))


def test_rows_after_the_checkpoint_are_taken_out(tmp_path):
    log = CsvLog(tmp_path / "log.csv", ("step", "loss"))
    for step in (50, 100, 150):
        log.write({"step": step, "loss": 1 / step})
    log.cut(100)
    assert [row["step"] for row in log.rows()] == ["50", "100"]
    log.write({"step": 150, "loss": 3})
    assert log.rows()[-1] == {"step": "150", "loss": "3"}


def test_the_board_is_written_where_tensorboard_is_here_and_refused_where_not(tmp_path, scenes, monkeypatch):
    import sys
    import types

    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, step))

        def flush(self):
            pass

    monkeypatch.setattr(training, "LOG_EVERY", 1)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    one = Trainer(replace(RECIPE, steps=1), tmp_path, pack=None, scenes=scenes, tensorboard=True)
    with pytest.raises(InputError, match="pip install tensorboard"):
        one.run(workers=0)
    fake = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    one.run(workers=0)
    assert written[0] == (str(tmp_path / "board"), 0)
    assert ("train/loss", 1) in written
