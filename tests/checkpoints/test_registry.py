"""The list says what is here, without loading anything; names lead to networks or to one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_ois.checkpoints import ModelInfo, list_models, load_model, registry, save_checkpoint
from napari_ois.checkpoints.exporting import export_embedded
from napari_ois.errors import WeightsError
from napari_ois.network import PRESETS
from napari_ois.network.meta import parameter_count

SWITCHES = {"mixer_widths": None, "dense_order": False}
METADATA = {"preset": "ois-compact", "switches": SWITCHES, "licence": "BSD-3-Clause"}


def by_name():
    return {info.name: info for info in list_models()}


def test_every_preset_is_listed_with_its_true_count():
    assert list(by_name()) == list(PRESETS) == list(registry.KNOWN)
    assert registry.KNOWN["ois-compact"].parameters == parameter_count("ois-compact")
    assert registry.KNOWN["ois-vitb"].parameters == 109_403_674  # held against the network elsewhere
    for name, known in registry.KNOWN.items():
        repository = "" if known.depth is None else known.depth.repository
        assert repository == PRESETS[name].backbone


def test_listing_imports_no_torch():
    code = (
        "import sys; from napari_ois.checkpoints import list_models; list_models();"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_licences():
    licences = {name: info.licence for name, info in by_name().items()}
    assert licences["ois-vits"] == "Apache-2.0"
    assert licences["ois-vitb"] == licences["ois-vitl-2048"] == "CC-BY-NC-4.0"


def test_vit_without_weights_says_how_to_train(folder):
    info = by_name()["ois-vitb-2048"]
    assert isinstance(info, ModelInfo)
    assert not info.available
    assert not info.can_segment
    assert not info.depth_available
    assert "napari-ois train --preset ois-vitb`" in info.note
    assert str(folder) in info.note
    assert (info.path, info.sha256, info.size_bytes) == (None, "", 0)


def test_embedded_model(embedded, network):
    assert not by_name()["ois-compact"].available
    with pytest.raises(WeightsError, match="install napari-ois again"):
        load_model("ois-compact")
    path = export_embedded(network.state_dict(), embedded, METADATA)
    info = by_name()["ois-compact"]
    assert info.available
    assert info.can_segment
    assert info.path == path
    assert info.size_bytes == path.stat().st_size
    assert len(info.sha256) == 64
    card = json.loads((embedded / "ois-compact.json").read_text())
    assert card["parameters"] == info.parameters
    model, loaded = load_model("ois-compact")
    assert loaded == info
    with torch.no_grad():
        answer = model(torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 2), torch.ones(1, 1).long())
    assert torch.isfinite(answer).all()


def test_changed_embedded_weights_are_refused(embedded, network):
    path = export_embedded(network.state_dict(), embedded, METADATA)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        load_model("ois-compact")


def test_the_models_own_file_keeps_its_promises():
    info = by_name()["ois-compact"]
    assert info.available
    assert info.path is not None
    assert info.size_bytes <= 12_000_000
    card = info.path.with_suffix(".md").read_text(encoding="utf-8")
    assert info.sha256 in card
    model, _ = load_model("ois-compact")  # which holds the hash against the file
    assert sum(p.numel() for p in model.parameters()) == info.parameters <= 6_000_000


def test_users_own_checkpoints_have_their_files_names(folder, network):
    path = save_checkpoint(network.state_dict(), folder / "my-cells.safetensors", metadata=METADATA)
    (folder / "broken.safetensors").write_bytes(b"nothing")
    infos = by_name()
    assert infos["my-cells"].available
    assert infos["my-cells"].preset == "ois-compact"
    assert infos["my-cells"].path == path
    assert not infos["broken"].available
    assert "damaged" in infos["broken"].note
    model, info = load_model("my-cells")
    assert info == infos["my-cells"]
    assert not model.training
    with pytest.raises(WeightsError, match="damaged"):
        load_model("broken")


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_a_model_too(tmp_path, network, kind):
    path = save_checkpoint(network.state_dict(), tmp_path / "own.safetensors", metadata=METADATA)
    model, info = load_model(kind(path))
    assert (info.name, info.preset, info.licence) == ("own", "ois-compact", "BSD-3-Clause")
    assert model.mixer is None  # the switches of the file, not the preset's
    assert model.device == torch.device("cpu")


def test_missing_names_and_paths(tmp_path):
    with pytest.raises(WeightsError, match="choose one of ois-compact"):
        load_model("ois-huge")
    with pytest.raises(WeightsError, match="no checkpoint file"):
        load_model(tmp_path / "none.safetensors")


def test_the_folder_follows_the_platform(monkeypatch):
    monkeypatch.delenv(registry.FOLDER_VARIABLE)
    folder = registry.user_folder()
    assert folder.name == "checkpoints"
    assert "napari-ois" in folder.parts
