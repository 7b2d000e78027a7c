"""A training's averaged weights become a checkpoint that says where it comes from."""

from __future__ import annotations

import json

import pytest
import torch

from napari_ois.checkpoints import export, load_model, read_checkpoint
from napari_ois.errors import WeightsError

SWITCHES = {"mixer_widths": None, "dense_order": False}


@pytest.fixture
def training(tmp_path, network):
    average = {n: v.clone() for n, v in network.state_dict().items()}
    state = {
        "step": 12,
        "recipe": {"preset": "ois-compact", "switches": SWITCHES, "steps": 20, "seed": 3},
        "model": {n: torch.zeros_like(v) for n, v in average.items()},
        "average": average,
        "optimizer": {},
    }
    torch.save(state, tmp_path / "last.pt")
    return tmp_path / "last.pt"


def test_averaged_weights_are_exported(training, tmp_path, network):
    path = export(training, tmp_path / "own.safetensors", {"licence": "CC0-1.0", "data": ["made"]})
    checkpoint = read_checkpoint(path)
    assert checkpoint.metadata["steps"] == "12"
    assert json.loads(checkpoint.metadata["recipe"])["seed"] == 3
    assert json.loads(checkpoint.metadata["data"]) == ["made"]
    model, info = load_model(path)
    assert info.licence == "CC0-1.0"
    name = "sparse.code.frequencies"
    assert torch.equal(model.state_dict()[name], network.state_dict()[name])


def test_other_files_are_refused(tmp_path):
    out = tmp_path / "own.safetensors"
    with pytest.raises(WeightsError, match="no training at"):
        export(tmp_path / "last.pt", out, {})
    (tmp_path / "last.pt").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged"):
        export(tmp_path / "last.pt", out, {})
    torch.save({"step": 1}, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match="no training's file"):
        export(tmp_path / "last.pt", out, {})
    assert not out.exists()


def test_what_would_not_load_is_not_written(training, tmp_path):
    state = torch.load(training, weights_only=True)
    state["recipe"]["switches"] = {}
    torch.save(state, training)
    with pytest.raises(WeightsError, match="does not fit"):
        export(training, tmp_path / "own.safetensors", {})
    assert not (tmp_path / "own.safetensors").exists()
