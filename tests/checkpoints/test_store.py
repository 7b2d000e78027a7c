"""A checkpoint comes back as it was, and what cannot be trusted is refused with one sentence."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from napari_ois.checkpoints.header import file_hash
from napari_ois.checkpoints.store import make_network, read_checkpoint, save_checkpoint
from napari_ois.errors import WeightsError
from napari_ois.network import build

SWITCHES = {"mixer_widths": None, "dense_order": False}
METADATA = {"preset": "ois-compact", "switches": SWITCHES, "licence": "BSD-3-Clause"}


@pytest.fixture
def saved(network, tmp_path):
    return save_checkpoint(network.state_dict(), tmp_path / "own.safetensors", metadata=METADATA)


def test_half_on_disk_full_in_memory(network, saved):
    with safe_open(str(saved), framework="pt") as file:
        stored = {name: file.get_tensor(name).dtype for name in file.keys()}
    kept = {n for n, dtype in stored.items() if dtype == torch.float32}
    assert "sparse.code.frequencies" in kept
    assert "blocks.0.order_attention.log_sigma" in kept
    assert {n for n in stored if n.endswith("running_var")} <= kept
    assert sum(network.state_dict()[n].numel() for n in kept) < 60_000
    assert not any(n.endswith("num_batches_tracked") for n in stored)
    state = read_checkpoint(saved).state
    assert {value.dtype for value in state.values()} == {torch.float32}
    for name, value in state.items():
        own = network.state_dict()[name]
        assert torch.equal(value, own if name in kept else own.half().float()), name


def test_network_answers_as_before(network, saved):
    again = make_network(read_checkpoint(saved), saved)
    assert not again.training
    assert not any(t.is_meta for t in (*again.parameters(), *again.buffers()))
    image, points, labels = torch.rand(1, 3, 64, 64), torch.rand(1, 2, 2) * 60, torch.tensor([[1, 0]])
    with torch.no_grad():
        expected, answer = network(image, points, labels), again(image, points, labels)
    torch.testing.assert_close(answer, expected, atol=0.02, rtol=0.02)
    loaded = build("ois-compact", **SWITCHES)
    loaded.load_state_dict(again.state_dict())  # whole: counters are there too


def test_full_precision_is_exact(network, tmp_path):
    path = save_checkpoint(network.state_dict(), tmp_path / "full.safetensors", metadata=METADATA, half=False)
    for name, value in read_checkpoint(path).state.items():
        assert torch.equal(value, network.state_dict()[name])


def test_what_overflows_half_stays_whole(network, tmp_path):
    state = dict(network.state_dict())
    name = "encoder.context.weight"
    state[name] = torch.full_like(state[name], 1e6)
    path = save_checkpoint(state, tmp_path / "large.safetensors", metadata=METADATA)
    assert torch.equal(read_checkpoint(path).state[name], state[name])


def test_metadata_are_kept(saved):
    checkpoint = read_checkpoint(saved)
    assert checkpoint.preset == "ois-compact"
    assert checkpoint.switches == SWITCHES
    assert checkpoint.metadata["licence"] == "BSD-3-Clause"


def test_lists_in_switches_come_back_as_tuples(network, tmp_path):
    metadata = {"preset": "ois-compact", "switches": {"mixer_widths": [96, 128]}}
    path = save_checkpoint(network.state_dict(), tmp_path / "a.safetensors", metadata=metadata)
    assert read_checkpoint(path).switches == {"mixer_widths": (96, 128)}


def test_writing_leaves_no_half_file(network, tmp_path):
    path = tmp_path / "new" / "a.safetensors"
    save_checkpoint(network.state_dict(), path, metadata=METADATA)
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("name", ["folder", "file/a.safetensors"])
def test_what_cannot_be_written_is_said_and_leaves_nothing(network, tmp_path, name):
    here = tmp_path / "here"
    (here / "folder").mkdir(parents=True)
    (here / "file").touch()
    with pytest.raises(WeightsError, match="cannot be written"):
        save_checkpoint(network.state_dict(), here / name, metadata=METADATA)
    assert sorted(p.name for p in here.iterdir()) == ["file", "folder"]


def test_unknown_preset_and_failed_training_are_not_written(network, tmp_path):
    with pytest.raises(WeightsError, match="preset"):
        save_checkpoint(network.state_dict(), tmp_path / "a.safetensors", metadata={})
    state = {**network.state_dict(), "mask_decoder.head.conv3.bias": torch.tensor([float("nan")])}
    with pytest.raises(WeightsError, match="no numbers"):
        save_checkpoint(state, tmp_path / "a.safetensors", metadata=METADATA)
    assert not (tmp_path / "a.safetensors").exists()


def test_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="no checkpoint file"):
        read_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize("harm", ["cut", "text", "empty"])
def test_damaged_file(saved, harm):
    content = saved.read_bytes()
    saved.write_bytes({"cut": content[: len(content) // 2], "text": b"not weights", "empty": b""}[harm])
    with pytest.raises(WeightsError, match="damaged"):
        read_checkpoint(saved)


def test_file_of_another_program(tmp_path):
    save_file({"a": torch.zeros(2)}, str(tmp_path / "a.safetensors"))
    with pytest.raises(WeightsError, match="no checkpoint of napari-ois"):
        read_checkpoint(tmp_path / "a.safetensors")


def test_file_of_a_later_version(tmp_path):
    header = {"format": "napari-ois 1", "preset": "ois-enormous"}
    save_file({"a": torch.zeros(2)}, str(tmp_path / "a.safetensors"), metadata=header)
    with pytest.raises(WeightsError, match="ois-enormous"):
        read_checkpoint(tmp_path / "a.safetensors")


@pytest.mark.parametrize("harm", ["missing", "shape", "unknown"])
def test_weights_of_another_network(network, tmp_path, harm):
    state = dict(network.state_dict())
    name = "dense.convolution.bias"
    if harm == "missing":
        del state[name]
    elif harm == "shape":
        state[name] = torch.zeros(3)
    else:
        name = "third_eye.weight"
        state[name] = torch.zeros(3)
    path = save_checkpoint(state, tmp_path / "a.safetensors", metadata=METADATA)
    with pytest.raises(WeightsError, match=name):
        make_network(read_checkpoint(path), path)


@pytest.mark.parametrize("switches", [{"telepathy": True}, "not JSON"])
def test_switches_that_are_not_known(network, tmp_path, switches):
    metadata = {"preset": "ois-compact", "switches": switches}
    path = save_checkpoint(network.state_dict(), tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match="another version"):
        make_network(read_checkpoint(path), path)


def test_hash_follows_the_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert file_hash(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"abcd")
    assert file_hash(path).startswith("88d4266fd4e6338d")


@pytest.mark.parametrize(("cues", "appearance"), [(False, False), (True, False), (True, True)])
def test_weights_of_before_cues_and_appearance_load_too(tmp_path, cues, appearance):
    network = build("ois-compact", cues=cues, appearance=appearance)
    path = save_checkpoint(network.state_dict(), tmp_path / "own.safetensors", metadata={"preset": "ois-compact"})
    loaded = make_network(read_checkpoint(path), path)
    assert (loaded.cues is not None) == cues
    assert loaded.appearance == appearance
