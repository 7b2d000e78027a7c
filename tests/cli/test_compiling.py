"""``--compile`` reaches the predictor in every command that loads a model; nothing is compiled here."""

from __future__ import annotations

import functools

import pytest
from click.testing import CliRunner

from napari_ois.cli import main
from napari_ois.errors import InputError
from napari_ois.segmentation import predictor, runner

WORDS = {
    "segment": ["image.npy", "-p", "5,5", "-o", "out"],
    "inspect": ["image.npy", "-p", "5,5", "-o", "out"],
    "everything": ["image.npy", "-o", "out"],
    "propagate": ["stack.npy", "-p", "1,5,5", "-o", "out"],
    "precompute": ["image.npy", "--folder", "kept"],
    "order-control": ["--scenes", "1"],
}


class Asked(InputError):
    """Ends the command once the network is about to be compiled."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Images to work on; whoever makes a runner that is to be compiled is told so."""
    import numpy as np

    monkeypatch.chdir(tmp_path)
    np.save("image.npy", np.arange(100, dtype=np.uint8).reshape(10, 10))
    np.save("stack.npy", np.arange(300).reshape(3, 10, 10).astype(np.uint8))

    def make(*_, compiled=False, **__):
        raise Asked("compiled" if compiled else "plain")

    monkeypatch.setattr(predictor, "Runner", make)
    return tmp_path


@pytest.mark.parametrize("command", WORDS)
def test_it_reaches_the_predictor(here, command):
    for more, word in ((["--compile"], "compiled"), ([], "plain")):
        result = CliRunner().invoke(main, [command, *WORDS[command], *more, "--device", "cpu"])
        assert result.exit_code == 2 and word in result.stderr, result.output


def test_it_reaches_the_workers_of_a_batch(here, monkeypatch):
    pytest.importorskip("distributed", reason="batches need the extra 'batch'")
    from napari_ois.batch import cluster

    made = []
    monkeypatch.setattr(cluster, "run_batch", lambda items, results, make, **_: made.append(make) or [])
    (here / "images").mkdir()
    (here / "image.npy").rename(here / "images" / "image.npy")
    for more in (["--compile"], []):
        words = ["batch", "images", "-o", "out", "--everything", "--device", "cpu", *more]
        assert CliRunner().invoke(main, words).exit_code == 0
    for make, word in zip(made, ("compiled", "plain"), strict=True):
        assert isinstance(make, functools.partial)
        with pytest.raises(Asked, match=word):
            make()


def test_where_nothing_can_be_compiled_it_is_one_sentence(here, monkeypatch):
    monkeypatch.setattr(predictor, "Runner", runner.Runner)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    result = CliRunner().invoke(main, ["segment", *WORDS["segment"], "--compile", "--device", "cpu"])
    assert result.exit_code == 2 and "needs a C++ compiler" in result.stderr
    assert len(result.stderr.splitlines()) == 1 and not (here / "out").exists()
