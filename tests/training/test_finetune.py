"""Fine-tuning changes what it may change, measures what it promises, and says so when it was worth nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("cv2", reason="training needs the extra 'train'")

from napari_ois.checkpoints import load_model, read_checkpoint, save_checkpoint, user_folder
from napari_ois.errors import InputError, WeightsError
from napari_ois.network import build
from napari_ois.segmentation.predictor import Predictor
from napari_ois.training import finetune as tuning
from napari_ois.training.finetune import BAD, GOOD, divide, finetune, format_report
from napari_ois.training.folders import read_collection
from napari_ois.training.tuning import _stream, recipe_of

SWITCHES = {"mixer_widths": None, "num_blocks": 1}
FIGURES = {"noc85": 12.0, "noc90": 20.0, "iou_1": 0.3, "iou_3": 0.4, "iou_5": 0.5}


def counted_as(figures):
    """What counting gives: the means, and the clicks of two objects."""
    return figures, {"a": [figures["noc85"] - 1, figures["noc85"] + 1]}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A compact network with random weights, and statistics of batch norm that training would move."""
    torch.manual_seed(0)
    model = build("ois-compact", **SWITCHES)
    metadata = {"preset": "ois-compact", "switches": SWITCHES, "licence": "CC0-1.0", "metrics": {"noc85": 1}}
    return save_checkpoint(model.state_dict(), tmp_path_factory.mktemp("start") / "own.safetensors", metadata=metadata)


@pytest.fixture
def data(tmp_path):
    """Three images with a bright square each, and one without."""
    folder = tmp_path / "data"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(4):
        mask = np.zeros((64, 64), np.uint8)
        if number < 3:
            mask[10 + 8 * number : 40 + 8 * number, 12:44] = number + 1
        image = np.where(mask > 0, 190, 70).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


def tuned(data, out, start, **options):
    return finetune(data, out, start=start, steps=1, input_size=64, device="cpu", **options)


def test_three_images_are_enough_and_the_file_loads_wherever_models_are_chosen(data, tmp_path, start):
    told = []
    report = tuned(data, tmp_path / "out", start, progress=told.append)
    assert (len(report.trained_on), len(report.kept_back), report.skipped) == (2, 1, ["3.png"])
    assert not set(report.trained_on) & set(report.kept_back)
    assert report.steps == 1 and report.objects == 1 and sum(told) == pytest.approx(1000)
    assert report.path.parent == tmp_path / "out" and report.path.name == (GOOD if report.better else BAD)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([report.path.name, "report.json"])
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written["after"] == report.after and written["path"] == str(report.path)
    predictor = Predictor(report.path, device="cpu", input_size=64)
    predictor.set_image(np.zeros((64, 64), np.uint8))
    assert predictor.predict([(30, 30)], [1]).mask.shape == (64, 64)
    before, after = read_checkpoint(start), read_checkpoint(report.path)
    moved = {name for name in before.state if not torch.equal(before.state[name], after.state[name])}
    assert moved and all(n.startswith(("blocks.", "cues.", "dense.", "sparse.", "mask_decoder.")) for n in moved)
    assert after.metadata["licence"] == "CC0-1.0" and "metrics" not in after.metadata
    assert after.metadata["finetuned_from"].startswith(str(start))


def test_the_encoder_learns_if_asked_but_not_its_statistics_nor_depth(data, tmp_path, start, monkeypatch):
    monkeypatch.setattr(tuning, "measure_objects", lambda *_: counted_as(FIGURES))
    one, two = (tuned(data, tmp_path / name, start, encoder=True).path for name in "ab")
    before, after, again = (load_model(path)[0].state_dict() for path in (start, one, two))
    assert all(torch.equal(after[name], value) for name, value in again.items())  # the seed says it all
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("encoder.stages") for name in moved)
    assert not any(name.startswith("depth_decoder.") or "running" in name for name in moved)


def test_clicks_are_counted_on_other_images_if_they_are_named(data, tmp_path, start, monkeypatch):
    dev = tmp_path / "dev"
    for name in ("images", "masks"):
        (dev / name).mkdir(parents=True)
    ids = np.zeros((64, 64), np.uint8)
    ids[4:24, 4:24], ids[40:60, 8:30], ids[30:50, 40:60] = 1, 2, 3
    for name in ("a", "b"):
        Image.fromarray(np.where(ids > 0, 190, 70).astype(np.uint8)).save(dev / "images" / f"{name}.png")
        Image.fromarray(ids if name == "a" else 0 * ids).save(dev / "masks" / f"{name}.png")
    report = tuned(data, tmp_path / "out", start, dev=dev)
    assert (report.trained_on, report.kept_back, report.objects) == (["0.png", "1.png", "2.png"], ["a.png"], 3)
    monkeypatch.setattr(tuning, "measure_objects", lambda *_: counted_as(FIGURES))
    assert tuned(data, tmp_path / "fewer", start, dev=dev, objects=2).objects == 2
    (dev / "images" / "a.png").unlink()
    (dev / "images" / "a.png").symlink_to(data / "images" / "0.png")
    with pytest.raises(InputError, match=r"1 of the images in .* would be learnt from too, a.png first"):
        tuned(data, tmp_path / "both", start, dev=dev)
    Image.fromarray(0 * ids).save(dev / "masks" / "a.png")
    with pytest.raises(InputError, match="no object of 20 pixels or more to count clicks on"):
        tuned(data, tmp_path / "none", start, dev=dev)
    assert not (tmp_path / "both").exists() and not (tmp_path / "none").exists()


def test_half_of_the_way_is_kept_unless_images_set_apart_say_more(data, tmp_path, start, monkeypatch):
    """What chooses is neither learnt from nor counted on; of few images none is set apart."""
    for number in range(4, 9):
        for name in ("images", "masks"):
            (data / name / f"{number}.png").write_bytes((data / name / "1.png").read_bytes())
    good, bad = FIGURES | {"noc85": 8.0}, FIGURES | {"noc85": 9.0}
    for half, full, share in ((good, bad, 0.5), (bad, good, 1.0)):
        counted, figures = [], iter([FIGURES, half, full, good])  # before, half, full, after

        def measured(predictor, images, counted=counted, figures=figures):
            counted.append([item.image.name for item in images.items])
            return counted_as(next(figures))

        monkeypatch.setattr(tuning, "measure_objects", measured)
        report = tuned(data, tmp_path / str(share), start, rate=2.0)
        assert (report.share, report.better) == (share, True)
        assert counted == [report.kept_back, report.chosen_on, report.chosen_on, report.kept_back]
        sides = [set(report.trained_on), set(report.chosen_on), set(report.kept_back)]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 8 and all(sides)
        assert ("half" if share < 1 else "all") + " of the way kept" in format_report(report)
    half, full = (read_checkpoint(tmp_path / name / GOOD) for name in ("0.5", "1.0"))
    assert (half.metadata["share"], full.metadata["share"]) == ("0.5", "1.0")
    first = read_checkpoint(start).state
    name = max(first, key=lambda n: float((full.state[n] - first[n]).float().abs().max()))
    moved = (full.state[name] - first[name]).float()
    assert float(moved.abs().max()) > 0.005
    assert torch.allclose((half.state[name] - first[name]).float(), moved / 2, atol=0.001)
    monkeypatch.setattr(tuning, "measure_objects", lambda *_: counted_as(FIGURES))
    for number in range(3, 9):
        (data / "images" / f"{number}.png").unlink()
    few = tuned(data, tmp_path / "few", start)
    assert (few.share, few.chosen_on, len(few.trained_on)) == (0.5, [], 2)


def test_what_got_better_and_what_did_not_have_other_names(data, tmp_path, start, monkeypatch):
    figures = iter([FIGURES, FIGURES | {"noc85": 9.5}, FIGURES, FIGURES | {"noc85": 12.5}])
    monkeypatch.setattr(tuning, "measure_objects", lambda *_: counted_as(next(figures)))
    out = tmp_path / "out"
    good = tuned(data, out, start)
    assert good.better and good.path == out / GOOD and str(out / GOOD) in format_report(good)
    assert good.noc85_change == (-2.5, -2.5) and "by -2.50 (-2.50 to -2.50)" in format_report(good)
    assert "too few" in format_report(replace(good, noc85_change=(-3.0, 0.5)))
    assert str(user_folder()) in format_report(good)  # where the viewer looks
    assert str(user_folder()) not in format_report(replace(good, better=False))
    kept = (out / GOOD).read_bytes()
    bad = tuned(data, out, start, seed=1)
    assert not bad.better and bad.path == out / BAD
    assert (out / GOOD).read_bytes() == kept  # the better one of before is not lost
    text = format_report(bad)
    assert "NOT better" in text and "Skipped, without an object: 3.png" in text
    rows = [line.split() for line in text.splitlines() if line.startswith(("before", "after"))]
    assert rows[0][1:3] == ["12.00", "20.00"] and rows[1][1] == "12.50"


def test_ctrl_c_ends_the_training_early_and_then_the_counting(data, tmp_path, start, monkeypatch):
    from napari_ois.training import tuning as loop

    figures, take = iter([FIGURES, FIGURES | {"noc85": 9.5}]), loop._step
    monkeypatch.setattr(tuning, "measure_objects", lambda *_: counted_as(next(figures)))

    def third(model, optimizer, recipe, batch, step, *rest):
        if step == 2:
            raise KeyboardInterrupt
        return take(model, optimizer, recipe, batch, step, *rest)

    monkeypatch.setattr(loop, "_step", third)
    out = tmp_path / "out"
    report = finetune(data, out, start=start, minutes=60, input_size=64, device="cpu")
    assert report.steps == 2 and report.path == out / GOOD

    def stopped(*_):
        if counted:
            raise KeyboardInterrupt
        counted.append(True)
        return counted_as(FIGURES)

    counted = []
    monkeypatch.setattr(tuning, "measure_objects", stopped)
    with pytest.raises(KeyboardInterrupt):
        finetune(data, tmp_path / "other", start=start, minutes=60, input_size=64, device="cpu")
    assert not (tmp_path / "other").exists()
    kept = tmp_path / f"other-{tuning.UNCOUNTED}"
    assert read_checkpoint(kept).metadata["preset"] == "ois-compact"
    assert [path.name for path in tmp_path.glob(f"*{tuning.UNCOUNTED}")] == [kept.name]
    counted.clear()
    monkeypatch.chdir(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        finetune(data, ".", start=start, minutes=60, input_size=64, device="cpu")
    assert len(list((tmp_path / "out").glob(f"*{tuning.UNCOUNTED}"))) == 1


def test_images_are_divided_whole_and_each_side_has_one(data):
    items = read_collection(data)
    for holdout, expected in ((0.01, 1), (0.5, 2), (0.99, 3)):
        learned, kept = divide(items, holdout, 0)
        assert len(kept) == expected
        assert sorted(i.image.name for i in learned + kept) == [f"{n}.png" for n in range(4)]
    assert divide(items, 0.5, 0) == divide(items, 0.5, 0)
    with pytest.raises(InputError, match="holdout"):
        divide(items, 1.0, 0)


@pytest.mark.parametrize("by", ["name", "source"])
def test_parts_of_one_field_are_not_on_both_sides(data, by):
    (item, *_) = read_collection(data)
    names = [f"{field}-3_{part}" for field in "abcd" for part in (0, 500, 1000)]
    if by == "name":
        items = [replace(item, image=Path(f"{name}.png")) for name in names]
    else:
        items = [replace(item, image=Path(f"{i}.png"), source=name[0]) for i, name in enumerate(names)]
    for seed in range(8):
        learned, kept = divide(items, 0.3, seed)
        sides = [{names[items.index(one)][0] for one in side} for side in (learned, kept)]
        assert len(kept) == 3 and not sides[0] & sides[1]
    two, other = divide(items[:6], 0.9, 0)
    assert len(two) == len(other) == 3  # one field is left to learn from


def test_too_few_images_are_refused_and_nothing_is_written(data, tmp_path, start):
    for number in (1, 2):
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(data / "masks" / f"{number}.png")
    with pytest.raises(InputError, match=r"at least 2 images .* only 1 of 4"):
        tuned(data, tmp_path / "out", start)
    assert not (tmp_path / "out").exists()


def test_objects_that_vanish_where_windows_are_cut_count_for_nothing(data, tmp_path, start, monkeypatch):
    monkeypatch.setattr("napari_ois.training.division.LONGEST", 8)
    with pytest.raises(InputError, match=r"only 0 of 4 have any of 20 pixels or more at 8 pixels on the longest side"):
        tuned(data, tmp_path / "out", start)


def test_models_that_cannot_be_tuned_are_refused(data, tmp_path, start, monkeypatch):
    network, info = load_model(start)
    for change, options, error, words in (
        ({"available": False, "note": "train it first"}, {}, WeightsError, "train it first"),
        ({"preset": "ois-vits"}, {"encoder": True}, InputError, "kept as it is"),
    ):
        changed = type(info)(**{**vars(info), **change})
        monkeypatch.setattr(tuning, "load_model", lambda _, changed=changed: (network, changed))
        with pytest.raises(error, match=words):
            tuned(data, tmp_path / "out", start, **options)
    with pytest.raises(InputError, match="fp16"):
        monkeypatch.setattr(tuning, "load_model", lambda _: (network, info))
        tuned(data, tmp_path / "out", start, precision="fp16")
    assert not (tmp_path / "out").exists()


def test_windows_lie_around_the_size_that_is_used():
    (phase,) = recipe_of("ois-compact", 224).phases
    assert [size for size, _ in ((phase.size, phase.images), *phase.turns)] == [224, 192, 256]
    (phase,) = recipe_of("ois-vitb", 1022).phases
    assert [size for size, _ in ((phase.size, phase.images), *phase.turns)] == [1022, 882, 1162]
    (phase,) = recipe_of("ois-compact", 40).phases
    assert min(size for size, _ in ((phase.size, phase.images), *phase.turns)) == 32


def test_windows_and_clicks_are_as_the_network_meets_them_in_use(data):
    """Of pictures' shapes where it takes any; boxes and masks to begin from stay known to it."""
    recipe = recipe_of("ois-compact", 64)
    assert recipe.seeded > 0 and recipe.again > 0 and len(recipe.rounds) > 5
    stream = _stream(recipe, read_collection(data))
    shapes = {tuple(next(stream).rgb.shape[2:]) for _ in range(12)}
    assert len(shapes) > 3 and any(h != w for h, w in shapes)
    recipe = recipe_of("ois-vitb", 28)
    stream = _stream(recipe, read_collection(data))
    assert all(h == w for h, w in (next(stream).rgb.shape[2:] for _ in range(6)))


def test_a_gpu_without_bf16_trains_in_full_precision_unless_asked_otherwise(monkeypatch):
    monkeypatch.setattr(tuning, "choose_device", torch.device)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: False)
    assert tuning._place("cuda:0", "auto").dtype == torch.float32
    for precision in ("half", "fp16"):
        with pytest.raises(InputError, match="fp16"):
            tuning._place("cuda:0", precision)
