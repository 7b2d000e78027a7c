"""One rule: one figure tells what order did to one mask, the same from the viewer, a script or the command line.

It follows the paper's Figures 6 and 7: the image with clicks and mask, depth, order map, and each click's
attention without and with the order term. matplotlib is imported when a figure is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.segmentation.inspection import Inspection

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_ois.segmentation.prediction import Prediction

MOST_CLICKS = 6
"""Rows of attention in the figure; those of the newest clicks."""


def draw_inspection(
    picture: NDArray[np.float32],
    inspection: Inspection,
    without: Prediction,
    *,
    block: int | None = None,
    head: int | None = None,
) -> Figure:
    """Draw the figure.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        The image where the prediction lies; see :func:`napari_ois.segmentation.results.plane_under`.
    inspection : Inspection
    without : Prediction
        The same clicks answered without order; see ``Predictor.again``.
    block, head : int, optional
        Whose attention; by default the mean over all.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown and not saved.
    """
    from matplotlib.figure import Figure

    prediction = inspection.prediction
    change = inspection.change(without)
    clicks = _shown(inspection)
    tall = 3.25 * picture.shape[0] / picture.shape[1] + 0.4
    figure = Figure(figsize=(13, min(tall, 5.0) * (2 + len(clicks))), layout="constrained")
    grid = figure.subplots(2 + len(clicks), 4, squeeze=False)
    top, second = grid[0], grid[1]
    _show(top[0], picture, "clicks and mask")
    _outline(top[0], prediction.mask, "#3fb8ff")
    _mark(top[0], prediction)
    _show(top[1], prediction.depth, "depth (bright = near)", "inferno")
    _show(top[2], prediction.positive_order_map, "order map of the positive clicks", "viridis")
    _show(top[3], _changed(picture, change.gained, change.lost), change.sentence)
    _outline(top[3], without.mask, "white")
    maps = prediction.negative_order_maps
    _draw_profile(second[0], inspection)
    for number, axes in enumerate(second[1:]):
        if number < len(maps):
            _show(axes, maps[number], f"order map of negative click {number + 1}", "viridis")
        else:
            axes.axis("off")
    _draw_sigma(second[3] if len(maps) < 3 else second[0].inset_axes((0.62, 0.55, 0.36, 0.4)), inspection)
    for row, click in zip(grid[2:], clicks, strict=True):
        kind = "positive" if prediction.labels[click] == 1 else "negative"
        with_order = inspection.attention(click, block=block, head=head)
        plain = inspection.attention(click, kind="plain", block=block, head=head)
        most = max(float(with_order.max()), float(plain.max()), 1e-9)
        _show(row[0], picture, f"click {click + 1}, {kind}")
        _mark(row[0], prediction, only=click)
        _show(row[1], plain, "attention without order", "magma", most)
        _show(row[2], with_order, f"attention with order (strength {inspection.strength:g})", "magma", most)
        _show(row[3], inspection.attention(click, kind="object", block=block, head=head), "object-aware", "magma")
    return figure


def save_inspection(
    path: Path, picture: NDArray[np.float32], inspection: Inspection, without: Prediction, **chosen: Any
) -> None:
    """Write the figure of :func:`draw_inspection`; the suffix says the format."""
    draw_inspection(picture, inspection, without, **chosen).savefig(path, dpi=100)


def _shown(inspection: Inspection) -> list[int]:
    """The newest clicks that have attention of their own, oldest first."""
    count = len(inspection.prediction.labels)
    return [click for click in range(count) if inspection.has_row(click)][-MOST_CLICKS:]


def _show(axes: Axes, values: NDArray[Any], title: str, colormap: str | None = None, most: float | None = None) -> None:
    if colormap is None:
        axes.imshow(values)
    else:
        limit = most if most is not None else (1.0 if colormap != "magma" else max(float(values.max()), 1e-9))
        axes.imshow(values, cmap=colormap, vmin=0, vmax=limit)
    axes.set_title(title, fontsize=9)
    axes.axis("off")


def _mark(axes: Axes, prediction: Prediction, only: int | None = None) -> None:
    for index, ((row, column), label) in enumerate(zip(prediction.local_points, prediction.labels, strict=True)):
        if only is None or index == only:
            marker, color = ("o", "#2ca25f") if label == 1 else ("X", "#e6550d")
            axes.plot(column, row, marker=marker, color=color, markersize=8, markeredgecolor="white", linestyle="none")


def _outline(axes: Axes, mask: NDArray[np.bool_], color: str) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=[color], linewidths=1.2)


def _changed(picture: NDArray[np.float32], gained: NDArray[np.bool_], lost: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Grey picture, green where order added to the mask and orange where it took away."""
    shown = (np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2) * 0.7).astype(np.float32)
    shown[gained] = 0.35 * shown[gained] + 0.65 * np.array([0.17, 0.72, 0.37], np.float32)
    shown[lost] = 0.35 * shown[lost] + 0.65 * np.array([0.9, 0.33, 0.05], np.float32)
    return shown


def _draw_profile(axes: Axes, inspection: Inspection) -> None:
    profile = inspection.profile()
    width = float(profile.edges[1] - profile.edges[0])
    axes.bar(profile.edges[:-1], profile.inside, width, align="edge", color="#3fb8ff", alpha=0.7, label="inside")
    axes.bar(profile.edges[:-1], profile.outside, width, align="edge", color="#888888", alpha=0.6, label="outside")
    for depth, label in zip(profile.at_clicks, inspection.prediction.labels, strict=True):
        axes.axvline(float(depth), color="#2ca25f" if label == 1 else "#e6550d", linewidth=1.5)
    axes.set_title(f"depth inside and outside; separation {profile.separation:.2f} (0.5 is chance)", fontsize=9)
    axes.set_xlabel("depth", fontsize=8)
    axes.legend(fontsize=8)


def _draw_sigma(axes: Axes, inspection: Inspection) -> None:
    sigma = inspection.sigma
    axes.axis("on")
    axes.imshow(sigma, cmap="cividis", aspect="auto")
    for (block, head), value in np.ndenumerate(sigma):
        axes.text(head, block, f"{value:.1f}", ha="center", va="center", color="white", fontsize=8)
    axes.set_xticks([])
    axes.set_yticks(range(len(sigma)), [f"block {n + 1}" for n in range(len(sigma))], fontsize=8)
    axes.set_title("sigma of each head", fontsize=9)
