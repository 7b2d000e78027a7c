"""A result is there whole or not at all, and once; a folder goes on only with the settings that it began with."""

from __future__ import annotations

import csv
import threading

import numpy as np
import pytest
import tifffile

from napari_ois.batch.results import DONE, FAILED, Outcome, Results
from napari_ois.batch.work import Labelled
from napari_ois.errors import InputError


def labelled(value=1):
    return Labelled(np.full((4, 5), value, np.int32), "index\n1\n")


def test_a_second_result_of_one_name_is_not_written(tmp_path):
    results = Results(tmp_path)
    assert not results.has("a")
    assert results.publish("a", labelled(1)) and results.has("a")
    assert not results.publish("a", labelled(2))
    assert tifffile.imread(tmp_path / "a.tif").max() == 1
    assert (tmp_path / "a.csv").read_text() == "index\n1\n"


def test_of_many_at_once_one_is_published(tmp_path, monkeypatch):
    results, together, said = Results(tmp_path), threading.Barrier(8), []
    monkeypatch.setattr(Results, "has", lambda self, name: False)  # all have looked before any was there

    def publish(value):
        together.wait()
        said.append(results.publish("a", labelled(value)))

    threads = [threading.Thread(target=publish, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [False] * 7 + [True]
    assert list((tmp_path / ".unfinished").iterdir()) == []


def test_without_links_a_file_is_moved(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refuse)
    results = Results(tmp_path)
    assert results.publish("a", labelled()) and results.has("a")


def test_an_error_leaves_no_result_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_ois.batch.results.write_labels", full)
    with pytest.raises(InputError, match="No space left"):
        Results(tmp_path).publish("a", labelled())
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_other_settings_need_another_folder(tmp_path):
    results = Results(tmp_path / "out")
    results.begin({"model": "x", "grid": 16})
    results.begin({"grid": 16, "model": "x"})
    with pytest.raises(InputError, match="other settings"):
        results.begin({"model": "y", "grid": 16})


def test_weights_count_where_both_know_them(tmp_path):
    for number, (before, now, same) in enumerate(
        (("a", "a", True), ("a", "b", False), ("a", None, True), (None, "b", True), (..., "b", True))
    ):
        folder = tmp_path / str(number)
        Results(folder).begin({"model": "m", **({} if before is ... else {"weights": before})})
        if same:
            Results(folder).begin({"model": "m", "weights": now})
        else:
            with pytest.raises(InputError, match="other settings"):
                Results(folder).begin({"model": "m", "weights": now})
        with pytest.raises(InputError, match="other settings"):
            Results(folder).begin({"model": "n", "weights": now})


@pytest.mark.parametrize("name", ["a.tif", "b.csv"])
def test_a_file_of_a_results_name_that_no_batch_made_is_not_taken_for_one(tmp_path, name):
    (tmp_path / name).write_text("mine")
    results = Results(tmp_path)
    with pytest.raises(InputError, match=f"{name} already, which no batch made; use another folder"):
        results.begin({"model": "m"}, ["a", "b"])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    results.begin({"model": "m"}, ["c"])
    (tmp_path / "c.tif").write_text("made")
    results.begin({"model": "m"}, ["c"])  # goes on


def test_the_report_has_a_line_an_item_and_half_written_files_go(tmp_path):
    results = Results(tmp_path)
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / "a-12345678.tif").touch()
    path = results.end([Outcome("a", DONE, 1.23456, 77), Outcome("b", FAILED, error="No, it is broken.")])
    with path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert lines[0] == {"name": "a", "status": "done", "seconds": "1.235", "process": "77", "error": ""}
    assert lines[1]["error"] == "No, it is broken."
    assert not (tmp_path / ".unfinished").exists()


def test_a_report_that_cannot_be_written_is_said_and_the_results_stay(tmp_path, monkeypatch):
    results = Results(tmp_path)
    results.publish("a", labelled())

    def locked(self, text, **_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_text", locked)
    with pytest.raises(InputError, match=r"batch_report.csv cannot be written \(Permission denied\), the results are"):
        results.end([Outcome("a", DONE)])
    assert results.has("a") and sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.tif"]
