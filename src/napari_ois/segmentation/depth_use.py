"""One rule: whether depth can help is counted, and where it cannot, one sentence says so. numpy only.

Two questions: does the map of an image say anything at all, which is known as soon as it is embedded; and does depth
tell an object from what is around it, which is known with its mask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FLAT = 0.05
"""A map whose middle nine tenths span less of 0 to 1 says nothing."""
USELESS = 0.6
"""Below this separation, depth does not tell an object from what is around it (0.5 is chance)."""
ENOUGH = 250_000
"""Pixels that are looked at; of more, every other row and column, and so on."""
CELLS = 1024
FLAT_SENTENCE = (
    "The depth map of this image is flat: order cannot help here. Choose another source of order, or none, and click "
    "as if there were no depth."
)


def flat_depth(depth: NDArray[np.floating]) -> str:
    """What to tell the user of a depth map that says nothing; empty where it says something.

    Parameters
    ----------
    depth : (H, W) float array in [0, 1]
    """
    step = _step(depth.size)
    low, high = np.quantile(depth[::step, ::step], [0.05, 0.95])
    return FLAT_SENTENCE if high - low < FLAT else ""


def object_separation(
    depth: NDArray[np.floating], mask: NDArray[np.bool_], points: ArrayLike, labels: ArrayLike
) -> float | None:
    """How well depth tells an object from what is around it, as :func:`separation` counts it.

    Around is the object's box, widened by half of its sides to each.

    Parameters
    ----------
    depth : (H, W) float array in [0, 1]
    mask : (H, W) bool
    points, labels : (N, 2) and (N,) arrays
        Clicks, row and column; 1 positive.

    Returns
    -------
    float or None
        None where there is no mask, or nothing around it.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    positive = np.asarray(points, dtype=np.float64)[np.asarray(labels) == 1]
    if not len(rows) or not len(positive):
        return None
    places = np.floor(positive + 0.5).astype(int).clip(0, np.array(depth.shape) - 1)
    reference = depth[places[:, 0], places[:, 1]].mean()
    around = tuple(_widened(int(found[0]), int(found[-1]) + 1) for found in (rows, columns))
    near, inside = depth[around], mask[around]
    step = _step(near.size)
    distance, inside = np.abs(near[::step, ::step] - reference), inside[::step, ::step]
    if not inside.any() or inside.all():
        return None
    return separation(distance[inside], distance[~inside])


def separation(inside: NDArray[np.floating], outside: NDArray[np.floating]) -> float:
    """Chance that a pixel outside lies further in depth from the clicks than one inside; 0.5 is none.

    P(outside > inside) + P(equal) / 2 by histograms, which is exact to a thousandth and never sorts.

    Parameters
    ----------
    inside, outside : (N,) and (M,) float arrays
        Distances in depth from the positive clicks.
    """
    if not inside.size or not outside.size:
        return 0.5
    edges = np.linspace(0, 1, CELLS + 1)
    near, far = (np.histogram(values, edges)[0] / values.size for values in (inside, outside))
    below = np.concatenate([[0.0], np.cumsum(near)[:-1]])
    return float((far * (below + near / 2)).sum())


def separation_warning(value: float) -> str:
    """What to tell the user of a separation; empty where depth helps."""
    if value >= USELESS:
        return ""
    return (
        f"Depth does not separate this object from what is around it ({value:.2f}; 0.5 is chance): "
        "order cannot help here. Choose another source of order, or none."
    )


def _step(size: int) -> int:
    return max(1, int(np.ceil(np.sqrt(size / ENOUGH))))


def _widened(start: int, stop: int) -> slice:
    more = (stop - start + 1) // 2
    return slice(max(0, start - more), stop + more)
