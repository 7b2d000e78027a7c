"""Errands are done beside the viewer, told in its thread, and not told any more once closed."""

from __future__ import annotations

import threading
from typing import Any

from napari_ois._napari.errands import Errands


def test_done_and_failed_are_told_in_the_caller_s_thread(qapp: Any, qtbot: Any) -> None:
    errands, told = Errands(), []
    errands.send(threading.get_ident, lambda ident: told.append((ident, threading.get_ident())))
    errands.send(lambda: 1 // 0, told.append, lambda error: told.append(type(error)))
    qtbot.waitUntil(lambda: len(told) == 2)
    (worked, heard), error = told
    assert worked != heard == threading.get_ident() and error is ZeroDivisionError
    errands.close()
    errands.wait()


def test_what_must_be_done_is_done_all_the_same(qapp: Any, qtbot: Any, no_threads: None) -> None:
    errands, told, done, go = Errands(), [], [], threading.Event()
    errands.send(go.wait, told.append)
    errands.send(lambda: done.append("file"), told.append, must=True)
    errands.send(lambda: done.append("nobody's"), told.append)
    errands.send(lambda: 1 // 0, told.append, told.append, must=True)
    errands.close()
    go.set()
    errands.wait()
    qtbot.wait(30)
    assert done == ["file"] and told == []


def test_closing_ends_it_quietly(qapp: Any, qtbot: Any, no_threads: None) -> None:
    errands, told, go = Errands(), [], threading.Event()
    errands.send(go.wait, told.append)
    errands.send(lambda: 2, told.append)
    errands.close()
    errands.send(lambda: 3, told.append)
    go.set()
    errands.wait()
    qtbot.wait(30)
    assert told == []
    assert not [t for t in threading.enumerate() if t.name.startswith("napari-ois")]
