"""One rule: a Labels layer shows features and colours as the document says, and keeps what others put there.

Rows of ``labels.features`` for labels of others, and columns that are not ours, stay as they are; the row of a label
that an object went on from comes back when the object leaves it. A layer's own colours are used for every label that
the user has not recoloured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.utils import DirectLabelColormap

from napari_ois.annotation.features import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Image, Labels

MOST_COLOURED = 5000
"""Labels that keep a colour of their own where some are recoloured; the map of all is built anew each time."""


def calibration(image: Image) -> tuple[tuple[float, ...], str]:
    """Size of a pixel along each axis of an image, and its unit; 1 and pixel where the units differ."""
    units = {str(unit) for unit in image.units}
    if len(units) != 1:
        return (1.0,) * image.ndim, "pixel"
    return tuple(float(side) for side in image.scale), units.pop()


class LabelsTable:
    """Features and colours of one Labels layer.

    Parameters
    ----------
    layer : Labels
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = layer
        self._ours: set[int] = set()  # labels whose rows we have written
        self._before: dict[int, pd.DataFrame] = {}  # others' rows of them
        self._plain: Any = None  # the layer's own colours, while it has ours
        self._colours: dict[int, str] = {}
        self._upto = 0

    def show(self, table: Mapping[str, list[Any]]) -> None:
        """Bring the layer to a table.

        Parameters
        ----------
        table : dict
            As :func:`napari_ois.annotation.features` gives it.
        """
        self._show_features(table)
        colours = {i: colour for i, colour in zip(table["index"], table["color"], strict=True) if colour}
        self._show_colours(colours, max(table["index"], default=0))

    def _show_features(self, table: Mapping[str, list[Any]]) -> None:
        new = pd.DataFrame({name: table[name] for name in COLUMNS})
        old = self._layer.features.copy()
        if not len(new) and not self._ours:
            return
        if len(old) and "index" not in old:
            old.insert(0, "index", np.arange(len(old)))
        ours = set(table["index"])
        parts = [new]
        if len(old):
            self._before.update({i: old[old["index"] == i] for i in ours - self._ours if i in old["index"].values})
            theirs = [name for name in old if name not in COLUMNS or name == "index"]
            parts = [new.merge(old[theirs], on="index", how="left"), old[~old["index"].isin(self._ours | ours)]]
        parts += [self._before.pop(i) for i in self._ours - ours if i in self._before]
        filled = [part for part in parts if len(part)]
        self._ours = ours
        rows = pd.concat(filled, ignore_index=True) if filled else parts[0]
        self._layer.features = rows.sort_values("index", ignore_index=True)

    def _show_colours(self, colours: dict[int, str], highest: int) -> None:
        upto = min(max(highest, self._upto), MOST_COLOURED)
        if (colours, upto) == (self._colours, self._upto) or (not colours and self._plain is None):
            return
        if not colours:
            self._layer.colormap, self._plain = self._plain, None
            self._colours, self._upto = {}, 0
            return
        if self._plain is None:
            self._plain = self._layer.colormap
            upto = min(max(upto, int(np.max(self._layer.data))), MOST_COLOURED) if self._layer.data.size else upto
        shown: dict[int | None, Any] = {None: "gray", 0: "transparent"}
        shown.update((label, self._plain.map(label)) for label in range(1, upto + 1))
        shown.update(colours.items())
        self._layer.colormap = DirectLabelColormap(color_dict=shown)
        self._colours, self._upto = colours, upto
