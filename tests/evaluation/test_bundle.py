from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from PIL import Image

from napari_ois.evaluation import bundle
from napari_ois.evaluation.campaign import Campaign
from napari_ois.evaluation.classical import FloodFill
from napari_ois.evaluation.journal import Journal
from napari_ois.evaluation.methods import Method
from napari_ois.evaluation.readers import EvalCollection
from napari_ois.evaluation.report import summarize
from napari_ois.evaluation.run import ObjectResult, evaluate
from napari_ois.evaluation.sheet import choose, replay
from napari_ois.evaluation.speed import Speed, measure_speed, peak_memory, sat_sequential
from napari_ois.evaluation.tables import markdown


@pytest.fixture
def found(disks):
    """A campaign of two methods that has been run, and its predictors."""
    methods = [Method("flood-fill"), Method("random-walker")]
    campaign, predictors, journal = Campaign(methods, EvalCollection(disks), 4), {}, Journal(None, {}, 4)
    campaign.run(journal, predictors)
    return campaign, predictors, bundle.results_by_method(campaign, journal)


def test_a_report_holds_tables_plots_and_pictures(found, tmp_path):
    pytest.importorskip("matplotlib", reason="the plots need matplotlib")
    campaign, predictors, results = found
    about = [bundle.describe(method, predictors[number]) for number, method in enumerate(campaign.methods)]
    summaries = bundle.summaries_of(results, about)
    left_out = bundle.write_report(tmp_path / "r", campaign, results, summaries, predictors, data="disks")
    assert left_out == []
    names = {"objects.csv", "summary.json", "summary.md", "iou-per-click.png", "noc-histogram.png", "sets.png"}
    assert {path.name for path in (tmp_path / "r").iterdir()} == names | {
        "sheet-flood-fill.png",
        "sheet-random-walker.png",
    }
    summary = json.loads((tmp_path / "r" / "summary.json").read_text(encoding="utf-8"))
    assert summary["model"] == "flood-fill" and set(summary["methods"]) == {"flood-fill", "random-walker"}
    assert len((tmp_path / "r" / "objects.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2 * 4
    for name in names:
        if name.endswith(".png"):
            pixels = np.asarray(Image.open(tmp_path / "r" / name).convert("L"))
            assert pixels.shape[0] > 200 and pixels.std() > 5, name


def test_methods_whose_files_are_called_alike_have_a_sheet_each():
    names = bundle.sheet_names(["one/tuned.safetensors", "two/Tuned.safetensors", "sam:/w/vit", "flood-fill"])
    assert names == [
        "sheet-tuned.safetensors.png",
        "sheet-2-Tuned.safetensors.png",
        "sheet-vit.png",
        "sheet-flood-fill.png",
    ]


def test_without_matplotlib_all_but_the_plots_is_written(found, tmp_path, monkeypatch):
    campaign, predictors, results = found
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    about = [bundle.describe(method, predictors[number]) for number, method in enumerate(campaign.methods)]
    summaries = bundle.summaries_of(results, about)
    (sentence,) = bundle.write_report(tmp_path / "r", campaign, results, summaries, predictors, data="disks")
    assert "matplotlib" in sentence
    assert (tmp_path / "r" / "summary.md").is_file() and not (tmp_path / "r" / "sets.png").exists()


def test_a_sheet_shows_the_mask_that_was_measured(found):
    campaign, _, results = found
    collection = campaign.collection
    predictor = FloodFill()
    for index, result in ((0, results["flood-fill"][0]), (1, results["flood-fill"][2])):
        sample = collection.read(index)
        predictor.set_image(sample.image)
        mask = replay(predictor, result.points, sample.image.shape[:2])
        true = sample.objects[0].target == 1
        assert np.count_nonzero(mask & true) / np.count_nonzero(mask | true) == pytest.approx(result.ious[-1])


def results_of(curves, name="a"):
    return [ObjectResult(name, "", "x.png", str(i), tuple(c), len(c), 0.1) for i, c in enumerate(curves)]


def test_the_worst_and_the_median_are_chosen_once():
    results = results_of([[value] for value in (0.9, 0.1, 0.5, 0.6, 0.2, 0.4, 0.8)])
    picked = choose(results, clicks=3, count=2)
    assert [(kind, result.ious[0]) for kind, result in picked] == [
        ("worst", 0.1),
        ("worst", 0.2),
        ("median", 0.4),
        ("median", 0.5),
    ]
    few = choose(results[:3], clicks=3, count=2)
    assert [result.object for _, result in few] == ["1", "2", "0"]


def test_tables_have_the_papers_columns_and_mark_the_best():
    good, poor = results_of([[0.5, 0.92, 0.97, 0.97, 0.97]] * 2), results_of([[0.4, 0.5, 0.6, 0.86, 0.86]] * 2)
    results = {"good": good, "poor": poor}
    text = markdown({name: summarize(own) for name, own in results.items()}, results, "made data")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    head, _, best, other = rows[-4:]
    assert head[0] == "method" and text.count("## a\n") == 1
    cells = dict(zip(head, best, strict=True))
    assert (cells["NoC90"], cells["NoC95"]) == ("**2.00**", "**3.00**")
    assert (cells["1-mIoU"], cells["5-mIoU"], cells["NoF95"]) == ("**50.00**", "**97.00**", "**0**")
    cells = dict(zip(head, other, strict=True))
    assert (cells["NoC90"], cells["NoF95"], cells["1-mIoU"]) == ("5.00", "2", "40.00")
    # over sets, with its interval; equal objects leave no doubt
    mean = dict(zip(rows[0], rows[2], strict=True))
    assert mean["5-mIoU"] == "**97.00** [97.00, 97.00]"


def test_failures_are_counted_over_all_objects_and_averaged_over_sets():
    results = {"m": results_of([[0.9, 0.9]] * 3) + results_of([[0.1, 0.1]], "b")}
    text = markdown({"m": summarize(results["m"])}, results, "made data")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    cells = [dict(zip(rows[0], row, strict=True)) for row in (rows[2], rows[5])]
    assert text.index("## Mean over sets") < text.index("## All objects")
    assert [(each["1-mIoU"], each["NoF90"]) for each in cells] == [("50.00 [50.00, 50.00]", "0.5"), ("70.00", "1")]


def test_objects_without_a_pixel_are_in_no_method_s_results(found):
    campaign, _, results = found
    journal = Journal(None, {}, 4)
    for method, own in results.items():
        for result in own[1:]:
            journal.add(method, result)
    left = bundle.results_by_method(campaign, journal)
    assert left == {method: own[1:] for method, own in results.items()}


def test_switches_are_compared_on_the_same_objects():
    full = results_of([[0.5] * 5, [0.9] * 5])
    less = results_of([[0.4] * 5, [0.8] * 5])
    results = {"m": full, "m:use_order=false": less, "other:use_order=false": less}
    text = markdown({name: summarize(own) for name, own in results.items()}, results, "made data")
    section = text.split("## m with other switches")[1].split("##")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) == 4 and rows[3].startswith("| use_order=false |")
    # the objects differ much, their differences not at all
    assert "60.00 (-10.00 [-10.00, -10.00])" in rows[3]
    assert "other" not in section


def test_speed_is_tabled_where_it_was_measured():
    results = {"m": results_of([[0.9] * 5])}
    summary = summarize(results["m"])
    assert "## Speed" not in markdown({"m": summary}, results, "x")
    summary["speed"] = {"parameters": 5_700_000, "spc": 0.031, "spc_with_embedding": 0.0555, "sat_sequential": 9.2}
    line = markdown({"m": summary}, results, "x").split("## Speed")[1].splitlines()[4]
    assert [cell.strip() for cell in line.split("|")[1:7]] == ["m", "5.70", "31", "56", "9.2", "-"]


def test_speed_counts_what_it_says(disks, monkeypatch):
    sample = EvalCollection(disks).read(0)
    calls = []

    class Watched(FloodFill):
        def set_image(self, image, *, depth=None):
            calls.append("image")
            super().set_image(image)

        def predict(self, points, labels, previous=None):
            calls.append(len(points))
            return super().predict(points, labels, previous)

    monkeypatch.setattr("napari_ois.evaluation.classical.FloodFill", Watched)
    speed = measure_speed(Method("flood-fill"), [sample], max_clicks=1, grid=3)
    # warm-up, then the robot on two objects; of what embeds nothing no grid of prompts is asked
    assert calls.count("image") == 2 and calls[-3:] == ["image", 1, 1]
    assert speed.sat_sequential is None
    calls.clear()
    assert sat_sequential(Watched(), sample.image, grid=3) > 0
    assert calls == ["image", *[1] * 9]
    assert isinstance(speed, Speed)
    assert 0 < speed.spc <= speed.spc_with_embedding
    assert speed.sat_batched is None and speed.parameters is None and speed.device == "cpu"
    assert speed.peak_mb is None or 1 < speed.peak_mb < 1e6
    assert peak_memory() == pytest.approx(speed.peak_mb, rel=0.2)


def test_speed_of_a_network_has_its_batches_and_parameters(disks, monkeypatch):
    from napari_ois.network import build
    from napari_ois.segmentation.predictor import Predictor

    network = build("ois-compact")
    info = type("Info", (), {"preset": "ois-compact"})()
    predictor = Predictor.from_network(network, input_size=32, multiple=32, device="cpu")
    monkeypatch.setattr(Method, "make", lambda self: predictor)
    monkeypatch.setattr("napari_ois.evaluation.speed.load_network", lambda name: (network, info))
    samples = [EvalCollection(disks).read(1)]
    speed = measure_speed(Method("ois-compact", device="cpu", input_size=32), samples, max_clicks=1, grid=2)
    assert speed.sat_batched > 0 and speed.sat_sequential > 0
    assert speed.parameters == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ois-compact", "ois-compact"),
        ("ois-compact:use_order=false,use_dense=false", "ois-compact-use_order=false-use_dense=false"),
        ("sam:/some/where/sam-b/", "sam-b"),
        ("C:\\weights\\mine.safetensors", "mine.safetensors"),
    ],
)
def test_file_names_of_methods(name, file):
    assert bundle.file_name(name) == file


def test_a_first_method_alone_is_its_own_summary():
    summary = {"model": "m", "objects": 2}
    assert bundle.joined({"m": summary}) == summary
    assert bundle.joined({"m": summary, "n": {"model": "n"}})["methods"]["n"] == {"model": "n"}


def test_evaluate_and_campaign_agree(found):
    campaign, _, results = found
    again = evaluate(FloodFill(), campaign.collection, max_clicks=4)
    assert [result.ious for result in again] == [result.ious for result in results["flood-fill"]]
