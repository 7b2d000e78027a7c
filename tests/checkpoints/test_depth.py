"""Depth weights are found here first, fetched only when asked, and their licence is said before."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from napari_ois.checkpoints import fetch_depth_weights, list_models, load_depth_anything, load_model, registry
from napari_ois.checkpoints.hub import DEPTH_SOURCES
from napari_ois.checkpoints.store import save_checkpoint
from napari_ois.errors import WeightsError
from napari_ois.network import presets, vit

SMALL = "depth-anything/Depth-Anything-V2-Small-hf"
BASE = "depth-anything/Depth-Anything-V2-Base-hf"


@pytest.fixture
def tiny(monkeypatch):
    """The small ViT preset shrunk, and depth weights for it in transformers' layout."""
    pytest.importorskip("transformers", reason="the ViT models need the extra 'vit'")
    size = vit.ViTSize(16, 4, 2, (1, 2, 3, 4), (4, 6, 8, 12), 16, image_size=56, head_hidden=5)
    monkeypatch.setitem(vit.SIZES, SMALL, size)
    network = presets.build("ois-vits")
    state = {}
    for name, value in network.state_dict().items():
        for ours, theirs in (
            ("encoder.backbone.", "backbone."),
            ("depth_decoder.reassemble.", "neck.reassemble_stage.layers."),
            ("depth_decoder.convs.", "neck.convs."),
            ("depth_decoder.fusion.", "neck.fusion_stage.layers."),
            ("depth_decoder.head.", "head."),
        ):
            if name.startswith(ours):
                state[theirs + name.removeprefix(ours)] = value.clone()
    return network.eval(), state


def fill_cache(tmp_path, repository, state, revision="main", commit="a" * 40):
    """Lay out a hub cache as huggingface_hub does."""
    home = tmp_path / "hub" / ("models--" + repository.replace("/", "--"))
    snapshot = home / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / revision).write_text(commit)
    save_file(state, str(snapshot / "model.safetensors"))
    return snapshot / "model.safetensors"


def test_licences_are_stated():
    small, base, _large = DEPTH_SOURCES.values()
    assert "Apache-2.0" in small.statement
    assert "CC-BY-NC-4.0" in base.statement
    assert "commercial" in base.statement


def test_cache_is_used_without_a_word(tmp_path):
    path = fill_cache(tmp_path, BASE, {"a": torch.zeros(1)})
    said = []
    assert fetch_depth_weights("ois-vitb", show=said.append) == path
    assert fetch_depth_weights(BASE, offline=True, show=said.append) == path
    assert said == []


def test_revisions_are_told_apart(tmp_path):
    fill_cache(tmp_path, BASE, {"a": torch.zeros(1)})
    other = fill_cache(tmp_path, BASE, {"a": torch.ones(1)}, revision="v2", commit="b" * 40)
    assert fetch_depth_weights("ois-vitb", revision="v2") == other
    assert fetch_depth_weights("ois-vitb", revision="b" * 40) == other
    assert fetch_depth_weights("ois-vitb").parent.name == "a" * 40


@pytest.mark.parametrize("offline", [True, False])  # the tests themselves are offline, too
def test_offline_says_how_to_get_them(offline):
    with pytest.raises(WeightsError, match=r"could not be fetched .*copy model\.safetensors"):
        fetch_depth_weights("ois-vits-2048", offline=offline)


def test_licence_is_shown_before_the_download(monkeypatch, tmp_path):
    import huggingface_hub

    happened = []

    def download(repository, name, **options):
        happened.append((repository, name, options["revision"]))
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    path = fetch_depth_weights("ois-vitl", revision="v1", show=happened.append)
    assert path == tmp_path / "model.safetensors"
    assert "CC-BY-NC-4.0" in happened[0]
    assert happened[1] == ("depth-anything/Depth-Anything-V2-Large-hf", "model.safetensors", "v1")


def test_refusing_the_licence_prevents_the_download(monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: pytest.fail("downloaded"))

    def refuse(statement):
        raise WeightsError("not accepted")

    with pytest.raises(WeightsError, match="not accepted"):
        fetch_depth_weights("ois-vitb", show=refuse)


def test_users_folder_comes_first(folder, tmp_path):
    fill_cache(tmp_path, BASE, {"a": torch.zeros(1)})
    own = folder / "Depth-Anything-V2-Base-hf"
    own.mkdir()
    save_file({"a": torch.zeros(1)}, str(own / "model.safetensors"))
    assert fetch_depth_weights("ois-vitb") == own / "model.safetensors"
    (folder / "depth_anything_v2_vits.pth").write_bytes(b"")
    assert fetch_depth_weights("ois-vits") == folder / "depth_anything_v2_vits.pth"


def test_other_models_take_no_depth_weights():
    with pytest.raises(WeightsError, match="ois-vitb"):
        fetch_depth_weights("ois-compact")


def test_model_with_depth_alone_refuses_masks(tmp_path, tiny):
    network, state = tiny
    with pytest.raises(WeightsError, match="neither for masks nor for depth"):
        load_model("ois-vits")
    fill_cache(tmp_path, SMALL, state)
    listed = {info.name: info for info in list_models()}["ois-vits"]
    assert listed.depth_available
    model, info = load_model("ois-vits")
    assert info == listed
    assert not info.available
    assert "napari-ois train --preset ois-vits" in info.note
    image = torch.rand(1, 3, 56, 70)
    with torch.no_grad():
        depth, expected = (m.embed_image(image).raw_depth for m in (model, network))
    torch.testing.assert_close(depth, expected)


@pytest.mark.parametrize("layout", ["folder", "file", "pickled"])
def test_weights_from_a_place_of_the_users(tmp_path, tiny, layout):
    network, state = tiny
    place = tmp_path / "elsewhere"
    place.mkdir()
    if layout == "pickled":
        torch.save(state, place / "weights.pth")
    else:
        save_file(state, str(place / "model.safetensors"))
    source = place / "model.safetensors" if layout == "file" else place
    model, info = load_model("ois-vits-2048", depth_weights=source)
    assert info.depth_available
    assert not info.can_segment
    name = "depth_decoder.head.conv1.weight"
    assert torch.equal(model.state_dict()[name], network.state_dict()[name])


def test_unusable_places_are_named(tmp_path, tiny):
    network, _state = tiny
    with pytest.raises(WeightsError, match="check the path"):
        load_depth_anything(network, tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="holds 0 files"):
        load_depth_anything(network, tmp_path)
    (tmp_path / "a.pth").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged"):
        load_depth_anything(network, tmp_path / "a.pth")
    torch.save([1, 2], tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="state dict"):
        load_depth_anything(network, tmp_path / "a.pth")


def test_trained_vit_weights_serve_both_input_sizes(folder, tiny, network):
    trained, _state = tiny
    path = save_checkpoint(trained.state_dict(), folder / "ois-vits.safetensors", metadata={"preset": "ois-vits"})
    for name in ("ois-vits", "ois-vits-2048"):
        model, info = load_model(name)
        assert (info.name, info.preset, info.path) == (name, name, path)
        assert info.can_segment
        assert info.licence == "Apache-2.0"
        assert not any(module.training for module in model.modules())
        assert not any(p.requires_grad for p in model.encoder.parameters())
    save_checkpoint(network.state_dict(), path, metadata={"preset": "ois-compact"})
    with pytest.raises(WeightsError, match="ois-compact, not for ois-vits"):
        load_model("ois-vits")


def test_damaged_trained_weights_do_not_break_the_list(folder):
    (folder / "ois-vitb.safetensors").write_bytes(b"nothing")
    info = {info.name: info for info in list_models()}["ois-vitb"]
    assert not info.available
    assert "damaged" in info.note
    assert info.parameters == registry.KNOWN["ois-vitb"].parameters
    assert replace(info, note="").note == ""
