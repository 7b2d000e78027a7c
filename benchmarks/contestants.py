"""The networks that are timed against each other: ours, our plain path, SAM, SAM-HQ and SAM 2; all with random weights.

One rule: every contestant has the same four verbs, and every answer ends as bool masks of the image's size on the
host. Peers are built from their configurations by transformers; nothing is downloaded.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

NAMES = ("ois", "ois plain", "sam", "sam-hq", "sam2")
"""Ours on its click path; ours as the paper has it, the whole decoder for each click; and the peers."""


class Contestant(Protocol):
    """What is timed. Points are (N, 2) float, row and column in image pixels; labels (N,) integer."""

    parameters: int

    def embed(self) -> None:
        """Do all that depends on the image alone."""

    def click(self, points: Tensor, labels: Tensor, *, later: bool) -> Tensor:
        """(H, W) bool on the host; ``later`` starts from the answer before."""

    def prompts(self, points: Tensor) -> Tensor:
        """(N, H, W) bool on the host: one positive click each, all at once."""


def make(name: str, *, image: int, side: int, device: str, precision: str, compiled: bool, tiny: bool) -> Contestant:
    """Build one.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.
    image : int
        Side of the square image in pixels, at whose size masks are given.
    side : int
        Side of the input of our networks; the peers have their own, 1024.
    device : str
    precision : str
        "fp32", or "bf16" for autocast.
    compiled : bool
        Compile our network's halves; the peers are left as they are.
    tiny : bool
        A few thousand weights and small inputs: for tests.
    """
    torch.manual_seed(0)
    if name.startswith("ois"):
        return Ours(image, side, device, precision, compiled=compiled, tiny=tiny, plain=name == "ois plain")
    return Peer(name, image, device, precision, tiny=tiny)


def _cast(device: str, precision: str) -> Any:
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")


def _masks(logits: Tensor, image: int) -> Tensor:
    """(N, 1, h, w) logits as (N, H, W) bool on the host, thresholded on the device."""
    full = functional.interpolate(logits.float(), size=(image, image), mode="bilinear", align_corners=False)
    return (full[:, 0] > 0).cpu()


class Ours:
    """``ois-vitb``, or a tiny one of the same make."""

    def __init__(
        self, image: int, side: int, device: str, precision: str, *, compiled: bool, tiny: bool, plain: bool
    ) -> None:
        from napari_ois.network import build
        from napari_ois.network.compiled import CompiledHalves
        from napari_ois.network.vit import ViTSize, build_vit

        tiny_size = ViTSize(24, 4, 2, (1, 2, 3, 4), (4, 6, 8, 12), 16, image_size=56)
        network = build_vit(tiny_size) if tiny else build("ois-vitb")
        self.network = network.to(device).eval()
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self._halves = CompiledHalves(self.network) if compiled and not plain else self.network
        self._plain, self._image, self._scale = plain, image, side / image
        self._device, self._cast = device, (device, precision)
        self._pixels = torch.rand(1, 3, side, side, device=device)
        self._before: Tensor | None = None

    @torch.inference_mode()
    def embed(self) -> None:
        """See :class:`Contestant`."""
        with _cast(*self._cast):
            if self._plain:
                from napari_ois.network.order import normalize_depth
                from napari_ois.network.plain import plain_decoder

                self._maps = self.network.encoder(self._pixels)
                size = (self._pixels.shape[-2], self._pixels.shape[-1])
                self._depth = normalize_depth(plain_decoder(self.network.depth_decoder, self._maps, size))
            else:
                self._embedding = self._halves.embed_image(self._pixels)

    @torch.inference_mode()
    def click(self, points: Tensor, labels: Tensor, *, later: bool) -> Tensor:
        """See :class:`Contestant`."""
        before = self._before if later else None
        places, kinds = (points * self._scale)[None].to(self._device), labels[None].to(self._device)
        with _cast(*self._cast):
            if self._plain:
                from napari_ois.network.plain import plain_click

                logits = plain_click(self.network, self._maps, self._depth, places, kinds, before)
            else:
                logits = self._halves.decode_clicks(self._embedding, places, kinds, before)
        self._before = logits
        return _masks(logits, self._image)[0]

    @torch.inference_mode()
    def prompts(self, points: Tensor) -> Tensor:
        """See :class:`Contestant`; the plain path has no batches of its own."""
        ones = torch.ones(len(points), 1, dtype=torch.long, device=self._device)
        places = (points * self._scale)[:, None].to(self._device)
        with _cast(*self._cast):
            logits = self.network.decode_clicks(self._embedding.repeated(len(points)), places, ones)
        return _masks(logits, self._image)


class Peer:
    """SAM ViT-B, SAM-HQ ViT-B or SAM 2 base-plus, from transformers."""

    def __init__(self, name: str, image: int, device: str, precision: str, *, tiny: bool) -> None:
        model = {"sam": _sam, "sam-hq": _sam_hq, "sam2": _sam2}[name](tiny)
        self.model = model.to(device).eval()
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        side = model.config.prompt_encoder_config.image_size
        self._name, self._image, self._scale = name, image, side / image
        self._device, self._cast = device, (device, precision)
        self._pixels = torch.rand(1, 3, side, side, device=device)
        self._before: Tensor | None = None

    @torch.inference_mode()
    def embed(self) -> None:
        """See :class:`Contestant`."""
        with _cast(*self._cast):
            embedded = self.model.get_image_embeddings(self._pixels)
        self._given = {"image_embeddings": embedded}
        if self._name == "sam-hq":
            self._given = {"image_embeddings": embedded[0], "intermediate_embeddings": embedded[1]}

    def _ask(self, points: Tensor, labels: Tensor, **more: Any) -> Tensor:
        """(1, P, N, 2) points, row and column, and (1, P, N) labels -> (P, 1, h, w) logits: the first mask."""
        places = (points * self._scale).flip(-1).to(self._device)
        with _cast(*self._cast):
            answer = self.model(input_points=places, input_labels=labels.to(self._device), **self._given, **more)
        return answer.pred_masks[0, :, :1]

    @torch.inference_mode()
    def click(self, points: Tensor, labels: Tensor, *, later: bool) -> Tensor:
        """See :class:`Contestant`."""
        before = self._before if later else None
        logits = self._ask(points[None, None], labels[None, None], input_masks=before, multimask_output=not later)
        self._before = logits.float()
        return _masks(logits, self._image)[0]

    @torch.inference_mode()
    def prompts(self, points: Tensor) -> Tensor:
        """See :class:`Contestant`."""
        ones = torch.ones(1, len(points), 1, dtype=torch.long)
        return _masks(self._ask(points[None, :, None], ones, multimask_output=True), self._image)


_SMALL_VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 16,
    "window_size": 2,
    "global_attn_indexes": [1],
    "output_channels": 256,
    "mlp_dim": 32,
}
_SMALL_PROMPTS = {"image_size": 64, "image_embedding_size": 4}


def _sam(tiny: bool) -> Any:
    from transformers import SamConfig, SamModel  # its vision encoder is ViT-B by default

    if not tiny:
        return SamModel(SamConfig())
    return SamModel(
        SamConfig(
            vision_config=_SMALL_VIT,
            prompt_encoder_config=_SMALL_PROMPTS,
        )
    )


def _sam_hq(tiny: bool) -> Any:
    from transformers import SamHQConfig, SamHQModel

    if not tiny:
        return SamHQModel(SamHQConfig())
    return SamHQModel(
        SamHQConfig(
            vision_config=_SMALL_VIT,
            prompt_encoder_config=_SMALL_PROMPTS,
            mask_decoder_config={"vit_dim": 16},
        )
    )


def _sam2(tiny: bool) -> Any:
    from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig

    if tiny:
        widths, blocks, whole, side, window = [8, 16, 24, 32], [1, 1, 2, 1], [3], 128, [8, 4, 4, 2]
    else:  # base-plus, by its paper
        widths, blocks, whole, side, window = [112, 224, 448, 896], [2, 3, 16, 3], [12, 16, 20], 1024, [8, 4, 14, 7]
    heads = [1, 1, 2, 2] if tiny else [2, 4, 8, 16]
    backbone = Sam2HieraDetConfig(
        hidden_size=widths[0],
        num_attention_heads=heads[0],
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=heads,
        blocks_per_stage=blocks,
        global_attention_blocks=whole,
        window_size_per_stage=window,
        window_positional_embedding_background_size=[14, 14],
        image_size=[side, side],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone.to_dict(),
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[side // 4] * 2, [side // 8] * 2, [side // 16] * 2],
    )
    prompts = {"image_size": side}
    return Sam2Model(Sam2Config(vision_config=vision.to_dict(), prompt_encoder_config=prompts))
