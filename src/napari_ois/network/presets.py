"""The named networks: one frozen dataclass a preset, a dictionary of names.

The rule of this file: a preset holds plain numbers, and :func:`build` turns them into a network with random
weights. Where weights come from is the next floor's business.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import nn

from napari_ois.errors import InputError
from napari_ois.network.decoder import DepthDecoder, compact_decoder
from napari_ois.network.encoder import CompactEncoder
from napari_ois.network.ois import OIS
from napari_ois.network.vit import SIZES, build_vit


@dataclass(frozen=True)
class Preset:
    """The numbers of one network.

    Attributes
    ----------
    name : str
    encoder : "compact" or "vit"
    sizes : three ints
        Longest side of the network's input in pixels: fast, balanced, and full, which is what it is trained at.
    multiple : int
        Both sides of the input are multiples of it.
    dim : int
        Width C of the image features.
    backbone : str
        ViT presets: repository of the depth model on the hub, whose encoder and decoder it takes.
    close_up : bool
        Whether small objects are looked at in a closer view; the paper's presets see the whole image only.
    switches : dict
        Keyword arguments of :class:`OIS` that differ from its defaults.
    """

    name: str
    encoder: Literal["compact", "vit"]
    sizes: tuple[int, int, int]
    multiple: int
    dim: int
    backbone: str = ""
    close_up: bool = False
    switches: dict[str, Any] = field(default_factory=dict)

    @property
    def input_size(self) -> int:
        """The full size."""
        return self.sizes[-1]


_COMPACT_SWITCHES: dict[str, Any] = {
    "num_heads": 4,
    "dense_order": True,
    "dense_previous": True,
    "sparse_features": True,
    "cues": True,
    "appearance": True,
    "mixer_widths": (96, 128),
    "min_depth_range": 0.1,
}

_DEPTH_ANYTHING = "depth-anything/Depth-Anything-V2-{}-hf"

_PRESETS = [
    Preset("ois-compact", "compact", (128, 192, 224), 32, 64, close_up=True, switches=_COMPACT_SWITCHES),
    *(
        Preset(f"ois-{short}{suffix}", "vit", sizes, 14, dim, backbone=_DEPTH_ANYTHING.format(size))
        # 1022 and 2044 are the multiples of the patch next to the paper's 1024 and 2048; 518 is what Depth
        # Anything was trained at.
        for suffix, sizes in (("", (518, 770, 1022)), ("-2048", (1022, 1540, 2044)))
        for short, dim, size in (("vits", 64, "Small"), ("vitb", 128, "Base"), ("vitl", 256, "Large"))
    ),
]

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _PRESETS}


def build(preset: Preset | str, **switches: Any) -> OIS:
    """Build a network with random weights.

    Parameters
    ----------
    preset : Preset or str
    **switches
        Override the preset's switches, for ablations: ``use_order=False`` and so on.

    Raises
    ------
    InputError
        If the name is none of :data:`PRESETS`, there is no such switch, or a ViT preset is asked for without
        transformers.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            known = ", ".join(PRESETS)
            raise InputError(f"There is no preset called {preset!r}; choose one of {known}.")
        preset = PRESETS[preset]
    check_switches(switches)
    preset = replace(preset, switches={**preset.switches, **switches})
    if preset.encoder == "vit":
        return build_vit(SIZES[preset.backbone], **preset.switches)
    return _build_compact(preset)


def check_switches(names: Collection[str]) -> None:
    """Refuse what is no switch of :class:`OIS`, with an InputError."""
    unknown = set(names) - set(OIS.__init__.__kwdefaults__)
    if unknown:
        raise InputError(f"The network has no switch {min(unknown)!r}; write for instance use_order=false.")


def _build_compact(preset: Preset) -> OIS:
    encoder = CompactEncoder()
    channels = encoder.out_channels
    return OIS(
        encoder,
        compact_decoder(channels, (8, 16, 32, 48), output=nn.Sigmoid(), kind=DepthDecoder),
        compact_decoder(channels, (16, 32, preset.dim, preset.dim), output=nn.Identity()),
        dim=preset.dim,
        **preset.switches,
    )
