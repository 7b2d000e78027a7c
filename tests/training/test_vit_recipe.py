"""The paper's recipe trains a ViT preset from depth weights, and leaves what is frozen alone."""

from __future__ import annotations

import math

import pytest
import torch

pytest.importorskip("cv2", reason="training needs the extra 'train'")
pytest.importorskip("transformers", reason="the ViT models need the extra 'vit'")


from napari_ois.errors import InputError, WeightsError
from napari_ois.network import PRESETS, Preset, build
from napari_ois.network.order import normalize_depth
from napari_ois.network.vit import SIZES, ViTSize
from napari_ois.training import trainer as training
from napari_ois.training.batches import Phase
from napari_ois.training.losses import depth_loss
from napari_ois.training.recipe import learning_rate, recipe_for
from napari_ois.training.scenes import write_cache
from napari_ois.training.step import Lesson, set_learning
from napari_ois.training.trainer import Trainer

TINY = ViTSize(
    hidden_size=16, depth=4, num_heads=2, taps=(1, 2, 3, 4), neck=(4, 6, 8, 12), dim=16, image_size=56, head_hidden=5
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(SIZES, "tiny", TINY)
    monkeypatch.setitem(PRESETS, "tiny-vit", Preset("tiny-vit", "vit", (28, 42, 56), 14, 16, backbone="tiny"))


@pytest.fixture
def weights(tmp_path, tiny_depth_anything):
    torch.manual_seed(0)
    model = tiny_depth_anything()
    model.save_pretrained(tmp_path / "depth", safe_serialization=True)
    return tmp_path / "depth"


@pytest.fixture
def scenes(tmp_path):
    write_cache(tmp_path / "scenes", 4, size=64, seed=1, workers=1, progress=False)
    return tmp_path / "scenes"


def test_frozen_parts_keep_the_depth_weights_and_the_rest_learns(tiny, weights, scenes, tmp_path):
    recipe = recipe_for("tiny-vit", steps=3, phases=(Phase(1.0, 56, 2),))
    trainer = Trainer(recipe, tmp_path / "run", pack=None, scenes=scenes, depth_weights=weights)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.run(workers=0)
    after = trainer.averaged().state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in changed if name.startswith(("encoder.", "depth_decoder."))]
    assert any(name.startswith("mask_decoder.") for name in changed)
    assert "blocks.0.order_attention.log_sigma" in before
    again = Trainer(recipe, tmp_path / "run", pack=None, scenes=scenes)  # resumes without the weights' file
    assert again.step == 3


def test_without_depth_weights_it_says_how_to_get_them(scenes, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_OIS_CHECKPOINTS", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nothing"))
    monkeypatch.setattr("napari_ois.checkpoints.depth.find", lambda *_, **__: None)
    with pytest.raises(WeightsError, match="--fetch"):
        Trainer(recipe_for("ois-vits"), tmp_path / "run", pack=None, scenes=scenes)


def test_the_paper_recipe():
    recipe = recipe_for("ois-vitb")
    assert (recipe.loss, recipe.rate, recipe.clip, recipe.ema) == ("nfl", 5e-5, math.inf, 0.0)
    assert (recipe.rounds, recipe.random_start, recipe.at_maximum) == ((0.25,) * 4, 1.0, 0.0)
    assert (recipe.view, recipe.objects, recipe.betas, recipe.weight_decay) == ("whole", 1, (0.9, 0.999), 0.0)
    assert recipe.phases[0].size == 1022 and recipe.steps * recipe.phases[0].images == 15 * 30_000
    twelve = 12 * 2500  # epochs
    rates = [learning_rate(recipe, step) for step in (5, twelve - 1, twelve + 1, recipe.steps - 1)]
    assert rates == pytest.approx([5e-5, 5e-5, 5e-6, 5e-6])
    with pytest.raises(InputError, match="no preset"):
        recipe_for("ois-huge")


def test_frozen_parts_stay_in_eval_mode_while_the_rest_trains(tiny):
    model = build("tiny-vit")
    set_learning(model)
    assert not any(m.training for part in (model.encoder, model.depth_decoder) for m in part.modules())
    assert model.mask_decoder.training and all(block.training for block in model.blocks)


def test_a_batch_in_several_passes_teaches_the_same(tiny, weights, scenes, tmp_path):
    """Without batch norm, the passes differ by rounding only; Adam would enlarge that, so gradients are compared."""
    recipe = recipe_for("tiny-vit", steps=1, phases=(Phase(1.0, 56, 4),))
    gradients, notes = [], []
    for passes in (1, 3):
        trainer = Trainer(
            recipe, tmp_path / f"{passes}", pack=None, scenes=scenes, depth_weights=weights, accumulate=passes
        )
        notes.append(trainer._train_step(trainer.stream[0]))
        gradients.append({n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-6, msg=name)
    assert notes[1] == pytest.approx(notes[0], rel=1e-4)


def test_depth_teaches_the_same_in_several_passes_though_few_windows_have_any(scenes, tmp_path, monkeypatch):
    """Real windows mostly come without depth, and the loss is a mean over those that have it."""
    recipe = recipe_for("ois-compact", steps=1, phases=(Phase(1.0, 64, 6),), switches={"num_blocks": 1})

    def only_depth(model, part, *_, **__):
        weight = model.mask_decoder.head.conv3.bias.sum()
        return Lesson(weight * 0, depth_loss(part.depth.nan_to_num() * 0 + weight, part.depth), 0.5, 0.5)

    monkeypatch.setattr(training, "teach", only_depth)
    notes = []
    for passes in (1, 3):
        trainer = Trainer(recipe, tmp_path / f"{passes}", pack=None, scenes=scenes, accumulate=passes)
        batch = trainer.stream[0]
        batch.depth[1:5] = torch.nan
        notes.append(trainer._train_step(batch)["depth"])
    assert notes[0] > 0.1 and notes[1] == pytest.approx(notes[0], rel=1e-5)


@pytest.mark.parametrize("wrong", [{"loss": "hinge"}, {"schedule": "stairs"}, {"view": "sideways"}])
def test_names_that_no_training_knows_are_refused(wrong):
    with pytest.raises(InputError, match=f"no {next(iter(wrong))}"):
        recipe_for("ois-compact", **wrong)


def test_padding_does_not_widen_the_stretch_of_depth():
    raw = torch.tensor([[-50.0, 2.0, 4.0], [90.0, 3.0, 2.0]])[None, None]
    valid = torch.tensor([[False, True, True], [False, True, True]])[None, None]
    expected = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.5, 0.0]])[None, None]
    torch.testing.assert_close(normalize_depth(raw, valid=valid), expected)


def test_a_compact_model_goes_on_by_other_numbers_than_it_began_with():
    first, then = recipe_for("ois-compact"), recipe_for("ois-compact", continued=True)
    assert then.rate < first.rate and then.steps < first.steps
    sizes = {then.phases[-1].batch(step)[0] for step in range(9)}
    assert sizes == {160, 192, 224}
    assert sum(then.rounds) == pytest.approx(1) and len(then.rounds) > len(first.rounds)
    assert recipe_for("ois-vitb", continued=True) == recipe_for("ois-vitb")
