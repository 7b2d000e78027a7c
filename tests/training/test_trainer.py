"""A training learns, and one that was stopped ends where it would have ended."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="training needs the extra 'train'")

from napari_ois.checkpoints import export, load_model
from napari_ois.errors import InputError, WeightsError
from napari_ois.network import OIS
from napari_ois.training.batches import BatchStream, Phase
from napari_ois.training.recipe import Recipe, learning_rate
from napari_ois.training.scenes import write_cache
from napari_ois.training.step import teach
from napari_ois.training.trainer import Trainer

RECIPE = Recipe(steps=4, phases=(Phase(0.5, 32, 2), Phase(1.0, 64, 2)), warmup=2, seed=7, rate=1e-3, rounds=(0.5, 0.5))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_cache(folder, 6, size=64, seed=1, workers=1, progress=False)
    return folder


def trained(recipe, out, scenes):
    trainer = Trainer(recipe, out, pack=None, scenes=scenes)
    trainer.run(workers=0)
    return trainer


def assert_equal_states(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name


def test_batches_depend_on_the_step_alone(scenes):
    one, two = (BatchStream(None, scenes, phases=list(RECIPE.phases), steps=4, seed=7) for _ in range(2))
    one[0]
    for name in ("rgb", "targets", "image_index", "depth"):
        first, second = getattr(one[3], name), getattr(two[3], name)
        torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
    assert one[3].rgb.shape == (2, 3, 64, 64)
    assert one[0].rgb.shape == (2, 3, 32, 32)


def test_stopped_and_resumed_is_the_same_as_unbroken(tmp_path, scenes):
    whole = trained(RECIPE, tmp_path / "whole", scenes)
    broken = Trainer(RECIPE, tmp_path / "broken", pack=None, scenes=scenes)
    while broken.step < 2:
        broken.run(workers=0, seconds=0)  # one step, then a checkpoint
    assert broken.step == 2
    np.random.seed(99)  # whatever happened meanwhile
    torch.manual_seed(99)
    resumed = trained(RECIPE, tmp_path / "broken", scenes)
    assert resumed.step == whole.step == 4
    assert_equal_states(resumed.model.state_dict(), whole.model.state_dict())
    assert_equal_states(resumed.average, whole.average)
    assert_equal_states(resumed.averaged().state_dict(), whole.average)
    finished = trained(RECIPE, tmp_path / "broken", scenes)  # nothing is left to do
    assert_equal_states(finished.average, whole.average)


def test_export_of_a_training_can_be_loaded(tmp_path, scenes):
    recipe = replace(RECIPE, steps=1, switches={"mixer_widths": None})
    trainer = trained(recipe, tmp_path, scenes)
    path = export(trainer.checkpoint, tmp_path / "own.safetensors", {"licence": "CC0-1.0"})
    model, info = load_model(path)
    assert info.licence == "CC0-1.0"
    image, points, labels = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 2) * 60, torch.ones(1, 1).long()
    with torch.no_grad():
        expected = trainer.averaged()(image, points, labels)
        torch.testing.assert_close(model(image, points, labels), expected, atol=0.02, rtol=0.02)


def test_another_recipe_is_refused(tmp_path, scenes):
    Trainer(RECIPE, tmp_path, pack=None, scenes=scenes).out.mkdir(exist_ok=True)
    trained(replace(RECIPE, steps=1), tmp_path, scenes)
    with pytest.raises(InputError, match="another recipe"):
        Trainer(RECIPE, tmp_path, pack=None, scenes=scenes)


def test_a_checkpoint_that_is_damaged_or_cannot_be_written_is_said(tmp_path, scenes, monkeypatch):
    trainer = trained(replace(RECIPE, steps=2), tmp_path, scenes)
    whole = trainer.checkpoint.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(InputError, match=r"cannot be written .*before is kept"):
        patch.setattr(torch, "save", _full_disk)
        trainer.state.write(trainer.checkpoint, trainer.recipe)
    assert trainer.checkpoint.read_bytes() == whole and not list(tmp_path.glob("*.tmp"))
    for content in (whole[: len(whole) // 2], b"", b"something else"):
        trainer.checkpoint.write_bytes(content)
        with pytest.raises(WeightsError, match=r"last.pt is damaged"):
            Trainer(replace(RECIPE, steps=2), tmp_path, pack=None, scenes=scenes)


def _full_disk(content, path):
    path.write_bytes(b"half")
    raise RuntimeError("PytorchStreamWriter failed writing file: file write failed")


@pytest.mark.parametrize("loss", ["bce_dice", "nfl"])
def test_a_few_steps_learn_one_batch(tmp_path, scenes, loss):
    recipe = replace(
        RECIPE, steps=10, rate=3e-3, phases=(Phase(1.0, 32, 2),), loss=loss, rounds=(1.0,), random_start=0.0,
        objects=1, switches={"mixer_widths": None},
    )  # fmt: skip
    trainer = Trainer(recipe, tmp_path, pack=None, scenes=scenes)
    batch = trainer.stream[0]
    losses = []
    for _ in range(recipe.steps):
        losses.append(trainer._train_step(batch)["loss"])
        trainer.step += 1
    assert np.isfinite(losses).all()
    assert np.mean(losses[-2:]) < 0.9 * losses[0]


def test_the_rate_warms_up_and_falls():
    recipe = replace(RECIPE, steps=100, warmup=10, rate=1.0)
    rates = [learning_rate(recipe, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0.02)


def test_the_log_has_a_line_for_each_fifty_steps(tmp_path, scenes):
    trainer = Trainer(RECIPE, tmp_path, pack=None, scenes=scenes)
    trainer.step = 50
    trainer._log([{"rate": 0.1, "size": 64, "loss": 2.0, "iou_first": 0, "iou_last": 0, "depth": 0}] * 2, 1, 5)
    trainer._log([{"rate": 0.1, "size": 64, "loss": 4.0, "iou_first": 0, "iou_last": 0, "depth": 0}], 2, 5)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["loss"]) for row in rows] == [("50", "2"), ("50", "4")]


def test_training_needs_data(tmp_path):
    with pytest.raises(InputError, match="none was given"):
        Trainer(RECIPE, tmp_path, pack=None, scenes=None)


def test_a_training_can_start_from_a_checkpoint(tmp_path, scenes):
    recipe = replace(RECIPE, steps=1)
    first = trained(recipe, tmp_path / "first", scenes)
    path = export(first.checkpoint, tmp_path / "first.safetensors", {})
    second = Trainer(recipe, tmp_path / "second", pack=None, scenes=scenes, start=path)
    for name, value in first.averaged().state_dict().items():
        if value.is_floating_point():  # counters of batch norm are left out of checkpoints
            torch.testing.assert_close(second.model.state_dict()[name], value, rtol=2e-3, atol=1e-3)
    assert second.step == 0
    second.run(workers=0)
    other = export(second.checkpoint, tmp_path / "second.safetensors", {})
    for same in (path, None):
        assert Trainer(recipe, tmp_path / "second", pack=None, scenes=scenes, start=same).step == 1
    with pytest.warns(RuntimeWarning, match=r"began with .*first.safetensors .*, and goes on with that"):
        assert Trainer(recipe, tmp_path / "second", pack=None, scenes=scenes, start=other).step == 1
    path.unlink()  # it is not needed any more
    assert Trainer(recipe, tmp_path / "second", pack=None, scenes=scenes, start=path).step == 1


@pytest.mark.parametrize("added", ["cues", "appearance"])
def test_what_starts_at_zero_can_be_added_to_a_trained_model_but_not_dropped(tmp_path, scenes, added):
    plain, cued = (replace(RECIPE, steps=1, switches={added: there}) for there in (False, True))
    path = export(trained(plain, tmp_path / "first", scenes).checkpoint, tmp_path / "first.safetensors", {})
    grown = Trainer(cued, tmp_path / "second", pack=None, scenes=scenes, start=path).model.eval()
    network, _ = load_model(path)
    image, clicks = torch.rand(1, 3, 64, 64), (torch.tensor([[[20.0, 30.0], [50.0, 8.0]]]), torch.tensor([[1, 0]]))
    with torch.no_grad():  # at first they say nothing
        torch.testing.assert_close(grown(image, *clicks), network(image, *clicks), rtol=1e-3, atol=1e-3)
    path = export(trained(cued, tmp_path / "third", scenes).checkpoint, tmp_path / "third.safetensors", {})
    with pytest.raises(InputError, match="other switches than the recipe"):
        Trainer(plain, tmp_path / "fourth", pack=None, scenes=scenes, start=path)


def test_a_start_for_another_network_is_refused(tmp_path, scenes, monkeypatch):
    recipe = replace(RECIPE, steps=1)
    path = export(trained(recipe, tmp_path / "first", scenes).checkpoint, tmp_path / "first.safetensors", {})
    monkeypatch.setattr(
        "napari_ois.training.trainer.load_model", lambda start: (None, replace(load_model(start)[1], preset="ois-vits"))
    )
    with pytest.raises(InputError, match="is for ois-vits"):
        Trainer(recipe, tmp_path / "second", pack=None, scenes=scenes, start=path)


def test_the_first_click_can_have_a_loss_of_its_own(tmp_path, scenes):
    """Alone it is what a step without corrections learns; beside the last click's, their weighted mean."""
    trainer = Trainer(RECIPE, tmp_path, pack=None, scenes=scenes)
    batch = trainer.stream[3]

    def taught(rounds, first_weight):
        recipe = replace(RECIPE, rounds=rounds, first_weight=first_weight, random_start=0.0)
        trainer.model.zero_grad()
        lesson = teach(trainer.model.train(), batch, recipe, 3)
        lesson.mask.backward()
        gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
        return float(lesson.mask.detach()), gradient

    first, of_first = taught((1.0,), 0.0)
    last, of_last = taught((0.0, 1.0), 0.0)
    both, of_both = taught((0.0, 1.0), 0.5)
    assert abs(first - last) > 1e-4
    assert both == pytest.approx((last + 0.5 * first) / 1.5, abs=0.02 * abs(first - last))
    assert float((of_first - of_last).norm() / of_last.norm()) > 1e-2
    wanted = (of_last + 0.5 * of_first) / 1.5
    assert float((of_both - wanted).norm() / wanted.norm()) < 1e-3


def test_a_first_answer_can_be_looked_at_again_without_another_click(tmp_path, scenes, monkeypatch):
    asked = []

    def listening(self, embedding, points, labels, previous=None, **options):
        logits = plainly(self, embedding, points, labels, previous, **options)
        asked.append((int((labels >= 0).sum(dim=1).max()), previous, logits.detach()))
        return logits

    plainly = OIS.decode_clicks
    monkeypatch.setattr(OIS, "decode_clicks", listening)
    recipe = replace(RECIPE, again=1.0, rounds=(0.0, 1.0), random_start=0.0, steps=1)
    trainer = Trainer(recipe, tmp_path, pack=None, scenes=scenes)
    for step in range(12):
        asked.clear()
        teach(trainer.model, trainer.stream[0], recipe, step)
        (clicks, before, first), (clicks_again, told, _), (clicks_after, _, _) = asked
        assert (clicks, clicks_again) == (1, 1)
        assert before is None
        assert clicks_after <= 2
        assert told.shape == first.shape
        if torch.equal(told, first):
            same = step
        else:  # what a wider view would have said: smoother, and much the same
            assert told.diff(dim=-1).abs().mean() < first.diff(dim=-1).abs().mean()
            coarse = step
    assert same != coarse


def test_a_borrowed_encoder_stays_and_all_else_begins_anew(tmp_path, scenes):
    path = export(trained(RECIPE, tmp_path / "first", scenes).checkpoint, tmp_path / "first.safetensors", {})
    lent = load_model(path)[0].state_dict()
    recipe = replace(RECIPE, seed=8, depth_weight=0.0, borrowed=True, switches={"use_order": False})
    trainer = Trainer(recipe, tmp_path / "second", pack=None, scenes=scenes, start=path)
    begun = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.run(workers=0, seconds=0)  # one step
    trainer = Trainer(recipe, tmp_path / "second", pack=None, scenes=scenes, start=path)
    assert trainer.step == 1
    trainer.run(workers=0)
    borrowed = [name for name in begun if name.startswith(("encoder.", "depth_decoder."))]
    assert_equal_states({name: trainer.average[name] for name in borrowed}, {name: lent[name] for name in borrowed})
    learned = [name for name, value in trainer.model.named_parameters() if value.requires_grad and value.ndim == 4]
    assert learned and not set(learned) & set(borrowed)
    for name in learned:
        assert not torch.equal(trainer.model.state_dict()[name], begun[name]), name
    assert not torch.equal(begun["dense.convolution.weight"][:, :2], lent["dense.convolution.weight"][:, :2])
    with pytest.raises(InputError, match="no model to borrow"):
        Trainer(recipe, tmp_path / "third", pack=None, scenes=scenes)


def test_no_two_draws_of_a_step_begin_alike(tmp_path, scenes, monkeypatch):
    trainer = Trainer(RECIPE, tmp_path, pack=None, scenes=scenes)
    stream = BatchStream(None, scenes, phases=[Phase(1.0, 32, 4)], steps=1, seed=RECIPE.seed)
    begun, plainly = [], np.random.default_rng

    def listening(seed):
        begun.append(tuple(np.random.SeedSequence(seed).generate_state(4)))
        return plainly(seed)

    monkeypatch.setattr(np.random, "default_rng", listening)
    teach(trainer.model, stream[0], RECIPE, 0)
    assert len(set(begun)) == len(begun) > 8
