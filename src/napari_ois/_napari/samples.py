"""One rule: samples open without a network: what scikit-image's wheel holds, and what is made on the spot."""

from __future__ import annotations

from typing import Any

import numpy as np
from skimage import data

from napari_ois.segmentation.cells import made_cells
from napari_ois.segmentation.stack_sources import Projection

CELLS_SPACING = (1.0, 0.25, 0.25)
"""Of the made cells in micrometres: planes lie farther apart than pixels, as in most microscopes."""

LayerData = tuple[Any, dict[str, Any], str]


def coins() -> list[LayerData]:
    """Greek coins on a dark cloth, grey, 303 x 384."""
    return [(data.coins(), {"name": "coins"}, "image")]


def cell() -> list[LayerData]:
    """A cell in quantitative phase, grey, 660 x 550."""
    return [(data.cell(), {"name": "cell"}, "image")]


def immunohistochemistry() -> list[LayerData]:
    """Stained colon tissue, RGB, 512 x 512."""
    return [(data.immunohistochemistry(), {"name": "immunohistochemistry"}, "image")]


def retina() -> list[LayerData]:
    """A human retina, RGB, 1411 x 1411."""
    return [(data.retina(), {"name": "retina"}, "image")]


def coffee() -> list[LayerData]:
    """A cup of coffee on a table, RGB, 400 x 600."""
    return [(data.coffee(), {"name": "coffee"}, "image")]


def motorcycle() -> list[LayerData]:
    """Left picture of a stereo pair, RGB, 500 x 741, and its measured disparity.

    Larger = nearer, NaN = unknown.
    """
    left, _, disparity = data.stereo_motorcycle()
    known = np.where(np.isfinite(disparity), disparity, np.nan).astype(np.float32)
    limits = (float(np.nanmin(known)), float(np.nanmax(known)))
    return [
        (
            known,
            {
                "name": "motorcycle disparity",
                "colormap": "inferno",
                "contrast_limits": limits,
                "visible": False,
            },
            "image",
        ),
        (left, {"name": "motorcycle"}, "image"),
    ]


def overlapping_cells() -> list[LayerData]:
    """Made cells that overlap, grey, 24 x 256 x 256, their maximum projection, depth and true labels.

    Colour does not tell two of them apart, depth does. Click on the projection, with the depth as order.
    """
    cells = made_cells()
    found = Projection(spacing=CELLS_SPACING).compute(cells.stack)
    here: dict[str, Any] = {"scale": CELLS_SPACING, "units": ("um", "um", "um")}
    flat: dict[str, Any] = {"scale": CELLS_SPACING[1:], "units": ("um", "um")}
    depth = {"name": "cells depth", "colormap": "inferno", "contrast_limits": (0.0, 1.0)}
    return [
        (cells.stack, {"name": "cells stack", "visible": False, **here}, "image"),
        (cells.labels, {"name": "cells true labels", "visible": False, **flat}, "labels"),
        (found.depth, {**depth, "visible": False, **flat}, "image"),
        (found.image, {"name": "cells projection", **flat}, "image"),
    ]
