"""The compiled halves are held against the network as it is."""

from __future__ import annotations

import os
import shutil
import sysconfig

import pytest
import torch

from napari_ois.errors import InputError
from napari_ois.network.compiled import CompiledHalves, check_compiler

WHOLE = torch.tensor([[[10.0, 20.0], [40.0, 70.0]]]), torch.tensor([[1, 0]])


def test_one_whole_graph_serves_any_number_of_clicks(network_of, image):
    """The eager backend runs what was traced, without a compiler; a second graph would be traced anew.

    The second click brings the mask before it along.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    network = network_of(dense_order=True, dense_previous=True, sparse_features=True, mixer_widths=(8, 12))
    halves = CompiledHalves(network, backend=backend)
    with torch.inference_mode():
        embedding = network.embed_image(image[:1])
        before = None
        for count in (1, 2):
            clicks = WHOLE[0][:, :count], WHOLE[1][:, :count], before
            plain = network.decode_clicks(embedding, *clicks)
            torch.testing.assert_close(halves.decode_clicks(embedding, *clicks), plain, rtol=1e-4, atol=1e-5)
            before = plain
    assert len(graphs) == 1


def test_an_embedding_from_a_traced_graph_is_the_plain_one(network_of, image):
    network = network_of()
    with torch.inference_mode():
        traced = CompiledHalves(network, backend="eager").embed_image(image[:1])
        plain = network.embed_image(image[:1])
    torch.testing.assert_close(traced.features, plain.features, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(traced.depth, plain.depth, rtol=1e-5, atol=1e-6)


def test_what_is_rare_is_not_compiled(network, image):
    halves = CompiledHalves(network, backend="eager")
    with torch.inference_mode():
        embedding = network.embed_image(image[:1])
        window = (0, 8, 20, 40)
        part = halves.decode_clicks(embedding, *WHOLE, window=window)
        assert torch.equal(part, network.decode_clicks(embedding, *WHOLE)[..., 0:20, 8:40])


def test_without_a_compiler_it_says_what_to_install(monkeypatch, network):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"C\+\+ compiler.*leave compile off"):
        CompiledHalves(network)


def test_without_pythons_header_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(InputError, match=r"Python\.h"):
        check_compiler()


@pytest.mark.skipif(
    "TEST_COMPILE" not in os.environ, reason="compiling takes up to minutes; set TEST_COMPILE=1 to run it"
)
def test_a_really_compiled_convolution_is_the_plain_one(monkeypatch):
    """The least that shows that the compiler works here; a whole network takes minutes."""
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    check_compiler()
    layer = torch.nn.Conv2d(2, 3, 3)
    compiled = torch.compile(lambda x: torch.relu(layer(x) + 1), dynamic=False)
    with torch.inference_mode():
        x = torch.randn(1, 2, 6, 6)
        torch.testing.assert_close(compiled(x), torch.relu(layer(x) + 1))
