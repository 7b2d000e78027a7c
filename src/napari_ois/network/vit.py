"""The paper's encoder and decoders, from transformers: DINOv2 and Depth Anything V2's DPT parts.

The rule of this file: it builds, it does not load. transformers is imported inside functions only, so the
package works without it; submodules keep transformers' names, so weights load by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from napari_ois.errors import InputError
from napari_ois.network.decoder import DepthDecoder, DPTDecoder
from napari_ois.network.encoder import PixelNorm
from napari_ois.network.ois import OIS

if TYPE_CHECKING:
    from transformers import DepthAnythingConfig

LAST_CONVOLUTION_STD = 0.01
"""Spread of the mask decoder's new last weights: Depth Anything's own would saturate the sigmoid."""


@dataclass(frozen=True)
class ViTSize:
    """The numbers of one Depth Anything V2 model.

    Attributes
    ----------
    hidden_size, depth, num_heads : int
        Of the DINOv2 encoder.
    taps : four ints
        Blocks after which features are taken, counted from one as transformers does.
    neck : four ints
        Channels of the reassembled maps, finest first.
    dim : int
        Width C of the decoder's fusions, hence of the image features.
    image_size : int
        Side of the images that the position embeddings were trained for, in pixels.
    patch : int
    head_hidden : int
        Channels before the last convolution.
    """

    hidden_size: int
    depth: int
    num_heads: int
    taps: tuple[int, int, int, int]
    neck: tuple[int, int, int, int]
    dim: int
    image_size: int = 518
    patch: int = 14
    head_hidden: int = 32


SIZES: dict[str, ViTSize] = {
    "depth-anything/Depth-Anything-V2-Small-hf": ViTSize(384, 12, 6, (3, 6, 9, 12), (48, 96, 192, 384), 64),
    "depth-anything/Depth-Anything-V2-Base-hf": ViTSize(768, 12, 12, (3, 6, 9, 12), (96, 192, 384, 768), 128),
    "depth-anything/Depth-Anything-V2-Large-hf": ViTSize(1024, 24, 16, (5, 12, 18, 24), (256, 512, 1024, 1024), 256),
}
"""By the name of the weights' repository on the hub."""


class ViTEncoder(nn.Module):
    """A frozen DINOv2 as the network's encoder: four maps of one size, shallowest first.

    Each tap goes through DINOv2's final LayerNorm and loses its class token. It stays in eval mode, whatever
    mode the network around it is put in.

    Parameters
    ----------
    backbone : transformers.Dinov2Backbone
        Made with ``reshape_hidden_states=True``.
    """

    def __init__(self, backbone: nn.Module, size: ViTSize) -> None:
        super().__init__()
        self.patch = size.patch
        self.multiple = size.patch
        self.out_channels = (size.hidden_size,) * 4
        self.normalize = PixelNorm()
        self.backbone = backbone
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> ViTEncoder:
        """Stay in eval mode: the encoder is frozen."""
        return super().train(False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode (B, 3, H, W) RGB in [0, 1] as four (B, D, h, w) maps.

        Raises
        ------
        InputError
            If a side is no multiple of the patch: DINOv2 would silently leave out the rest.
        """
        height, width = image.shape[-2:]
        if height % self.patch or width % self.patch:
            raise InputError(
                f"The ViT models take sides that are multiples of {self.patch} px, not {height} x {width}."
            )
        first, second, third, fourth = self.backbone(self.normalize(image)).feature_maps
        return first, second, third, fourth


def build_vit(size: ViTSize, **switches: Any) -> OIS:
    """Build a network on DINOv2 and two DPT decoders, with random weights.

    Parameters
    ----------
    size : ViTSize
    **switches
        Keyword arguments of :class:`OIS`.

    Raises
    ------
    InputError
        If transformers is not installed.
    """
    config = depth_anything_config(size)
    from transformers import Dinov2Backbone

    encoder = ViTEncoder(Dinov2Backbone(config.backbone_config), size)
    depth_decoder = DepthDecoder(**_dpt_parts(config), output=nn.ReLU())
    depth_decoder.requires_grad_(False)
    mask_decoder = DPTDecoder(**_dpt_parts(config), output=nn.Identity())
    last = mask_decoder.head.conv3
    nn.init.normal_(last.weight, std=LAST_CONVOLUTION_STD)
    nn.init.zeros_(last.bias)
    # The coarsest fusion has no skip: this unit is in the checkpoints but never runs, so never learns.
    mask_decoder.fusion[0].residual_layer1.requires_grad_(False)
    return OIS(encoder, depth_decoder, mask_decoder, dim=size.dim, **switches)


def depth_anything_config(size: ViTSize) -> DepthAnythingConfig:
    """Describe the model to transformers.

    Raises
    ------
    InputError
        If transformers is not installed.
    """
    try:
        from transformers import DepthAnythingConfig, Dinov2Config
    except ImportError as error:
        raise InputError(
            'The ViT models need transformers, which is not installed; run: pip install "napari-ois[vit]".'
        ) from error
    backbone = Dinov2Config(
        hidden_size=size.hidden_size,
        num_hidden_layers=size.depth,
        num_attention_heads=size.num_heads,
        image_size=size.image_size,
        patch_size=size.patch,
        out_indices=list(size.taps),
        apply_layernorm=True,
        reshape_hidden_states=True,
        attn_implementation="sdpa",
    )
    return DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=size.patch,
        reassemble_hidden_size=size.hidden_size,
        neck_hidden_sizes=list(size.neck),
        fusion_hidden_size=size.dim,
        head_hidden_size=size.head_hidden,
    )


def _dpt_parts(config: DepthAnythingConfig) -> dict[str, Any]:
    """Depth Anything's neck and head, taken apart into what :class:`DPTDecoder` runs."""
    from transformers.models.depth_anything.modeling_depth_anything import (
        DepthAnythingDepthEstimationHead,
        DepthAnythingNeck,
    )

    neck = DepthAnythingNeck(config)
    return {
        "reassemble": neck.reassemble_stage.layers,
        "convs": neck.convs,
        "fusion": neck.fusion_stage.layers,
        "head": DepthAnythingDepthEstimationHead(config),
    }
