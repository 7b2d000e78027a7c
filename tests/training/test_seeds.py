"""Boxes and masks that an object begins from are what a user's hand and a neighbouring slice would give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_ois.annotation.prompts import Prompt
from napari_ois.network import OIS
from napari_ois.training import seeds
from napari_ois.training.batches import BatchStream, Phase
from napari_ois.training.recipe import Recipe
from napari_ois.training.scenes import write_cache
from napari_ois.training.seeds import begin
from napari_ois.training.step import teach

SHAPE = (96, 128)


@pytest.fixture
def truth():
    """A bar, (96, 128) bool, rows 30 to 49 and columns 20 to 99."""
    mask = np.zeros(SHAPE, bool)
    mask[30:50, 20:100] = True
    return mask


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


def test_a_box_without_a_trembling_hand_gives_the_viewers_ellipse_and_its_middle(truth, monkeypatch):
    monkeypatch.setattr(seeds, "BOXED", 1.0)
    monkeypatch.setattr(seeds, "JITTER", 0.0)
    mask, (row, column, label) = begin(np.random.default_rng(0), truth)
    played = Prompt().with_box([(30, 20), (49, 99)], SHAPE)
    np.testing.assert_array_equal(mask, played.seed.mask.unpack())
    assert (row, column, label) == (39.5, 59.5, 1)
    assert not len(played.clicks)


def test_drawn_boxes_are_near_the_object_and_differ(truth, monkeypatch):
    monkeypatch.setattr(seeds, "BOXED", 1.0)
    drawn = [begin(np.random.default_rng(seed), truth)[0] for seed in range(30)]
    found = [overlap(mask, truth) for mask in drawn]
    assert np.mean(found) > 0.55
    assert np.std([mask.sum() for mask in drawn]) > 50


def test_masks_are_nearly_right(truth, monkeypatch):
    monkeypatch.setattr(seeds, "BOXED", 0.0)
    for seed in range(30):
        mask, (row, column, label) = begin(np.random.default_rng(seed), truth)
        assert mask.any()
        assert truth[int(row), int(column)] and label == 1
    found = [overlap(begin(np.random.default_rng(seed), truth)[0], truth) for seed in range(30)]
    assert 0.3 < np.mean(found) < 0.9


def test_a_mask_that_would_be_gone_stays(monkeypatch):
    monkeypatch.setattr(seeds, "BOXED", 0.0)
    monkeypatch.setattr(seeds, "MOVED", 100.0)
    dot = np.zeros(SHAPE, bool)
    dot[5:9, 5:9] = True
    mask, _ = begin(np.random.default_rng(0), dot)
    np.testing.assert_array_equal(mask, dot)


def test_an_empty_object_begins_from_nothing():
    assert begin(np.random.default_rng(0), np.zeros(SHAPE, bool)) is None


@pytest.mark.parametrize("corrections", [0, 1])
def test_a_step_begins_from_seeds(tmp_path, monkeypatch, corrections):
    write_cache(tmp_path, 3, size=64, seed=1, workers=1, progress=False)
    batch = BatchStream(None, tmp_path, phases=[Phase(1.0, 64, 2)], steps=1, seed=0)[0]
    told = []

    def listening(self, embedding, points, labels, previous=None, **options):
        told.append((labels, previous))
        return plainly(self, embedding, points, labels, previous, **options)

    plainly = OIS.decode_clicks
    monkeypatch.setattr(OIS, "decode_clicks", listening)
    from napari_ois.network import build

    torch.manual_seed(0)
    recipe = replace(Recipe(), rounds=(0.0,) * corrections + (1.0,), seeded=1.0, again=1.0)
    teach(build("ois-compact"), batch, recipe, 0)
    assert len(told) == 1 + corrections  # a seed is not the network's own first answer: it is not looked at again
    labels, previous = told[0]
    assert labels.shape[1] == 1
    inside = previous[:, 0] > 0
    truth = batch.targets == 1
    for index in range(len(inside)):
        assert overlap(inside[index].numpy(), truth[index].numpy()) > 0.1
    assert set(previous.unique().tolist()) == {-6.0, 6.0}
