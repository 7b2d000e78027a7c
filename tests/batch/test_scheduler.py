"""A batch on a scheduler given by its address: separate processes, one of which is killed in the middle."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import threading
import time

import cloudpickle
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from napari_ois.batch import cluster
from napari_ois.cli import main

pytest.importorskip("distributed", reason="batches need the extra 'batch'")
from distributed import Client

COUNT = 12
BATCH = ["--everything", "--grid", "2", "--scheduler"]


class Bright:
    """A model for workers: bright pixels are an object. Each image that it is given is noted in a file.

    Nothing is done before both workers have begun something: one may be slower to start.
    """

    def __init__(self, log):
        self.log = log

    def set_image(self, image, channel_axis=None):
        with open(self.log, "a") as stream:  # one short write: whole, even when the process is killed
            stream.write(f"{image.max()} {os.getpid()}\n")
        self.image = image
        deadline = time.monotonic() + 60
        while len({line.split()[1] for line in open(self.log)}) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)

    @property
    def image_shape(self):
        return self.image.shape

    def answer_each(self, points, view):
        import torch

        logits = np.where(self.image > 0, 8.0, -8.0).astype(np.float32)
        return torch.from_numpy(np.repeat(logits[None], len(points), axis=0))


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(COUNT):
        image = np.zeros((24, 32), np.uint8)
        image[4:12, 4:20] = 100 + number
        tifffile.imwrite(folder / f"{number:02d}.tif", image)
    return folder


@pytest.fixture
def start(tmp_path):
    """Start one of dask's own commands in a process; all are ended after the test."""
    started = []

    def run(command, *words):
        with (tmp_path / f"{command}{len(started)}.log").open("w") as log:
            line = [sys.executable, "-m", f"distributed.cli.dask_{command}", *words, "--no-dashboard"]
            started.append(subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path))
        return started[-1]

    yield run
    for process in started:
        process.kill()
    for process in started:
        process.wait()


@pytest.fixture
def scheduler(start, tmp_path):
    """The address of a scheduler of its own."""
    file = tmp_path / "scheduler.json"
    process = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return json.loads(file.read_text())["address"]
        except (OSError, ValueError):  # not there, or not whole yet
            time.sleep(0.05)
    raise AssertionError("the scheduler did not start")


def test_a_worker_of_a_remote_cluster_is_killed(images, tmp_path, start, scheduler, monkeypatch):
    workers = [
        start("worker", scheduler, "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path / f"worker{n}"))
        for n in range(2)
    ]
    with Client(scheduler) as client:
        client.wait_for_workers(2, timeout=60)
    log, out = tmp_path / "log", tmp_path / "out"
    monkeypatch.setattr(cluster, "make_predictor", lambda *_: Bright(log))
    before = {}

    def version(file):
        return file.stat().st_ino, file.stat().st_mtime_ns

    def kill_one():
        """Kill the worker that has begun the newest image, once four are done."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done = list(out.glob("*.tif")) if out.is_dir() else []
            began = [int(line.split()[1]) for line in log.read_text().splitlines()] if log.exists() else []
            if len(done) >= 4:
                victim = next(worker for worker in workers if worker.pid == began[-1])
                victim.kill()  # SIGKILL
                victim.wait()
                before.update({file.name: version(file) for file in out.glob("*.tif")})
                return
            time.sleep(0.01)

    watcher = threading.Thread(target=kill_one)
    watcher.start()
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers cannot import this file
    try:
        result = CliRunner().invoke(main, ["batch", str(images), "-o", str(out), *BATCH, scheduler])
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        watcher.join()
    assert result.exit_code == 0, result.output
    assert sorted(worker.poll() is None for worker in workers) == [False, True]
    assert 4 <= len(before) < COUNT  # in the middle
    with (out / "batch_report.csv").open(newline="") as stream:
        assert [line["status"] for line in csv.DictReader(stream)] == ["done"] * COUNT
    for number in range(COUNT):
        labels = tifffile.imread(out / f"{number:02d}.tif")
        assert np.array_equal(labels > 0, tifffile.imread(images / f"{number:02d}.tif") > 0)
    # Nothing twice: what was there at the kill is the same file still, and was begun once.
    assert {name: version(out / name) for name in before} == before
    began = [int(line.split()[0]) - 100 for line in log.read_text().splitlines()]
    assert {began.count(int(name[:2])) for name in before} == {1}
    assert set(began) == set(range(COUNT)) and len(began) <= COUNT + 1
    # And the cluster, which is not ours, goes on: the same command again finds everything there.
    again = CliRunner().invoke(main, ["batch", str(images), "-o", str(out), *BATCH, scheduler])
    assert again.exit_code == 0 and f"{COUNT} of {COUNT} are there" in again.output


@pytest.mark.parametrize("scheme", ["tcp://", ""])
def test_where_nobody_listens_it_is_said_at_once(images, tmp_path, monkeypatch, scheme):
    with socket.socket() as taken:  # bound, but it does not listen
        taken.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"

        def client(*_, **__):
            raise AssertionError("dask was asked, which would try for as long as its patience lasts")

        monkeypatch.setattr(cluster, "Client", client)
        result = CliRunner().invoke(main, ["batch", str(images), "-o", str(tmp_path / "out"), *BATCH, address])
    assert result.exit_code == 2 and f"There is no dask scheduler at {address}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_something_else_that_listens_is_no_scheduler(images, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        result = CliRunner().invoke(main, ["batch", str(images), "-o", str(tmp_path / "out"), *BATCH, address])
    assert result.exit_code == 2 and "no dask scheduler" in result.stderr and len(result.stderr.splitlines()) == 1
