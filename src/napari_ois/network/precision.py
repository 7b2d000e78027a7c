"""One rule: what half precision would spoil runs outside of any autocast, on devices that know none too."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def is_autocast(device: torch.device) -> bool:
    """Whether operations on this device are cast now; False where there is no autocast, as on ``meta``."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def exactly(device: torch.device) -> AbstractContextManager[object]:
    """Context in which nothing on this device is cast."""
    return torch.autocast(device.type, enabled=False) if is_autocast(device) else nullcontext()
