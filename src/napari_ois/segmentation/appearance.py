"""One rule: how an image is made into what the network sees is a value, which can be written down and applied again.

An :class:`Appearance` says nothing about where pixels come from: it takes one array, or one a channel or layer, and
gives what a predictor is to be given. numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.errors import InputError
from napari_ois.segmentation.colour import PERCENTILES, Picture, Range, contrast, mix, stretched, to_plane

Colour = tuple[float, float, float]

NETWORK, PERCENTILE, SEEN = "network", "percentiles", "seen"
STRETCHES = (NETWORK, PERCENTILE, SEEN)
"""The table of :class:`Picture`; percentiles of one's own; the contrast limits and gamma of a viewer."""
MOST_CHANNELS = 3
"""That can be mapped: to red, green and blue."""


@dataclass(frozen=True)
class Tint:
    """How one array is shown in a viewer.

    Attributes
    ----------
    limits : (float, float)
        Values that become 0 and 1.
    gamma : float
        Power that the values between are raised to.
    colours : tuple of (red, green, blue)
        The colour map from 0 to 1, at equal distances; empty for grey. Only used where several arrays are mixed.
    layer : str
        Name of the layer it is of; for people.
    """

    limits: Range
    gamma: float = 1.0
    colours: tuple[Colour, ...] = ()
    layer: str = ""

    def coloured(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W) between 0 and 1 -> (H, W, 3)."""
        if len(self.colours) < 2:
            return np.repeat(values[..., None], 3, axis=2)
        table = np.asarray(self.colours, dtype=np.float32)
        at = np.linspace(0.0, 1.0, len(table))
        channels = [np.interp(values, at, table[:, channel]) for channel in range(3)]
        return np.stack(channels, axis=-1).astype(np.float32)


@dataclass(frozen=True)
class Appearance:
    """What is done to pixels before the network sees them; as it is made, nothing.

    Attributes
    ----------
    stretch : str
        ``"network"``, ``"percentiles"`` or ``"seen"``.
    percentiles : (float, float)
        Become 0 and 1, where the stretch is that.
    channel_axis : int or None
        Axis of the image, colour not counted, that the channels are taken from.
    channels : tuple of int
        Its indices that become grey, or red and green, or red, green and blue.
    composite : bool
        Whether the arrays are layers, each in its own colours, summed.
    tints : tuple of Tint
        One, or where it is a composite, one an array.
    level : int
        Of a pyramid; 0 is full resolution.

    Notes
    -----
    =============== ==================================== ================================================
    stretch         one array                            several (channels of an axis, layers)
    =============== ==================================== ================================================
    ``network``     unchanged: the predictor stretches   each from its 0.1st to its 99.9th percentile
    ``percentiles`` from the lower to the higher; RGB    each from the lower to the higher
                    with one range for the three
    ``seen``        limits and gamma; RGB unchanged      limits and gamma, each its own or one for all
    =============== ==================================== ================================================
    """

    stretch: str = NETWORK
    percentiles: Range = PERCENTILES
    channel_axis: int | None = None
    channels: tuple[int, ...] = ()
    composite: bool = False
    tints: tuple[Tint, ...] = ()
    level: int = 0

    def __post_init__(self) -> None:
        low, high = self.percentiles
        if self.stretch not in STRETCHES:
            raise InputError(
                f'There is no way "{self.stretch}" to stretch an image; use one of {", ".join(STRETCHES)}.'
            )
        if not 0 <= low < high <= 100:
            raise InputError(f"The percentiles {low:g} and {high:g} are no range; give 0 to 100, the lower first.")
        if (self.channel_axis is None) != (not self.channels) or len(self.channels) > MOST_CHANNELS:
            raise InputError("Channels need an axis and one, two or three of its indices.")
        if self.composite and (self.channels or not self.tints):
            raise InputError("A composite needs how each of its layers is shown, and no channels.")
        if self.stretch == SEEN and not self.tints:
            raise InputError("An image as it is seen needs its contrast limits.")

    @property
    def plain(self) -> bool:
        """Whether nothing is done at all."""
        return self == Appearance()

    def paint(self, parts: Sequence[ArrayLike]) -> NDArray[Any]:
        """Make what a predictor is to be given.

        Parameters
        ----------
        parts : sequence of (H, W) or (H, W, C) arrays
            The plane; or one an index of :attr:`channels`; or one a layer of the composite.

        Returns
        -------
        (H, W, 3) float32 in [0, 1]; or the one array itself, where nothing is done to it.

        Raises
        ------
        InputError
            If they are not as many as they must be, not of one shape, or no images.
        """
        arrays = [np.asarray(part) for part in parts]
        self._check(arrays)
        if self.composite:
            mixed = sum(self._layer(array, tint) for array, tint in zip(arrays, self.tints, strict=True))
            return np.clip(mixed, 0.0, 1.0).astype(np.float32)
        if self.channels:
            if arrays[0].ndim != 2:
                raise InputError("An RGB image has no channels to choose; take its channel axis back.")
            greys = [self._grey(array, self.tints[0] if self.tints else None) for array in arrays]
            return np.repeat(greys[0][..., None], 3, axis=2) if len(greys) == 1 else mix(greys)
        array = arrays[0]
        if self.stretch == NETWORK or (self.stretch == SEEN and array.ndim == 3):
            return array
        if array.ndim == 3:
            return np.asarray(stretched(array[..., :3], contrast(array[..., :3], self.percentiles)))
        return np.repeat(self._grey(array, self.tints[0] if self.tints else None)[..., None], 3, axis=2)

    def seen(self, parts: Sequence[ArrayLike]) -> NDArray[np.float32]:
        """What the network sees in the end, (H, W, 3) float32 in [0, 1]: for people to look at."""
        return to_plane(self.paint(parts))

    def _check(self, arrays: list[NDArray[Any]]) -> None:
        wanted = len(self.tints) if self.composite else max(1, len(self.channels))
        if len(arrays) != wanted:
            raise InputError(f"{wanted} arrays are needed, and {len(arrays)} are there.")
        if len({array.shape[:2] for array in arrays}) != 1:
            raise InputError("The channels or layers have different shapes; leave one of them out.")
        for array in arrays:
            Picture.check(array)

    def _grey(self, array: NDArray[Any], tint: Tint | None) -> NDArray[np.float32]:
        if self.stretch != SEEN or tint is None:
            return stretched(array, contrast(array, self.percentiles if self.stretch == PERCENTILE else PERCENTILES))
        grey = stretched(array, tint.limits)
        return grey if tint.gamma == 1 else np.power(grey, np.float32(tint.gamma))

    def _layer(self, array: NDArray[Any], tint: Tint) -> NDArray[np.float32]:
        return to_plane(array) if array.ndim == 3 else tint.coloured(self._grey(array, tint))

    # -- written down -------------------------------------------------------------------------------

    def to_record(self) -> dict[str, Any]:
        """As JSON; what is as it would be anyway is left out."""
        record: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                record[field.name] = list(value) if isinstance(value, tuple) else value
        if self.tints:
            record["tints"] = [_tint_record(tint) for tint in self.tints]
        return record

    @classmethod
    def from_record(cls, record: Any) -> Appearance:
        """Read what :meth:`to_record` wrote.

        Raises
        ------
        InputError
            Where it is something else.
        """
        try:
            axis = record.get("channel_axis")
            low, high = (float(end) for end in record.get("percentiles", PERCENTILES))
            return cls(
                stretch=str(record.get("stretch", NETWORK)),
                percentiles=(low, high),
                channel_axis=None if axis is None else int(axis),
                channels=tuple(int(index) for index in record.get("channels", ())),
                composite=bool(record.get("composite", False)),
                tints=tuple(_tint(one) for one in record.get("tints", ())),
                level=int(record.get("level", 0)),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError("How the image was seen cannot be read; the file is damaged.") from error

    def missing_for_replay(self) -> str:
        """What one image file alone does not give, for a sentence; empty where it gives all."""
        if self.composite:
            names = ", ".join(f'"{tint.layer}"' for tint in self.tints)
            return f"a composite of the layers {names}"
        return f"level {self.level} of a pyramid" if self.level else ""


PLAIN = Appearance()


def _tint_record(tint: Tint) -> dict[str, Any]:
    colours = [list(colour) for colour in tint.colours]
    return {"limits": list(tint.limits), "gamma": tint.gamma, "colours": colours, "layer": tint.layer}


def _tint(record: Any) -> Tint:
    low, high = (float(end) for end in record["limits"])
    colours = tuple((float(red), float(green), float(blue)) for red, green, blue in record.get("colours", ()))
    return Tint((low, high), float(record.get("gamma", 1.0)), colours, str(record.get("layer", "")))
