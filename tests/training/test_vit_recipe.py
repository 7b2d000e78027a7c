"""The paper's recipe trains a ViT preset from depth weights, and leaves what is frozen alone."""

from __future__ import annotations

import math

import pytest
import torch

pytest.importorskip("cv2", reason="training needs the extra 'train'")
pytest.importorskip("transformers", reason="the ViT models need the extra 'vit'")


from napari_ois.errors import InputError, WeightsError
from napari_ois.network import PRESETS, Preset
from napari_ois.network.vit import SIZES, ViTSize
from napari_ois.training.batches import Phase
from napari_ois.training.recipe import learning_rate, recipe_for
from napari_ois.training.scenes import write_cache
from napari_ois.training.trainer import Trainer

TINY = ViTSize(
    hidden_size=16, depth=4, num_heads=2, taps=(1, 2, 3, 4), neck=(4, 6, 8, 12), dim=16, image_size=56, head_hidden=5
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(SIZES, "tiny", TINY)
    monkeypatch.setitem(PRESETS, "tiny-vit", Preset("tiny-vit", "vit", 56, 14, 16, backbone="tiny"))


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
    assert recipe.phases[0].size == 1022 and recipe.steps * recipe.phases[0].images == 15 * 30_000
    rates = [learning_rate(recipe, step) for step in (5, recipe.steps // 2, recipe.steps - 1)]
    assert rates == pytest.approx([5e-5, 5e-5, 5e-6])
    with pytest.raises(InputError, match="no preset"):
        recipe_for("ois-huge")


@pytest.mark.parametrize("wrong", [{"loss": "hinge"}, {"schedule": "stairs"}])
def test_names_that_no_training_knows_are_refused(wrong):
    with pytest.raises(InputError, match=f"no {next(iter(wrong))}"):
        recipe_for("ois-compact", **wrong)
