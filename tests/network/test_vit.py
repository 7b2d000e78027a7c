"""The ViT presets are transformers' Depth Anything V2 to the last digit, with a second decoder that prompts enter."""

from __future__ import annotations

import builtins
import sys

import pytest
import torch

from napari_ois.errors import InputError, WeightsError
from napari_ois.network import PRESETS, build
from napari_ois.network.depth_anything import DEAD_UNITS, load_depth_anything, original_to_hf
from napari_ois.network.encoder import IMAGENET_MEAN, IMAGENET_STD
from napari_ois.network.meta import build_on_meta, complete, parameter_count
from napari_ois.network.vit import SIZES, ViTSize, build_vit

transformers = pytest.importorskip("transformers", reason="the ViT models need the extra 'vit'")

TINY = ViTSize(
    hidden_size=16, depth=4, num_heads=2, taps=(1, 2, 3, 4), neck=(4, 6, 8, 12), dim=16,
    image_size=56, head_hidden=5,
)  # fmt: skip

# The renaming of transformers' own conversion script, read backwards.
ORIGINAL_NAMES = [
    ("backbone.embeddings.cls_token", "pretrained.cls_token"),
    ("backbone.embeddings.mask_token", "pretrained.mask_token"),
    ("backbone.embeddings.position_embeddings", "pretrained.pos_embed"),
    ("backbone.embeddings.patch_embeddings.projection", "pretrained.patch_embed.proj"),
    ("backbone.layernorm", "pretrained.norm"),
    ("backbone.encoder.layer", "pretrained.blocks"),
    ("attention.output.dense", "attn.proj"),
    ("layer_scale1.lambda1", "ls1.gamma"),
    ("layer_scale2.lambda1", "ls2.gamma"),
    *((f"neck.reassemble_stage.layers.{k}.projection", f"depth_head.projects.{k}") for k in range(4)),
    *((f"neck.reassemble_stage.layers.{k}.resize", f"depth_head.resize_layers.{k}") for k in (0, 1, 3)),
    *((f"neck.convs.{k}", f"depth_head.scratch.layer{k + 1}_rn") for k in range(4)),
    *((f"neck.fusion_stage.layers.{3 - k}", f"depth_head.scratch.refinenet{k + 1}") for k in range(4)),
    ("residual_layer1.convolution", "resConfUnit1.conv"),
    ("residual_layer2.convolution", "resConfUnit2.conv"),
    ("head.conv1", "depth_head.scratch.output_conv1"),
    ("head.conv2", "depth_head.scratch.output_conv2.0"),
    ("head.conv3", "depth_head.scratch.output_conv2.2"),
]


def to_original(hf):
    state = {}
    for name, value in hf.items():
        if ".attention.attention." in name:
            continue
        new = name
        for ours, theirs in ORIGINAL_NAMES:
            new = new.replace(ours, theirs)
        if "refinenet" in new:
            new = new.replace(".projection.", ".out_conv.")
        state[new] = value
    for block in range(TINY.depth):
        for kind in ("weight", "bias"):
            place = f"backbone.encoder.layer.{block}.attention.attention"
            thirds = [hf[f"{place}.{part}.{kind}"] for part in ("query", "key", "value")]
            state[f"pretrained.blocks.{block}.attn.qkv.{kind}"] = torch.cat(thirds)
    return state


@pytest.fixture(scope="module")
def reference(tiny_depth_anything):
    """transformers' own model of the tiny size, with weights that give a depth above zero."""
    torch.manual_seed(2)
    model = tiny_depth_anything().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name and "lambda" not in name:
                parameter.normal_(std=0.15)
        model.head.conv3.bias.fill_(3.0)
    return model


@pytest.fixture
def network(reference):
    network = build_vit(TINY).eval()
    load_depth_anything(network, reference.state_dict())
    return network


def hf_depth(reference, image):
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        return reference((image - mean) / std).predicted_depth[:, None]


@pytest.mark.parametrize(
    ("name", "count"),
    [("ois-vits", 27_789_146), ("ois-vitb", 109_403_674), ("ois-vitl", 370_313_882)],
)
def test_parameters_of_the_presets(name, count):
    assert parameter_count(name) == count
    large, small = PRESETS[f"{name}-2048"], PRESETS[name]
    assert (small.input_size, large.input_size) == (1022, 2044)
    assert small.multiple == large.multiple == 14
    assert (large.backbone, large.dim) == (small.backbone, small.dim)
    assert small.dim == SIZES[small.backbone].dim


def test_parameters_of_the_parts_of_the_papers_model():
    network = build_on_meta("ois-vitb")

    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(network.encoder) == 86_580_480
    assert count(network.depth_decoder) == count(network.mask_decoder) == 10_890_305
    prompts = count(network) - 86_580_480 - 2 * 10_890_305
    assert prompts == 1_042_584
    assert network.mask_decoder.head.conv3.weight.numel() + 1 == 33


@pytest.mark.parametrize("size", [(56, 56), (56, 84), (70, 42), (14, 14)])
def test_depth_is_transformers_own(network, reference, size):
    image = torch.rand(2, 3, *size)
    expected = hf_depth(reference, image)
    assert expected.max() > 0.1
    assert size == (14, 14) or expected.std() > 1e-3
    with torch.no_grad():
        raw = network.embed_image(image).raw_depth
    torch.testing.assert_close(raw, expected, atol=1e-5, rtol=1e-4)


def test_both_layouts_give_the_same_network(network, reference):
    hf = reference.state_dict()
    original = to_original(hf)
    assert {n.split(".")[0] for n in original} == {"pretrained", "depth_head"}
    back = original_to_hf(original)
    assert back.keys() == hf.keys()
    other = build_vit(TINY).eval()
    report = load_depth_anything(other, original)
    assert report.layout == "original"
    assert report.unused == ()
    for name, value in network.state_dict().items():
        if name.startswith(("encoder.", "depth_decoder.")):
            assert torch.equal(value, other.state_dict()[name]), name


def test_dead_units_are_named_and_not_missed(network, reference):
    state = {
        name: value
        for name, value in reference.state_dict().items()
        if not name.startswith("neck.fusion_stage.layers.0.residual_layer1.")
    }
    report = load_depth_anything(build_vit(TINY), state)
    assert len(report.dead) == 8
    assert all(name.startswith(DEAD_UNITS) for name in report.dead)
    assert report.layout == "hf"
    whole = load_depth_anything(build_vit(TINY), reference.state_dict())
    assert whole.loaded == report.loaded + 8


def test_incomplete_weights_are_refused_by_name(network, reference):
    before = {n: v.clone() for n, v in network.state_dict().items()}
    state = dict(reference.state_dict())
    del state["neck.convs.2.weight"]
    state["backbone.layernorm.bias"] = torch.full((16,), 7.0)
    with pytest.raises(WeightsError, match=r"depth_decoder\.convs\.2\.weight"):
        load_depth_anything(network, state)
    assert all(torch.equal(v, network.state_dict()[n]) for n, v in before.items())


def test_weights_of_another_size_are_refused(network, reference):
    state = dict(reference.state_dict())
    state["head.conv1.weight"] = torch.zeros(4, 16, 3, 3)
    with pytest.raises(WeightsError, match="another size"):
        load_depth_anything(network, state)


def test_other_tensors_of_a_file_are_reported(reference):
    state = {**reference.state_dict(), "classifier.weight": torch.zeros(1)}
    assert load_depth_anything(build_vit(TINY), state).unused == ("classifier.weight",)


def test_mask_decoder_starts_as_the_depth_decoder(network):
    """Without prompts' influence both decoders feed the same features to their last convolutions."""
    with torch.no_grad():
        network.dense.convolution.weight.zero_()
        network.dense.convolution.bias.zero_()
    seen = {}
    for name in ("depth_decoder", "mask_decoder"):
        last = getattr(network, name).head.conv3
        last.register_forward_pre_hook(lambda module, given, name=name: seen.update({name: given[0]}))
    with torch.no_grad():
        logits = network(torch.rand(1, 3, 56, 70), torch.tensor([[[9.0, 9.0]]]), torch.ones(1, 1).long())
    assert seen["depth_decoder"].std() > 0
    torch.testing.assert_close(seen["mask_decoder"], seen["depth_decoder"], atol=1e-6, rtol=1e-6)
    assert not network.mask_decoder.head.conv3.bias.any()
    assert 0 < network.mask_decoder.head.conv3.weight.abs().max() < 0.1
    assert logits.abs().max() < 5  # a sigmoid that can still move
    assert logits.min() < 0 or network.mask_decoder.head.conv3.weight.min() > 0


def test_encoder_and_depth_decoder_are_frozen(network):
    network.train()
    assert network.training
    assert not any(module.training for module in network.encoder.modules())
    logits = network(torch.rand(1, 3, 56, 56), torch.tensor([[[9.0, 9.0]]]), torch.ones(1, 1).long())
    logits.square().mean().backward()
    trained = {n for n, p in network.named_parameters() if p.grad is not None}
    assert trained
    assert all(n.startswith(("mask_decoder.", "dense.", "sparse.", "blocks.")) for n in trained)
    expected = {n for n, p in network.named_parameters() if p.requires_grad}
    assert trained == expected


def test_attention_is_sdpa(network):
    assert network.encoder.backbone.config._attn_implementation == "sdpa"


def test_depth_head_runs_in_full_precision_under_autocast(network):
    seen = []
    network.depth_decoder.head.conv3.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        embedding = network.embed_image(torch.rand(1, 3, 56, 56))
        logits = network.decode_clicks(embedding, torch.tensor([[[9.0, 9.0]]]), torch.ones(1, 1).long())
    assert seen == [torch.float32]
    assert torch.isfinite(embedding.depth).all()
    assert torch.isfinite(logits).all()


def test_clicks_on_the_cached_embedding_equal_the_whole_path(network):
    image, points = torch.rand(1, 3, 42, 70), torch.tensor([[[41.0, 69.0], [0.0, 3.0]]])
    labels = torch.tensor([[1, 0]])
    with torch.no_grad():
        embedding = network.embed_image(image)
        assert embedding.features.shape == (1, 16, 3, 5)
        cached = network.decode_clicks(embedding, points, labels, collapse=False)
        assert torch.equal(cached, network(image, points, labels))


def test_meta_network_takes_the_weights_over(reference):
    with torch.device("meta"):
        network = build_vit(TINY)
    report = load_depth_anything(network, reference.state_dict())
    assert report.loaded > 0
    assert complete(network, zeros=True) == []
    image = torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        raw = network.embed_image(image).raw_depth
    torch.testing.assert_close(raw, hf_depth(reference, image), atol=1e-5, rtol=1e-4)
    own = network.state_dict()
    name = "head.conv1.weight"
    assert own[f"depth_decoder.{name}"].data_ptr() != own[f"mask_decoder.{name}"].data_ptr()


def test_meta_network_names_what_has_no_value(reference):
    with torch.device("meta"):
        network = build_vit(TINY)
    load_depth_anything(network, reference.state_dict())
    empty = complete(network)
    assert "mask_decoder.head.conv3.weight" in empty
    assert not any(n.startswith("encoder.") for n in empty)


def test_without_transformers_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **options):
        if name.split(".")[0] == "transformers":
            raise ModuleNotFoundError("No module named 'transformers'")
        return real(name, *args, **options)

    for name in [n for n in sys.modules if n.split(".")[0] == "transformers"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"napari-ois\[vit\]"):
        build("ois-vits")


def test_sides_must_be_multiples_of_the_patch(network):
    with pytest.raises(InputError, match="multiples of 14"):
        network.embed_image(torch.rand(1, 3, 56, 64))


def test_unknown_preset_lists_the_known():
    with pytest.raises(InputError, match="ois-vitb-2048"):
        build("ois-vith")
