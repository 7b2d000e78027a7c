"""One rule: sample images are those that scikit-image's wheel holds, so that they open without a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from skimage import data

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
