"""Rule: every figure that we publish is one of these few functions; ignored pixels never count.

Definitions are those of the published evaluation code: NoC is 1-based and equals the budget when
the threshold is never reached; NoF counts the objects whose NoC equals the budget; means over
several sets weigh each set alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.ndimage import minimum_filter

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
    return _overlap(*_counted(mask, target))


def boundary_iou(mask: np.ndarray, target: np.ndarray, *, dilation: float = 0.02) -> float:
    """IoU of the two inner borders: it sees what the plain IoU of a large object forgives.

    The border of a mask is what an erosion by ``d`` steps of a 3 x 3 square takes away, where ``d``
    is ``dilation`` times the image's diagonal, rounded, at least 1; the outside of the image counts
    as not object (Cheng et al., Boundary IoU, CVPR 2021).

    Parameters
    ----------
    mask : (H, W) bool
    target : (H, W) uint8
        1 object, 0 not, 255 ignore.
    dilation : float
        Width of the border as a share of the diagonal.

    Returns
    -------
    float
        0..1; two empty borders agree (1).

    Raises
    ------
    InputError
        When the shapes differ.
    """
    width = max(1, round(dilation * math.hypot(*mask.shape)))
    predicted, true = _counted(mask, target)
    return _overlap(_border(predicted, width), _border(true, width))


def _counted(mask: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mask and object, (H, W) bool; ignored pixels are object for neither, so what is said of them moves nothing."""
    if mask.shape != target.shape:
        raise InputError(f"The mask is {mask.shape}, but the target is {target.shape}.")
    return mask.astype(bool) & (target != IGNORE), target == 1


def _overlap(predicted: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union of two bool maps; 1 where both are empty."""
    union = np.count_nonzero(predicted | true)
    return float(np.count_nonzero(predicted & true) / union) if union else 1.0


def _border(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of the mask within ``width`` steps (also diagonal ones) of what is not in it."""
    border = np.zeros(mask.shape, bool)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows):
        # Outside of its box there is no mask, as the filter assumes outside of the array.
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        part = mask[box].astype(np.uint8)
        border[box] = part > minimum_filter(part, size=2 * width + 1, mode="constant", cval=0)
    return border


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


def differences(own: Mapping[str, Sequence[float]], base: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """One method's values less another's, on the same objects of the same sets.

    Parameters
    ----------
    own, base : mapping of set name to one value an object
        With the same sets and the same number of objects in each.
    """
    return {name: [a - b for a, b in zip(own[name], values, strict=True)] for name, values in base.items()}


def bootstrap_interval(
    values: Mapping[str, Sequence[float]], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean over sets: the objects of each set are drawn again, with replacement.

    Parameters
    ----------
    values : mapping of set name to one value an object
        For the difference of two methods: the differences on the same objects.
    level : float
        Share of the draws within the interval.
    draws : int
        At least some hundreds.
    seed : int
        The same values give the same interval.

    Returns
    -------
    (float, float)
        NaN without values. A set of one object adds no width: it can only draw itself.
    """
    members = [np.asarray(v, dtype=np.float64) for v in values.values() if len(v)]
    if not members:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = np.zeros(draws)
    for each in members:
        # How often each object is drawn, instead of which ones: one product gives all means.
        counts = rng.multinomial(len(each), np.full(len(each), 1 / len(each)), size=draws)
        means += counts @ each / len(each)
    low, high = np.quantile(means / len(members), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
