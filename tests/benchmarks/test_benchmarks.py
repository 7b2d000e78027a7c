"""What the benchmarks print is what was measured, and the contestants answer alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def test_the_latency_counts_the_embedding_once():
    from peers import sat_latency

    assert sat_latency(2.0, [0.1, 0.3]) == pytest.approx(2 + 256 * 0.2)


def test_a_summary_says_none_for_what_was_not_measured():
    from peers import Times, ratios, summary, table

    rows = {
        "a": summary(Times(embed=[3, 1, 2], click=[0.5, 0.1, 0.3], one=[0.5], batched=[0.25])),
        "b": summary(Times(embed=[4], click=[0.6])),
    }
    assert rows["a"] == {"embed": 2, "click": 0.3, "SAT one": 130, "SAT batch": 66}
    assert ratios(rows, "a")["b"] == {"embed": 2, "click": 2, "SAT one": None, "SAT batch": None}
    lines = table(rows).splitlines()
    assert [line.split() for line in lines[1:]] == [["a", "2", "0.30", "130.00", "66.00"], ["b", "4", "0.60", "-", "-"]]


class Fake:
    """Answers with its own number, and notes what it was asked."""

    def __init__(self, seconds):
        self.seconds, self.asked = seconds, []

    def __getattr__(self, kind):
        def ask(*arguments):
            self.asked.append((kind, *(np.shape(argument) for argument in arguments)))
            return self.seconds + len(self.asked) / 100

        return ask


def test_all_go_in_turn_and_the_first_of_each_is_not_counted():
    from peers import measure

    timers = {"ois": Fake(1.0), "ois plain": Fake(2.0)}
    times = measure(timers, 64, embeds=2, clicks=3, plain_clicks=1, prompts=5, batch=2)
    ours, plain = times["ois"], times["ois plain"]
    assert (len(ours.embed), len(ours.click), len(ours.one), len(ours.batched)) == (2, 3, 5, 3)
    assert (len(plain.embed), len(plain.click), len(plain.one)) == (1, 1, 0)
    assert ours.click[0] == pytest.approx(1.03)  # the first click was the second thing asked
    assert [asked[1] for asked in timers["ois"].asked if asked[0] == "batched"] == [(2, 2), (2, 2), (1, 2)]


def test_prompts_lie_on_the_grid():
    from peers import grid_points

    assert grid_points(64, 256).tolist() == [[4 * r + 1.5, 4 * c + 1.5] for r in range(16) for c in range(16)]
    assert len(grid_points(64, 5)) == 5


@pytest.mark.parametrize("name", ["ois", "ois plain", "sam", "sam-hq", "sam2"])
def test_a_contestant_answers_at_the_images_size(name):
    pytest.importorskip("transformers", reason="the ViT models need the extra 'vit'")
    from peers import Setup, Timer

    timer = Timer(Setup(name, image=64, side=56, tiny=True))
    times = [timer.embed(), timer.click(0), timer.click(1), timer.one(np.array([3, 4], np.float32))]
    if name != "ois plain":
        times.append(timer.batched(np.array([[3, 4], [50, 9]], np.float32)))
    assert all(0 < seconds < 60 for seconds in times)
    mask = timer._contestant.click(timer._points[:2], timer._labels[:2], later=True)
    assert (mask.shape, mask.dtype, mask.device.type) == ((64, 64), torch.bool, "cpu")
    assert timer.about()["parameters"] == timer._contestant.parameters > 1000


def test_both_of_ours_are_one_network():
    pytest.importorskip("transformers", reason="the ViT models need the extra 'vit'")
    from contestants import make

    options = {"image": 64, "side": 56, "device": "cpu", "precision": "fp32", "compiled": False, "tiny": True}
    points, labels = torch.tensor([[20.0, 30.0], [10.0, 50.0]]), torch.tensor([1, 0])
    logits = []
    for name in ("ois", "ois plain"):
        contestant = make(name, **options)
        contestant.embed()
        contestant.click(points[:1], labels[:1], later=False)
        contestant.click(points, labels, later=True)
        logits.append(contestant._before)
    assert logits[0].abs().max() > 0
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-6)


def test_multiply_adds_grow_with_the_area_and_the_plain_path_has_more():
    from counting import gmacs

    small, large = (gmacs("ois-compact", (side, side)) for side in (64, 128))
    assert 0 < small["click"] < small["plain"]
    assert large["embed"] / small["embed"] == pytest.approx(4, rel=1e-6)  # convolutions only
    assert 3 < large["click"] / small["click"] < 4  # what the slots take does not grow


def test_the_machines_limit_is_what_the_best_product_reached():
    from counting import machine_limit

    seconds = iter([9.0, 0.5, 0.25, 1.0])
    assert machine_limit(lambda call: call() is None or next(seconds), size=100, runs=3) == pytest.approx(0.004)


def test_ablations_differ_in_their_switches_alone():
    pytest.importorskip("cv2", reason="training needs the extra 'train'")
    from dataclasses import replace

    from ablations import FULL, VARIANTS, recipe_of

    full = recipe_of(FULL, 40)
    assert full.borrowed and full.steps == 40
    for name, switches in VARIANTS.items():
        assert recipe_of(name, 40) == replace(full, switches=switches)


def test_an_ablation_is_set_beside_the_full_network_object_by_object():
    from ablations import table

    def curves(gain):  # two sets of unequal size
        return {"a": [[0.2 + gain, 0, 0.5, 0, 0.6]], "b": [[0.4 + gain, 0, 0.5, 0, 0.8], [0.6 + gain, 0, 0.5, 0, 1.0]]}

    lines = table({"full": {"made": curves(0.0)}, "no order": {"made": curves(-0.1)}})
    assert lines[1] == "made (3 objects of 2 sets)"
    assert lines[-2:] == [
        "| full | 35.0 | 50.0 | 75.0 |",
        "| no order | 25.0 (-10.0, -10.0 to -10.0) | 50.0 (+0.0, +0.0 to +0.0) | 75.0 (+0.0, +0.0 to +0.0) |",
    ]
