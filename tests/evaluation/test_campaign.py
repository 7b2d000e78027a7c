"""Several methods, stopped and gone on with, in one process or two: always the same results."""

from __future__ import annotations

import csv
import pickle
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.evaluation.campaign import Campaign
from napari_ois.evaluation.journal import OBJECTS, Journal, columns, result_of, row_of
from napari_ois.evaluation.methods import Method
from napari_ois.evaluation.readers import EvalCollection
from napari_ois.evaluation.run import ObjectResult

RESULT = ObjectResult(
    "a", "natural", "x, y.png", "1", (0.1, 1 / 3, 0.9), 2, 0.25, (0.1, 0.7), ((3, 4, 1), (0, 12, 0)), 0.5
)


def timeless(results):
    return {key: replace(result, seconds=0.0, embed_seconds=0.0) for key, result in results.items()}


def test_rows_are_read_back_as_they_were():
    row = row_of("grabcut", RESULT)
    assert len(row) == len(columns(3))
    cells = dict(zip(columns(3), row, strict=True))
    assert (cells["noc85"], cells["noc95"], cells["points"]) == ("3", "3", "3 4 +; 0 12 -")
    assert result_of(row, 3) == ("grabcut", RESULT)


def test_a_journal_goes_on_and_drops_a_row_that_was_cut_short(tmp_path):
    folder, plan = tmp_path / "report", {"max_clicks": 3}
    journal = Journal(folder, plan, 3)
    journal.add("m", RESULT)
    journal.add("m", replace(RESULT, object="2"))
    text = (folder / OBJECTS).read_text(encoding="utf-8")
    (folder / OBJECTS).write_text(text[:-20], encoding="utf-8")
    again = Journal(folder, plan, 3)
    assert again.results == {("m", "a", "x, y.png", "1"): RESULT}
    again.add("m", replace(RESULT, object="3"))
    with (folder / OBJECTS).open(newline="", encoding="utf-8") as stream:
        assert [row["object"] for row in csv.DictReader(stream)] == ["1", "3"]


def test_another_run_is_refused_by_name(tmp_path):
    Journal(tmp_path, {"max_clicks": 3, "limit": None}, 3)
    with pytest.raises(InputError, match="another run \\(other limit\\)"):
        Journal(tmp_path, {"max_clicks": 3, "limit": 5}, 3)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json is damaged"):
        Journal(tmp_path, {}, 3)
    (tmp_path / "run.json").unlink()
    with pytest.raises(InputError, match="unknown run"):
        Journal(tmp_path, {}, 3)


def test_a_damaged_journal_is_said(tmp_path):
    Journal(tmp_path, {}, 3).add("m", RESULT)
    text = (tmp_path / OBJECTS).read_text(encoding="utf-8")
    (tmp_path / OBJECTS).write_text(text.replace("0.9", "zero"), encoding="utf-8")
    with pytest.raises(InputError, match=r"objects\.csv is damaged"):
        Journal(tmp_path, {}, 3)


@dataclass(frozen=True)
class Counted(Method):
    """A method whose answers are all the image, and which notes every image that is set."""

    images: tuple = ()

    def make(self):
        made = SimpleNamespace(seen=[], shape=None)

        def set_image(image, *, depth=None):
            made.shape = image.shape[:2]
            made.seen.append(made.shape)

        def predict(points, labels, previous=None):
            if len(made.seen) > 2:
                raise KeyboardInterrupt
            return SimpleNamespace(mask=np.ones(made.shape, bool), state=None)

        made.set_image, made.predict = set_image, predict
        return made


def test_what_was_stopped_goes_on_where_it_was(disks, tmp_path):
    campaign = Campaign([Counted("all")], EvalCollection(disks), max_clicks=2)
    stopped = Journal(tmp_path / "report", {}, 2)
    predictors, done = {}, []
    with pytest.raises(KeyboardInterrupt):
        campaign.run(stopped, predictors, progress=done.append)
    assert sum(done) == len(stopped.results) == 3
    again = Journal(tmp_path / "report", {}, 2)
    assert [(task.image, task.objects) for task in campaign.missing(again)] == [(2, [("single", "1")])]
    campaign.run(again, predictors := {})
    assert len(again.results) == 4
    assert len(predictors[0].seen) == 1
    assert campaign.missing(again) == []


def test_methods_meet_the_same_objects_and_two_processes_find_the_same(disks):
    campaign = Campaign([Method("flood-fill"), Method("random-walker")], EvalCollection(disks), max_clicks=2)
    here, there = Journal(None, {}, 2), Journal(None, {}, 2)
    campaign.run(here, {})
    campaign.run(there, {}, jobs=2)
    assert timeless(there.results) == timeless(here.results)
    names = {
        method: {key[1:] for key in here.results if key[0] == method} for method in ("flood-fill", "random-walker")
    }
    assert len(names["flood-fill"]) == 4 and names["flood-fill"] == names["random-walker"]


def test_an_error_on_the_way_is_the_users_sentence_in_every_process(disks):
    collection = EvalCollection(disks)
    (disks / "z.png").unlink()
    journal = Journal(None, {}, 1)
    with pytest.raises(InputError, match=r"z\.png") as caught:
        Campaign([Method("flood-fill")], collection, max_clicks=1).run(journal, {})
    assert len(journal.results) == 3
    # as it travels between processes
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is InputError and str(again) == str(caught.value)
