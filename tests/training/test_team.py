"""Several devices only divide a step: the same windows, the same gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="training needs the extra 'train'")

from napari_ois.errors import InputError
from napari_ois.training.batches import BatchStream, Phase
from napari_ois.training.recipe import Recipe
from napari_ois.training.scenes import write_cache
from napari_ois.training.team import Team, join_team, was_launched
from napari_ois.training.trainer import Trainer

RECIPE = Recipe(
    steps=2,
    phases=(Phase(1.0, 32, 2),),
    warmup=1,
    seed=7,
    rounds=(0.5, 0.5),
    switches={"mixer_widths": None, "num_blocks": 1},
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_cache(folder, 6, size=64, seed=1, workers=1, progress=False)
    return folder


def stream(scenes, **options):
    return BatchStream(None, scenes, phases=[Phase(1.0, 32, 5)], steps=3, seed=7, objects=2, **options)


def test_devices_get_the_windows_of_one_batch_in_turns(scenes):
    whole = stream(scenes)[2]
    first, second = (stream(scenes, share=(n, 2))[2] for n in (0, 1))
    assert first.numbers.tolist() == [0, 2, 4] and second.numbers.tolist() == [1, 3]
    for part in (first, second):
        torch.testing.assert_close(part.rgb, whole.rgb[part.numbers], rtol=0, atol=0)
    assert len(first.targets) + len(second.targets) == len(whole.targets)
    with pytest.raises(InputError, match="cannot be divided over 6"):
        stream(scenes, share=(0, 6))


def test_passes_get_the_windows_and_objects_of_one_batch_in_turns(scenes):
    whole = stream(scenes)[1]
    assert whole.split(1) == [whole]
    parts = whole.split(2)
    assert [part.numbers.tolist() for part in parts] == [[0, 2, 4], [1, 3]]
    assert len(whole.split(9)) == 5
    for part in parts:
        for target, window in zip(part.targets, part.image_index, strict=True):
            number = int(part.numbers[window])
            own = whole.targets[whole.image_index == number]
            assert any(torch.equal(target, other) for other in own)
            torch.testing.assert_close(part.depth[window], whole.depth[number], rtol=0, atol=0, equal_nan=True)
    assert sum(len(part.targets) for part in parts) == len(whole.targets)


def test_alone_nothing_is_asked_of_accelerate(monkeypatch):
    for name in ("ACCELERATE_MIXED_PRECISION", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert not was_launched()
    team = join_team("cpu")
    assert (team.number, team.size, team.leads) == (0, 1, True)
    assert team.total([2, 3.5]) == [2, 3.5] and team.any(True) and not team.any(False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert was_launched()


class TwoDevices:
    """Stands in for accelerate on the second of two devices whose other half has the same numbers."""

    process_index, num_processes = 1, 2

    def reduce(self, tensor, reduction):
        assert reduction == "sum"
        return 2 * tensor


def test_gradients_and_counts_are_summed():
    team = Team(torch.device("cpu"), TwoDevices())
    assert not team.leads
    assert team.total([3, 4]) == [6, 8]
    one, two, frozen = (torch.nn.Parameter(torch.ones(shape)) for shape in ((2, 3), (4,), (5,)))
    frozen.requires_grad_(False)
    (one * torch.arange(6.0).view(2, 3)).sum().backward()
    team.sum_gradients([one, two, frozen])
    assert one.grad.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert two.grad.tolist() == [0] * 4 and frozen.grad is None


def test_one_process_of_accelerate_trains_as_one_alone(tmp_path, scenes, monkeypatch):
    pytest.importorskip("accelerate", reason="several devices need the extra 'train'")
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    alone = Trainer(RECIPE, tmp_path / "alone", pack=None, scenes=scenes)
    alone.run(workers=0)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    launched = Trainer(RECIPE, tmp_path / "launched", pack=None, scenes=scenes)
    launched.run(workers=0, seconds=600)
    assert launched.team.size == 1 and launched.team._accelerator is not None
    assert launched.step == 2 and launched.checkpoint.exists()
    for name, value in alone.average.items():
        assert torch.equal(value, launched.average[name]), name


def test_half_precision_learns_everything_that_full_precision_learns(tmp_path, scenes):
    """Weights that autocast cast for the clicks, without gradients, must not be handed on to the learning."""
    recipe = Recipe(
        steps=1,
        phases=(Phase(1.0, 32, 2),),
        warmup=1,
        seed=7,
        rounds=(0.0, 1.0),
        switches={"mixer_widths": None, "num_blocks": 1},
    )
    learned = []
    for precision in ("fp32", "bf16"):
        trainer = Trainer(recipe, tmp_path / precision, pack=None, scenes=scenes, precision=precision)
        note = trainer._train_step(trainer.stream[0])
        assert np.isfinite(note["loss"])
        learned.append({n for n, p in trainer.model.named_parameters() if p.grad is not None and p.grad.any()})
    assert learned[0] == learned[1]
    with pytest.raises(InputError, match="no precision"):
        Trainer(recipe, tmp_path / "none", pack=None, scenes=scenes, precision="fp8")
