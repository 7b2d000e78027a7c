"""Networks without memory, to be filled by a checkpoint: nothing is drawn at random that is thrown away.

The rule of this file: between :func:`build_on_meta` and :func:`complete` a network has shapes only; the
checkpoint's tensors are taken over, not copied (``load_state_dict(..., assign=True)``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from napari_ois.network.encoder import PixelNorm
from napari_ois.network.ois import OIS
from napari_ois.network.presets import Preset, build


def build_on_meta(preset: Preset | str, **switches: Any) -> OIS:
    """Build a network whose tensors are on the meta device; arguments of :func:`build`."""
    with torch.device("meta"):
        return build(preset, **switches)


def complete(model: OIS, *, zeros: bool = False) -> list[str]:
    """Give real tensors to what no checkpoint holds: constants and batch norm's counters.

    Parameters
    ----------
    model : OIS
        Changed in place; its real tensors are left alone.
    zeros : bool
        Fill everything else that has no value yet with zeros: for a network of which only the depth half
        was loaded, and whose mask half must not be asked.

    Returns
    -------
    list of str
        Names that still have no value.
    """
    empty: list[str] = []
    for path, module in model.named_modules():
        if isinstance(module, PixelNorm):
            fresh = PixelNorm()
            module.mean, module.std = fresh.mean, fresh.std
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is None or not tensor.is_meta:
                continue
            if not zeros and name != "num_batches_tracked":
                empty.append(f"{path}.{name}")
                continue
            value = torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")
            if isinstance(tensor, nn.Parameter):
                value = nn.Parameter(value, requires_grad=tensor.requires_grad)
            setattr(module, name, value)
    return empty


def parameter_count(preset: Preset | str) -> int:
    """Number of a preset's parameters, frozen ones too; no memory is taken."""
    return sum(parameter.numel() for parameter in build_on_meta(preset).parameters())
