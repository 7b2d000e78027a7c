from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.evaluation.readers import EvalImage, EvalObject
from napari_ois.evaluation.report import format_comparison, format_table, summarize, write_json
from napari_ois.evaluation.run import ObjectResult, evaluate


class GrowingPredictor:
    """A fake that adds six rows of the object with each click, and counts what it is asked."""

    def __init__(self) -> None:
        self.images: list[tuple[int, ...]] = []
        self.depths: list[bool] = []

    def set_image(self, image, depth=None):
        self.images.append(image.shape)
        self.depths.append(depth is not None)

    def predict(self, points, labels, previous=None):
        assert (previous or 0) == len(points) - 1
        mask = np.zeros(self.images[-1][:2], bool)
        mask[: 6 * len(points)] = True
        return SimpleNamespace(mask=mask, state=len(points))


def make_samples():
    target = np.zeros((24, 10), np.uint8)
    target[:24] = 1
    target[:, 9] = 255
    other = target.copy()
    other[12:] = 0
    image = np.zeros((24, 10, 3), np.uint8)
    objects = [EvalObject("1", target, "a", "natural"), EvalObject("2", other, "b", "medical")]
    depth = np.ones((24, 10), np.float32)
    return [EvalImage(Path("x.png"), "x.png", image, objects, depth)]


def results_of(curves):
    return [
        ObjectResult(name, "natural", "x.png", str(i), tuple(curve), len(curve), 0.5)
        for i, (name, curve) in enumerate(curves)
    ]


def test_evaluate_embeds_an_image_once_and_clicks_every_object():
    predictor, done = GrowingPredictor(), []
    results = evaluate(predictor, make_samples(), max_clicks=5, progress=done.append)
    assert predictor.images == [(24, 10, 3)]
    assert predictor.depths == [False]
    assert done == [1, 2]
    assert results[0].ious == pytest.approx((0.25, 0.5, 0.75, 1.0, 1.0))
    assert results[1].ious == pytest.approx((0.5, 1.0, 1.0, 1.0, 1.0))
    assert [result.clicks for result in results] == [4, 2]
    assert [(r.set, r.object, r.image) for r in results] == [
        ("a", "1", "x.png"),
        ("b", "2", "x.png"),
    ]


def test_evaluate_hands_measured_depth_on_when_asked():
    predictor = GrowingPredictor()
    evaluate(predictor, make_samples(), max_clicks=1, measured_depth=True)
    assert predictor.depths == [True]


def test_evaluate_notes_clicks_and_boundary():
    result, _ = evaluate(GrowingPredictor(), make_samples(), max_clicks=5)
    # rows 0-5 are object after one click: 24 x 9 counted pixels, so the next click is in the rest's middle
    assert result.points[0] == (4, 4, 1)
    assert [label for _, _, label in result.points] == [1, 1, 1, 1]
    assert len(result.boundary) == 3
    assert result.boundary[0] < result.boundary[1] < result.boundary[2] == 1.0
    assert result.embed_seconds >= 0


def test_summary_weighs_sets_alike():
    curves = [("a", [0.2, 0.4, 0.9]), ("a", [0.4, 0.6, 0.7]), ("b", [0.9, 0.95, 1.0])]
    summary = summarize(results_of(curves))
    assert summary["sets"]["a"]["iou_1"] == pytest.approx(0.3)
    assert summary["sets"]["a"]["noc90"] == pytest.approx(3.0)
    assert summary["sets"]["b"]["noc95"] == pytest.approx(2.0)
    assert summary["sets"]["a"]["nof95"] == 2
    assert summary["mean_over_sets"]["iou_1"] == pytest.approx(0.6)
    assert summary["mean_over_sets"]["noc90"] == pytest.approx(2.0)
    over = summary["over_objects"]  # each object alike, failures counted
    assert (over["iou_1"], over["noc90"]) == pytest.approx((1.5 / 3, 7 / 3))
    assert over["nof95"] == 2 and over.keys() == summary["mean_over_sets"].keys()
    assert summary["seconds_per_click"] == pytest.approx(1.5 / 9)
    assert summary["curves"]["a"] == pytest.approx([0.3, 0.5, 0.8])
    assert summary["curves"]["mean over sets"] == pytest.approx([0.6, 0.725, 0.9])
    low, high = summary["intervals"]["a"]["iou_1"]
    assert (low, high) == pytest.approx((0.2, 0.4))
    assert summary["intervals"]["mean over sets"]["iou_1"] == pytest.approx([0.55, 0.65])
    # no click 5 was made, so there is no such figure
    assert "iou_5" not in summary["mean_over_sets"]
    assert (summary["max_clicks"], summary["objects"]) == (3, 3)


def test_json_and_table_tell_the_same(tmp_path):
    summary = summarize(results_of([("a", [0.25] * 20), ("b", [0.75] * 20), ("b", [0.75] * 20)]))
    write_json(summary, tmp_path / "summary.json")
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == summary
    lines = format_table(summary).splitlines()
    assert lines[0].split() == ["set", "objects", "IoU@1", "IoU@3", "IoU@5", "NoC85", "NoC90"]
    assert lines[2].split() == ["a", "1", "0.250", "0.250", "0.250", "20.00", "20.00"]
    assert lines[-3].split() == ["all", "objects", "3", *["0.583"] * 3, "20.00", "20.00"]
    assert lines[-2].split()[3:] == ["3", "0.500", "0.500", "0.500", "20.00", "20.00"]


def test_seconds_count_an_image_once():
    results = results_of([("a", [0.5, 0.6]), ("a", [0.5, 0.6])])
    results = [replace(result, embed_seconds=2.0) for result in results]
    summary = summarize(results)
    assert summary["seconds_per_click"] == pytest.approx(1.0 / 4)
    assert summary["seconds_per_click_with_embedding"] == pytest.approx((1.0 + 2.0) / 4)


def test_comparison_marks_the_best_of_each_line():
    good = summarize(results_of([("a", [0.5] * 5), ("b", [0.9] * 5)]))
    other = summarize(results_of([("a", [0.6] * 5), ("b", [0.1] * 5)]))
    lines = format_comparison({"good": good, "other": other}).splitlines()
    rows = {line.split()[0]: line.split()[2:] for line in lines if line.startswith(("a ", "b "))}
    assert rows["a"] == ["0.500"] * 3 + ["0.600*"] * 3
    assert rows["b"] == ["0.900*"] * 3 + ["0.100"] * 3
    mean = next(line for line in lines if line.startswith("mean over sets"))
    assert mean.split()[3:] == ["2", *["0.700*"] * 3, *["0.350"] * 3]
    assert lines[lines.index(mean) - 1].split()[:3] == ["all", "objects", "2"]
    assert "NoC90 3.00" in next(line for line in lines if line.startswith("good:"))


def test_results_must_be_alike():
    with pytest.raises(InputError, match="same number of clicks"):
        summarize(results_of([("a", [0.5]), ("a", [0.5, 0.6])]))
    with pytest.raises(InputError, match="at least one"):
        summarize([])
