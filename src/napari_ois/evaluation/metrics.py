"""Rule: every figure that we publish is one of these few functions; ignored pixels never count.

Definitions are those of the published evaluation code: NoC is 1-based and equals the budget when
the threshold is never reached; NoF counts the objects whose NoC equals the budget; means over
several sets weigh each set alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from napari_ois.errors import InputError

IGNORE = 255
"""Value of target pixels that count for nothing."""


def iou(mask: np.ndarray, target: np.ndarray) -> float:
    """Intersection over union outside the ignored pixels.

    Parameters
    ----------
    mask : (H, W) bool
        The predicted object.
    target : (H, W) uint8
        1 object, 0 not, 255 ignore.

    Returns
    -------
    float
        0..1; two empty masks agree (1).

    Raises
    ------
    InputError
        When the shapes differ.
    """
    if mask.shape != target.shape:
        raise InputError(f"The mask is {mask.shape}, but the target is {target.shape}.")
    counted = target != IGNORE
    predicted = mask.astype(bool) & counted
    true = (target == 1) & counted
    union = np.count_nonzero(predicted | true)
    return np.count_nonzero(predicted & true) / union if union else 1.0


def noc(ious: Sequence[float], threshold: float, *, budget: int = 20) -> int:
    """Number of clicks: the first click (from 1) whose IoU reaches the threshold, else the budget.

    Parameters
    ----------
    ious : sequence of float
        IoU after click 1, 2, ...
    threshold : float
        0..1, reached means >=.
    budget : int
        Most clicks; later entries do not count.
    """
    for click, value in enumerate(ious[:budget], start=1):
        if value >= threshold:
            return click
    return budget


def nof(nocs: Iterable[int], *, budget: int = 20) -> int:
    """Number of failures: how many NoC equal the budget, reached at the last click or never."""
    return sum(value == budget for value in nocs)


def k_miou(curves: Sequence[Sequence[float]], k: int) -> float:
    """Mean IoU after click `k` (from 1); NaN without objects."""
    if not curves:
        return float("nan")
    return float(np.mean([curve[k - 1] for curve in curves]))


def mean_over_sets(values: Mapping[str, Sequence[float]]) -> float:
    """Mean of the means of each set, so that a large set does not drown a small one."""
    means = [float(np.mean(members)) for members in values.values() if len(members)]
    return float(np.mean(means)) if means else float("nan")
