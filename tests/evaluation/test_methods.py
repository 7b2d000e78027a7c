from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch

from napari_ois.checkpoints import save_checkpoint
from napari_ois.errors import InputError, WeightsError
from napari_ois.evaluation.classical import FloodFill
from napari_ois.evaluation.methods import Method, load_network, parse_model
from napari_ois.network import build
from napari_ois.network.extensions import ORDER_CHANNELS
from napari_ois.network.surface import CUES
from napari_ois.segmentation.predictor import Predictor

IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
CLICKS = np.array([[20.0, 30.0], [5.0, 5.0]]), np.array([1, 0])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    # as drawn, the blocks and the cues start without any say in the image features; a trained network's have one
    state = {
        name: value + 0.05 * torch.randn_like(value) if name.startswith(("blocks.", "cues.")) else value
        for name, value in build("ois-compact").state_dict().items()
    }
    return save_checkpoint(state, path, metadata={"preset": "ois-compact", "switches": {}}, half=False)


def logits(network):
    """What a network makes of two clicks and a previous mask on a random image of 32 x 64."""
    torch.manual_seed(1)
    points, labels = torch.tensor([[[20.0, 30.0], [5.0, 5.0]]]), torch.tensor([[1, 0]])
    with torch.inference_mode():
        embedding = network.embed_image(torch.rand(1, 3, 32, 64))
        previous = torch.full((1, 1, 32, 64), -4.0)
        previous[..., 24:40] = 4.0
        return network.decode_clicks(embedding, points, labels, previous)


@pytest.fixture(scope="module")
def whole(checkpoint):
    return load_network(str(checkpoint))[0]


def test_names_are_split_into_model_and_switches():
    assert parse_model("ois-compact") == ("ois-compact", {})
    assert parse_model("ois-compact:use_order=false") == ("ois-compact", {"use_order": False})
    given = parse_model("C:\\weights\\a.safetensors:use_order=False,mixer_widths=[96,128],input_size=448")
    assert given == ("C:\\weights\\a.safetensors", {"use_order": False, "mixer_widths": [96, 128], "input_size": 448})
    assert parse_model("C:\\weights\\a=b.safetensors") == ("C:\\weights\\a=b.safetensors", {})
    with pytest.raises(InputError, match="'use_order=off' is no switch"):
        parse_model("ois-compact:use_order=off")


def test_a_name_gives_what_answers(checkpoint):
    assert isinstance(Method("flood-fill").make(), FloodFill)
    predictor = Method(f"{checkpoint}:use_object=false", device="cpu", input_size=64).make()
    assert isinstance(predictor, Predictor)
    predictor.set_image(IMAGE)
    assert predictor.predict(*CLICKS).mask.shape == (48, 64)
    assert [Method(name).is_model for name in ("grabcut", "sam:x", "sam-hq:x", "ois-compact")] == [False] * 3 + [True]
    with pytest.raises(WeightsError, match="no model called"):
        Method("grabcat").make()


def test_a_predictor_switch_reaches_the_predictor(checkpoint, whole, monkeypatch):
    calls = []
    monkeypatch.setattr("napari_ois.segmentation.predictor.Predictor", lambda *args, **given: calls.append(given))
    Method(f"{checkpoint}:close_up=false,input_size=448", device="cpu").make()
    assert calls == [{"device": "cpu", "precision": "auto", "input_size": 448, "close_up": False}]
    assert torch.equal(logits(load_network(f"{checkpoint}:close_up=false")[0]), logits(whole))


def test_without_order_is_the_same_network_that_is_told_nothing_of_order(checkpoint, whole):
    network, info = load_network(f"{checkpoint}:use_order=false")
    assert info.name == f"{checkpoint}:use_order=false"
    assert network.dense.convolution.weight.shape[1] == whole.dense.convolution.weight.shape[1] - ORDER_CHANNELS
    told_nothing = copy.deepcopy(whole)
    told_nothing.dense.convolution.weight.data[:, 2 : 2 + ORDER_CHANNELS] = 0
    for layer in (told_nothing.cues.coarse, told_nothing.cues.fine):
        layer.weight.data[:, CUES + 2 : CUES + 2 + ORDER_CHANNELS] = 0
    for block in told_nothing.blocks:
        block.use_order = False
    torch.testing.assert_close(logits(network), logits(told_nothing))
    assert not torch.allclose(logits(network), logits(whole))


def test_every_part_can_be_left_out(checkpoint, whole):
    before = logits(whole)
    for switch in ("use_sparse", "use_dense", "use_object", "dense_previous", "sparse_features", "cues"):
        answer = logits(load_network(f"{checkpoint}:{switch}=false")[0])
        assert torch.isfinite(answer).all(), switch
        assert not torch.equal(answer, before), switch


def test_a_strength_of_order_is_asked_for_with_every_click(checkpoint):
    plain, off = (Predictor(str(checkpoint), device="cpu", input_size=64) for _ in range(2))
    method = Method(f"{checkpoint}:order_strength=0,close_up=false", device="cpu", input_size=64).make()
    depth = np.linspace(0, 1, IMAGE.shape[1])[None].repeat(IMAGE.shape[0], axis=0).astype(np.float32)
    for predictor in (plain, off, method):
        predictor.set_image(IMAGE, depth=depth)
    mine = method.predict(*CLICKS, previous=method.predict(CLICKS[0][:1], CLICKS[1][:1]).state)
    first = off.predict(CLICKS[0][:1], CLICKS[1][:1], order_strength=0)
    expected = off.predict(*CLICKS, previous=first.state, order_strength=0)
    np.testing.assert_allclose(mine.probability, expected.probability, atol=1e-5)
    assert np.abs(mine.probability - plain.predict(*CLICKS).probability).max() > 1e-3
    for wrong in ("true", "-1", '"much"'):
        with pytest.raises(InputError, match="order_strength"):
            Method(f"{checkpoint}:order_strength={wrong}", device="cpu").make()


def test_switches_that_do_not_fit_are_one_sentence(checkpoint):
    with pytest.raises(InputError, match="no switch 'use_magic'"):
        load_network(f"{checkpoint}:use_magic=true")
    with pytest.raises(WeightsError, match="no weights for encode_depth"):
        load_network(f"{checkpoint}:encode_depth=true")


# -- SAM ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["sam", "sam-hq"])
def sam(request, tmp_path_factory):
    """Tiny SAM weights in a folder, as transformers writes them."""
    transformers = pytest.importorskip("transformers", reason="SAM needs transformers, the extra 'vit'")
    names = {"sam": ("SamConfig", "SamModel"), "sam-hq": ("SamHQConfig", "SamHQModel")}[request.param]
    if not hasattr(transformers, names[1]):
        pytest.skip(f"this version of transformers has no {names[1]}")
    prompt = {"hidden_size": 16, "image_size": 64, "patch_size": 8}
    decoder = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16, "vit_dim": 24}
    vision = {
        "hidden_size": 24, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64,
        "patch_size": 8, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 8, "mlp_dim": 24,
        "initializer_range": 0.3,
    }  # fmt: skip
    torch.manual_seed(0)
    config = getattr(transformers, names[0])(
        vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder
    )
    folder = tmp_path_factory.mktemp("sam")
    model = getattr(transformers, names[1])(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return request.param, folder


def test_sam_answers_clicks_at_the_images_size(sam):
    family, folder = sam
    predictor = Method(f"{family}:{folder}", device="cpu").make()
    predictor.set_image(IMAGE)
    first = predictor.predict(CLICKS[0][:1], CLICKS[1][:1])
    assert first.mask.shape == (48, 64) and first.mask.dtype == bool
    again = predictor.predict(*CLICKS, previous=first.state)
    alone = predictor.predict(*CLICKS)
    assert again.state.shape == first.state.shape
    # the logits before are a prompt, and so are the points
    assert not torch.equal(again.state, alone.state)
    assert not torch.equal(first.state, predictor.predict(np.array([[40.0, 2.0]]), np.array([1])).state)
    assert predictor.parameters > 1000


def test_sam_takes_row_and_column_as_row_and_column(sam):
    """A point is handed over as x, y in the padded square: 48 x 64 fills 48 x 64 of 64 x 64."""
    family, folder = sam
    predictor = Method(f"{family}:{folder}", device="cpu").make()
    predictor.set_image(np.repeat(np.repeat(IMAGE, 2, axis=0), 2, axis=1))
    seen = {}
    predictor._model.prompt_encoder.register_forward_pre_hook(
        lambda module, args, kwargs: seen.update(kwargs), with_kwargs=True
    )
    predictor.predict(np.array([[10.0, 60.0]]), np.array([1]))
    assert seen["input_points"].tolist() == [[[[30.0, 5.0]]]]


def test_sam_without_its_weights_is_one_sentence(sam, tmp_path):
    family, folder = sam
    with pytest.raises(InputError, match="needs the folder"):
        Method(family).make()
    with pytest.raises(WeightsError, match="There are no weights"):
        Method(f"{family}:{tmp_path / 'nowhere'}").make()
    other = {"sam": "sam-hq", "sam-hq": "sam"}[family]
    with pytest.raises(WeightsError, match="holds a model of the kind"):
        Method(f"{other}:{folder}").make()
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Method(f"{family}:{tmp_path}").make()
    (tmp_path / "config.json").write_text(json.dumps([1]))
    with pytest.raises(WeightsError, match="is damaged"):
        Method(f"{family}:{tmp_path}").make()
