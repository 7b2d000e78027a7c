"""Depth Anything V2's weights into a ViT network: the encoder once, the decoder twice.

The rule of this file: state dicts in, a loaded network out, every tensor accounted for. Two layouts are
known: transformers' (the ``-hf`` repositories) and the authors' own ``.pth`` files, which is first brought
to the former.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from napari_ois.errors import WeightsError
from napari_ois.network.ois import OIS

DEAD_UNITS = (
    "depth_decoder.fusion.0.residual_layer1.",
    "mask_decoder.fusion.0.residual_layer1.",
)
"""The coarsest fusions' first units: in the checkpoints, never run, and not missed."""

_NEW = "mask_decoder.head.conv3."
"""The mask decoder's last convolution does not come from the depth model."""

_HF_TO_OURS = (
    ("backbone.", "encoder.backbone."),
    ("neck.reassemble_stage.layers.", "{decoder}.reassemble."),
    ("neck.convs.", "{decoder}.convs."),
    ("neck.fusion_stage.layers.", "{decoder}.fusion."),
    ("head.", "{decoder}.head."),
)

_ORIGINAL_TO_HF = (
    ("pretrained.cls_token", "backbone.embeddings.cls_token"),
    ("pretrained.mask_token", "backbone.embeddings.mask_token"),
    ("pretrained.pos_embed", "backbone.embeddings.position_embeddings"),
    ("pretrained.patch_embed.proj.", "backbone.embeddings.patch_embeddings.projection."),
    ("pretrained.norm.", "backbone.layernorm."),
    ("pretrained.blocks.", "backbone.encoder.layer."),
    ("depth_head.resize_layers.", "neck.reassemble_stage.layers."),
    ("depth_head.projects.", "neck.reassemble_stage.layers."),
    ("depth_head.scratch.output_conv1.", "head.conv1."),
    ("depth_head.scratch.output_conv2.0.", "head.conv2."),
    ("depth_head.scratch.output_conv2.2.", "head.conv3."),
)

_INSIDE_BLOCK = (
    (".attn.proj.", ".attention.output.dense."),
    (".ls1.gamma", ".layer_scale1.lambda1"),
    (".ls2.gamma", ".layer_scale2.lambda1"),
)

_INSIDE_FUSION = (
    ("out_conv.", "projection."),
    ("resConfUnit1.conv1.", "residual_layer1.convolution1."),
    ("resConfUnit1.conv2.", "residual_layer1.convolution2."),
    ("resConfUnit2.conv1.", "residual_layer2.convolution1."),
    ("resConfUnit2.conv2.", "residual_layer2.convolution2."),
)


@dataclass(frozen=True)
class DepthAnythingReport:
    """What was done with a checkpoint's tensors.

    Attributes
    ----------
    layout : "hf" or "original"
    loaded : int
        Tensors of the network that were filled.
    dead : tuple of str
        Names in the network of units that never run, whether or not the checkpoint has them.
    unused : tuple of str
        Names in the checkpoint (in the hf layout) that the network has no place for.
    """

    layout: str
    loaded: int
    dead: tuple[str, ...]
    unused: tuple[str, ...]


def load_depth_anything(model: OIS, state: Mapping[str, Tensor]) -> DepthAnythingReport:
    """Fill the encoder, the depth decoder and the mask decoder (but its last convolution).

    Prompt modules and the mask decoder's last convolution are left as they are. On the meta device the
    tensors are taken over, elsewhere copied.

    Parameters
    ----------
    model : OIS
        From :func:`napari_ois.network.vit.build_vit`.
    state : mapping of str to Tensor
        Depth Anything V2 relative depth, in either layout.

    Raises
    ------
    WeightsError
        If tensors are missing or have another shape; the sentence lists them. The model is then unchanged.
    """
    original = any(name.startswith(("pretrained.", "depth_head.")) for name in state)
    hf = original_to_hf(state) if original else dict(state)
    ours, unused = _to_ours(hf)
    own = model.state_dict()
    wanted = [
        name
        for name in own
        if name.startswith(("encoder.backbone.", "depth_decoder.", "mask_decoder.")) and not name.startswith(_NEW)
    ]
    missing = [n for n in wanted if n not in ours and not n.startswith(DEAD_UNITS)]
    if missing:
        raise WeightsError(
            f"These are not whole Depth Anything V2 weights ({_listed(missing)} missing); download them again."
        )
    wrong = [n for n in wanted if n in ours and ours[n].shape != own[n].shape]
    if wrong:
        raise WeightsError(
            f"These depth weights are of another size than the model ({_listed(wrong)} differ in shape); "
            "take Small for vits, Base for vitb, Large for vitl."
        )
    found = {name: ours[name].float() for name in wanted if name in ours}
    for name in found:
        if name.startswith("mask_decoder."):
            found[name] = found[name].clone()  # two decoders, of which only one is trained
    model.load_state_dict(found, strict=False, assign=any(own[n].is_meta for n in wanted))
    dead = tuple(name for name in wanted if name.startswith(DEAD_UNITS))
    return DepthAnythingReport("original" if original else "hf", len(found), dead, unused)


def original_to_hf(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' layout to transformers', and split query, key and value.

    Names that are not known are kept as they are.
    """
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if ".attn.qkv." in name:
            block, kind = name.removeprefix("pretrained.blocks.").split(".attn.qkv.")
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                place = f"backbone.encoder.layer.{block}.attention.attention.{part}.{kind}"
                renamed[place] = third
        else:
            renamed[_hf_name(name)] = value
    return renamed


def _hf_name(name: str) -> str:
    scratch = "depth_head.scratch."
    if name.startswith(f"{scratch}layer"):
        return f"neck.convs.{int(name[len(scratch) + 5]) - 1}.weight"
    if name.startswith(f"{scratch}refinenet"):
        number, rest = name.removeprefix(f"{scratch}refinenet").split(".", 1)
        for old, new in _INSIDE_FUSION:
            rest = rest.replace(old, new)
        return f"neck.fusion_stage.layers.{4 - int(number)}.{rest}"
    for old, new in _ORIGINAL_TO_HF:
        if name.startswith(old):
            name = new + name.removeprefix(old)
            if old.startswith("depth_head.projects") or old.startswith("depth_head.resize"):
                level, kind = name.removeprefix(new).split(".")
                part = "projection" if "projects" in old else "resize"
                return f"{new}{level}.{part}.{kind}"
            break
    for old, new in _INSIDE_BLOCK:
        name = name.replace(old, new)
    return name


def _to_ours(hf: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    ours: dict[str, Tensor] = {}
    unused: list[str] = []
    for name, value in hf.items():
        for old, new in _HF_TO_OURS:
            if name.startswith(old):
                for decoder in ("depth_decoder", "mask_decoder"):
                    ours[new.format(decoder=decoder) + name.removeprefix(old)] = value
                break
        else:
            unused.append(name)
    return ours, tuple(unused)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
