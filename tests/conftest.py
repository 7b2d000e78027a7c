"""What every test stands on: no hub is asked, few threads, the same random numbers each time."""

from __future__ import annotations

import os
import random

# Before anything imports a hub client: a test that would download must fail at once, everywhere.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# One where as many processes as cores share the tests: threads that wait for a core are slow.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")

# The developer's own settings of napari are neither read nor reset: without a file they are this run's alone.
os.environ["NAPARI_CONFIG"] = ""

import numpy as np
import pytest
import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """Start each test from one seed, so that it gives the same result alone and in any order."""
    random.seed(0)
    np.random.seed(0)  # the old global generator, which libraries still draw from
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_depth_anything():
    """Make transformers' own Depth Anything in a tiny size, with random weights."""
    transformers = pytest.importorskip("transformers", reason="the ViT models need the extra 'vit'")

    config = transformers.DepthAnythingConfig(
        backbone_config=transformers.Dinov2Config(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
            out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False,
        ),
        patch_size=14, reassemble_hidden_size=16, neck_hidden_sizes=[4, 6, 8, 12],
        fusion_hidden_size=16, head_hidden_size=5,
    )  # fmt: skip
    return lambda: transformers.DepthAnythingForDepthEstimation(config)


class Bright(torch.nn.Module):
    """Says that everything brighter than the middle is the object; its raw depth is brightness."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def embed_image(self, image, depth=None):
        from napari_ois.network import ImageEmbedding
        from napari_ois.network.order import normalize_depth

        raw = image[:, :1] if depth is None else depth
        return ImageEmbedding(image, (), normalize_depth(raw), raw)

    def decode_clicks(self, embedding, points, labels, previous=None, order_strength=1.0):
        return 20 * (embedding.features[:, :1] - 0.5) * self.weight


@pytest.fixture
def bright_predictor():
    """Make a predictor whose network is a rule: see :class:`Bright`."""
    from napari_ois.segmentation.predictor import Predictor

    return lambda: Predictor.from_network(Bright(), input_size=256, multiple=32, device="cpu", close_up=True)


@pytest.fixture
def large_from_a_megapixel(monkeypatch):
    """Images of a few megapixels are large."""
    from napari_ois.segmentation import large_scene, lazy_plane, pyramid

    monkeypatch.setattr(lazy_plane, "LARGE", 1_000 * 1_000)
    monkeypatch.setattr(pyramid, "OVERVIEW", 512)
    monkeypatch.setattr(large_scene, "READ", 512)


def make_tiny_network(**switches):
    """An OIS network of a few thousand weights with every part awake: what starts at zero is set off it."""
    from napari_ois.network import OIS
    from napari_ois.network.decoder import compact_decoder
    from napari_ois.network.encoder import CompactEncoder

    torch.manual_seed(3)
    encoder = CompactEncoder(widths=(4, 6, 8, 10, 12), depths=(0, 1, 1, 1, 1))
    network = OIS(
        encoder,
        compact_decoder(encoder.out_channels, (4, 6, 8, 8), output=torch.nn.Sigmoid()),
        compact_decoder(encoder.out_channels, (4, 6, 16, 16), output=torch.nn.Identity()),
        dim=16,
        num_heads=4,
        **switches,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
    return network.eval()


@pytest.fixture(scope="session")
def tiny_network():
    """Build a tiny network with these switches; the weights are the same each time."""
    return make_tiny_network
