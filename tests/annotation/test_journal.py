"""A journal loses nothing to a kill: what was done before it is there again, with all that can be undone."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from napari_ois.annotation import (
    ArrayCanvas,
    Clicks,
    Document,
    ImageSignature,
    Journal,
    PlaneKey,
    find_journals,
    recover,
)
from napari_ois.annotation import journal as module
from napari_ois.errors import InputError

PLANE = PlaneKey()
IMAGE = ImageSignature.of(np.arange(720, dtype=np.uint16).reshape(24, 30))


def _work(document, disk) -> None:
    document.start(PLANE)
    document.set_clicks(1, Clicks().added(5, 5))
    document.accept(1, disk(5, 5, 3), score=0.5)
    document.start(PLANE)
    document.set_clicks(2, Clicks().added(9, 9))
    document.undo()
    document.undo()
    document.redo()


@pytest.fixture
def written(tmp_path, disk):
    """A journal on disk, and the document that wrote it."""
    document = Document(ArrayCanvas(np.zeros((24, 30), np.int32)))
    journal = Journal(IMAGE, tmp_path)
    journal.attach(document)
    _work(document, disk)
    journal.close()
    return journal.path, document


def test_objects_history_and_labels_come_back(written, disk) -> None:
    path, document = written
    labels = np.zeros((24, 30), np.int32)
    again = Document(ArrayCanvas(labels))
    assert recover(path, again) == 8
    assert again.objects == document.objects
    assert again.history.done == document.history.done
    assert again.history.undone == document.history.undone
    assert not labels.any()
    again.paint()
    np.testing.assert_array_equal(labels == 1, disk(5, 5, 3))
    assert again.redo()
    assert len(again[2].clicks) == 1


def test_journals_are_found_by_image_and_resumed(written, tmp_path) -> None:
    path, _ = written
    (tmp_path / f"{IMAGE.key}-broken.jsonl").write_text("no journal")
    (found,) = find_journals(IMAGE, tmp_path)
    assert found.path == path
    assert find_journals(ImageSignature.of(np.zeros((24, 30), np.uint16)), tmp_path) == []
    again = Document()
    with path.open("a") as file:
        file.write('{"do": {"title": "torn')
    journal = Journal.resume(path, again)
    again.rename(1, "cell")
    journal.close()
    third = Document()
    recover(path, third)
    assert third[1].name == "cell"
    assert not path.with_suffix(".damaged").exists()


def test_lines_that_do_not_fit_are_left_out_and_a_copy_is_kept(written) -> None:
    path, _ = written
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{damaged\n", *lines[3:]]))
    document = Document()
    Journal.resume(path, document).close()
    assert len(document.history.done) == 2
    assert path.read_text() == "".join(lines[:3])
    assert "damaged" in path.with_suffix(".damaged").read_text()


def test_nothing_is_written_before_the_first_command_nor_where_it_is_switched_off(tmp_path, disk) -> None:
    for enabled in (True, False):
        document = Document(ArrayCanvas(np.zeros((24, 30), np.int32)))
        journal = Journal(IMAGE, tmp_path / "journals", enabled=enabled)
        journal.attach(document)
        document.next()
        assert not (tmp_path / "journals").exists()
        if not enabled:
            _work(document, disk)
            assert not (tmp_path / "journals").exists()
            assert journal.path is None


def test_loaded_objects_are_in_the_journal_too(written, tmp_path) -> None:
    document = Document()
    document.load(written[1].objects)
    journal = Journal(IMAGE, tmp_path / "other")
    journal.attach(document)
    document.rename(1, "cell")
    document.load(written[1].objects)
    document.rename(1, "nucleus")
    journal.close()
    again = Document()
    assert recover(journal.path, again) == 4
    assert again[1].name == "nucleus"
    journal.discard()
    assert find_journals(IMAGE, tmp_path / "other") == []


@pytest.mark.parametrize("loaded", [False, True])
def test_what_happened_before_it_began_can_be_undone_and_redone_after_it(written, tmp_path, loaded) -> None:
    """The user clicks while the viewer still finds out which image it is."""
    document = Document()
    if loaded:
        document.load(written[1].objects)
    number = document.start(PLANE).number
    document.set_clicks(number, Clicks().added(5, 5))
    for name in ("one", "two"):
        with document.group():
            document.rename(number, name)
            document.recolor(number, "#00ff00" if name == "one" else "#ff0000")
    document.undo()
    document.undo()
    journal = Journal(IMAGE, tmp_path / "late")
    journal.attach(document)

    def comes_back() -> None:
        again = Document()
        recover(journal.path, again)
        assert again.objects == document.objects
        assert (again.history.done, again.history.undone) == (document.history.done, document.history.undone)

    comes_back()
    document.redo()
    comes_back()
    document.undo()
    document.undo()
    document.set_clicks(number, Clicks().added(9, 9))
    comes_back()
    document.undo()
    document.undo()
    comes_back()
    assert number not in document
    journal.close()


def test_a_folder_that_cannot_be_written_stops_the_journal_not_the_work(tmp_path, disk) -> None:
    (tmp_path / "file").write_text("")
    document = Document(ArrayCanvas(np.zeros((24, 30), np.int32)))
    journal = Journal(IMAGE, tmp_path / "file")
    journal.attach(document)
    _work(document, disk)
    assert "save the session" in journal.failed
    assert len(document) == 2


@pytest.mark.parametrize("text", ["", "{}\n", "[]\n", '{"format": "napari-ois journal", "version": 99}\n'])
def test_what_is_no_journal_is_refused(tmp_path, text) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=r"no journal|later napari-ois"):
        recover(path, Document())


def test_a_document_in_use_is_not_recovered_into(written) -> None:
    with pytest.raises(InputError, match="empty document"):
        recover(*written)


def test_only_old_journals_beyond_the_newest_are_deleted(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "KEEP", 2)
    for days in (100, 80, 60, 1):
        path = tmp_path / f"{days}.jsonl"
        path.write_text("")
        os.utime(path, (time.time() - days * 86400,) * 2)
    assert {path.name for path in module.clean(tmp_path)} == {"100.jsonl", "80.jsonl"}
    monkeypatch.setattr(module, "KEEP", 0)
    assert {path.name for path in module.clean(tmp_path)} == {"60.jsonl"}


CHILD = """
import sys
import numpy as np
from pathlib import Path
from napari_ois.annotation import ArrayCanvas, Clicks, Document, ImageSignature, Journal, PlaneKey

image = ImageSignature.of(np.arange(720, dtype=np.uint16).reshape(24, 30))
document = Document(ArrayCanvas(np.zeros((24, 30), np.int32)))
journal = Journal(image, Path(sys.argv[1]))
journal.attach(document)
mask = np.zeros((24, 30), bool)
mask[2:5, 2:9] = True
document.start(PlaneKey())
document.accept(1, mask)
document.start(PlaneKey())
for count in range(10**9):
    document.set_clicks(2, document[2].clicks.first(20).added(count, 0))
    print(count, flush=True)
"""


def test_lines_are_written_at_once_and_forced_to_the_disk_in_another_thread(tmp_path, disk, monkeypatch) -> None:
    forced, waiting = [], []
    monkeypatch.setattr(module.os, "fsync", lambda file: forced.append(os.fstat(file).st_size))
    document = Document(ArrayCanvas(np.zeros((24, 30), np.int32)))
    journal = Journal(IMAGE, tmp_path, aside=waiting.append)
    journal.attach(document)
    _work(document, disk)
    written = journal.path.stat().st_size
    assert len(journal.path.read_text().splitlines()) == 9 and not forced
    thread = threading.Thread(target=waiting.pop())
    thread.start()
    thread.join()
    assert forced == [written]
    document.delete(1)  # forced later, but the thread is gone: closing does it
    journal.close()
    assert len(forced) == 2 and forced[1] > written
    while waiting:
        waiting.pop()()  # too late, and harmless
    assert len(forced) == 2


def test_a_disk_that_fails_in_the_other_thread_is_told(tmp_path, disk, monkeypatch) -> None:
    def fail(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module.os, "fsync", fail)
    document, waiting = Document(ArrayCanvas(np.zeros((24, 30), np.int32))), []
    journal = Journal(IMAGE, tmp_path, aside=waiting.append)
    journal.attach(document)
    _work(document, disk)
    waiting[0]()
    assert "Input/output error" in journal.failed
    journal.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_program_loses_nothing_that_it_had_finished(tmp_path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 200:
            break
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()  # what it had still said when it was killed
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    last = int(rest[-1]) if rest else int(line)
    (found,) = find_journals(IMAGE, tmp_path)
    labels = np.zeros((24, 30), np.int32)
    document = Document(ArrayCanvas(labels))
    recover(found.path, document)
    assert document[2].clicks.items[-1].row >= last
    document.paint()
    assert (labels == 1).sum() == 21
