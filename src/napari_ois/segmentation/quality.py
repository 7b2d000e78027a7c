"""One rule: how large the network's input is, in pixels or in a word that says what it costs.

Cost grows with the input's area, and in a ViT faster. `full` is what a preset's weights were trained at;
`balanced` and `fast` are smaller, at the price of fine outlines and small objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ois.errors import InputError

if TYPE_CHECKING:
    from napari_ois.network import Preset

QUALITIES = ("fast", "balanced", "full")
"""From the smallest input to the largest; the order of :attr:`Preset.sizes`."""

SMALLEST, LARGEST = 32, 8192


def default_quality(preset: Preset, device_type: str) -> str:
    """What a device is given where nothing is asked for.

    A ViT at full size takes a CPU many seconds for each image and over one for each click; the compact preset is
    small enough for any device.
    """
    if preset.encoder == "compact" or device_type == "cuda":
        return "full"
    return "balanced" if device_type == "mps" else "fast"


def choose_input_size(wanted: int | str | None, preset: Preset, device_type: str) -> int:
    """The longest side of the network's input in pixels.

    Parameters
    ----------
    wanted : int, str or None
        Pixels, one of :data:`QUALITIES`, or None (or ``"auto"``) for the device's default.
    preset : Preset
    device_type : str
        ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises
    ------
    InputError
        If there is no such word, or the number is out of range.
    """
    if wanted is None or wanted == "auto":
        wanted = default_quality(preset, device_type)
    if isinstance(wanted, str):
        if wanted not in QUALITIES:
            raise InputError(f"There is no input size {wanted!r}; give {', '.join(QUALITIES)}, auto, or pixels.")
        return preset.sizes[QUALITIES.index(wanted)]
    return checked_input_size(wanted)


def checked_input_size(pixels: int) -> int:
    """The number as it is; InputError if it is out of range."""
    if not SMALLEST <= pixels <= LARGEST:
        raise InputError(
            f"input_size={pixels} is out of range; give {SMALLEST} to {LARGEST} pixels, "
            f"{', '.join(QUALITIES)}, or leave it out."
        )
    return pixels
