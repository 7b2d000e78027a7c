"""On a cluster every item is done once, whatever happens to the workers; one that fails stops no other."""

from __future__ import annotations

import csv
import os
import signal
import sys

import cloudpickle
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from napari_ois.batch.cluster import run_batch
from napari_ois.batch.items import everything_items
from napari_ois.batch.results import DONE, THERE, Results
from napari_ois.batch.sources import list_planes
from napari_ois.batch.work import EverythingWork
from napari_ois.checkpoints import save_checkpoint
from napari_ois.cli import main
from napari_ois.network import build

pytest.importorskip("distributed", reason="batches need the extra 'batch'")

COUNT = 14


class Bright:
    """A model for workers: bright pixels are an object. Each image that it is given is noted in a file."""

    def __init__(self, log):
        self.log = log

    def set_image(self, image, channel_axis=None):
        import time

        if image.max() > 250:
            raise ValueError("too bright")
        with open(self.log, "a") as stream:  # one short write: whole, even when the process is killed
            stream.write(f"{image.max()} {os.getpid()}\n")
        self.image = image
        time.sleep(0.15)

    @property
    def image_shape(self):
        return self.image.shape

    def answer_each(self, points, view):
        import torch

        logits = np.where(self.image > 0, 8.0, -8.0).astype(np.float32)
        return torch.from_numpy(np.repeat(logits[None], len(points), axis=0))


@pytest.fixture
def by_value():
    """Send what this file holds along with the work: workers cannot import it."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(COUNT):
        image = np.zeros((24, 32), np.uint8)
        image[4:12, 4:20] = 100 + number
        tifffile.imwrite(folder / f"{number:02d}.tif", image)
    return folder


def version(file):
    """Changes whenever a file is written anew."""
    return file.stat().st_ino, file.stat().st_mtime_ns


def test_a_worker_is_killed_and_nothing_is_lost_and_nothing_done_twice(images, tmp_path, by_value):
    log, results = tmp_path / "log", Results(tmp_path / "out")
    results.begin({})
    items = everything_items(list_planes(images), EverythingWork(grid=2))
    killed, before = [], {}

    def told(outcome):
        if not killed and len(list(results.folder.glob("*.tif"))) >= 4:
            killed.append(outcome.process)
            os.kill(outcome.process, signal.SIGKILL)
            before.update({file.name: version(file) for file in results.folder.glob("*.tif")})

    outcomes = run_batch(items, results, lambda: Bright(log), workers=2, told=told)
    assert killed and killed[0] != os.getpid()
    assert [outcome.status for outcome in outcomes] == [DONE] * COUNT
    assert [outcome.name for outcome in outcomes] == [f"{number:02d}" for number in range(COUNT)]
    files = sorted(results.folder.glob("*.tif"))
    assert len(files) == COUNT
    for number, file in enumerate(files):
        assert np.array_equal(tifffile.imread(file) > 0, tifffile.imread(images / f"{number:02d}.tif") > 0)
    # What was there when the worker died was not written again: it is the same file still.
    assert len(before) >= 4
    assert {name: version(results.folder / name) for name in before} == before
    # And nobody began it again; what the dead worker was at was begun once more by another.
    began = [line.split() for line in log.read_text().splitlines()]
    times = {name: sum(int(value) == 100 + int(name[:2]) for value, _ in began) for name in before}
    assert set(times.values()) == {1}
    assert COUNT <= len(began) <= COUNT + 1
    assert len({process for _, process in began}) >= 2


def test_it_goes_on_where_it_was_and_what_fails_stops_nothing(images, tmp_path):
    words = ["batch", str(images), "-o", str(tmp_path / "out"), "--everything", "--grid", "2", "--device", "cpu"]
    words += ["--input-size", "64"]
    for number in range(2, COUNT):
        (images / f"{number:02d}.tif").unlink()
    (images / "bad.tif").write_text("no image")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1, result.output
    assert "bad: " in result.output and "cannot be read as an image" in result.output
    assert "2 of 3 are there" in result.output

    def report():
        with (tmp_path / "out" / "batch_report.csv").open(newline="") as stream:
            return {line["name"]: line["status"] for line in csv.DictReader(stream)}

    assert report() == {"00": "done", "01": "done", "bad": "failed"}
    (images / "bad.tif").unlink()
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0 and set(report().values()) == {THERE}


def test_the_command_says_what_is_missing_or_too_much(images, tmp_path):
    for more, sentence in (
        ((), "give one of"),
        (("--everything", "--clicks", "x.csv"), "give one of"),
        (("--clicks", "x.csv"), "There is no file x.csv"),
        (("--everything", "--score", "7"), "score=7"),
        (("--everything", "--model", "ois-compct"), "no model called 'ois-compct'"),
        (("--everything", "--precision", "fp17"), 'no precision "fp17"'),
        (("--everything", "--input-size", "99999"), "input_size=99999 is out of range"),
        (("--everything", "--device", "cuda:99"), "cuda:99"),
        (("--everything", "--scheduler", "nonsense"), "no dask scheduler at nonsense"),
    ):
        result = CliRunner().invoke(main, ["batch", str(images), "-o", str(tmp_path / "out"), *more])
        assert result.exit_code == 2 and sentence in result.output, result.output
        if "--scheduler" not in more:
            assert not (tmp_path / "out").exists()  # so the right command may take the folder


def test_results_do_not_go_among_the_images(images):
    before = sorted(images.iterdir())
    result = CliRunner().invoke(main, ["batch", str(images), "-o", str(images / "." / ""), "--everything"])
    assert result.exit_code == 2 and "give another folder for the results" in result.output
    assert sorted(images.iterdir()) == before


def test_other_weights_under_the_same_name_need_another_folder(images, tmp_path):
    for image in list(images.iterdir())[1:]:
        image.unlink()
    model = tmp_path / "own.safetensors"
    words = ["batch", str(images), "-o", str(tmp_path / "out"), "--everything", "--grid", "2", "--input-size", "64"]
    words += ["--device", "cpu", "--model", str(model)]
    for number, code in enumerate((0, 0, 2)):
        if number != 1:
            save_checkpoint(build("ois-compact").state_dict(), model, metadata={"preset": "ois-compact"})
        result = CliRunner().invoke(main, words)
        assert result.exit_code == code, result.output
    assert "other settings" in result.output
