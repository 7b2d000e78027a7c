"""Rule: three pictures of a comparison, drawn without a window; matplotlib is asked for only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ois.errors import InputError
from napari_ois.evaluation.metrics import noc
from napari_ois.evaluation.report import MEAN
from napari_ois.evaluation.run import ObjectResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

# Told apart also by who cannot tell red from green (Okabe and Ito's colours).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")


def draw_plots(
    summaries: Mapping[str, dict[str, Any]], results: Mapping[str, Sequence[ObjectResult]], folder: Path
) -> list[Path]:
    """Draw ``iou-per-click.png``, ``noc-histogram.png`` and ``sets.png``.

    Parameters
    ----------
    summaries, results : mapping of method to its summary and to its results
    folder : Path
        Exists; files there are replaced.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise InputError("The plots need matplotlib; run: pip install matplotlib.") from error
    drawn = {
        "iou-per-click.png": _curves(summaries),
        "noc-histogram.png": _histograms(results),
        "sets.png": _bars(summaries),
    }
    for name, figure in drawn.items():
        figure.savefig(folder / name, dpi=130)
    return [folder / name for name in drawn]


def _curves(summaries: Mapping[str, dict[str, Any]]) -> Figure:
    """Mean IoU after each click, mean over sets."""
    figure, (axes,) = _figure(1, (7, 4.5))
    for colour, (name, summary) in zip(_colours(summaries), summaries.items(), strict=True):
        curve = summary["curves"][MEAN]
        axes.plot(range(1, len(curve) + 1), curve, marker="o", markersize=3.5, color=colour, label=name)
    axes.set(xlabel="clicks", ylabel="IoU, mean over sets", ylim=(0, 1))
    axes.xaxis.set_major_locator(_whole_numbers())
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def _histograms(results: Mapping[str, Sequence[ObjectResult]]) -> Figure:
    """How many objects need how many clicks; the last bar holds those that never get there."""
    percents = (85, 90)
    budget = len(next(iter(results.values()))[0].ious)
    figure, panels = _figure(len(percents), (5.5 * len(percents), 4))
    width = 0.8 / len(results)
    for axes, percent in zip(panels, percents, strict=True):
        for place, (colour, (name, own)) in enumerate(zip(_colours(results), results.items(), strict=True)):
            counts = np.bincount([noc(result.ious, percent / 100, budget=budget) for result in own])
            counts = np.pad(counts, (0, budget + 1 - len(counts)))[1:]
            left = np.arange(1, budget + 1) + (place - (len(results) - 1) / 2) * width
            axes.bar(left, counts, width, color=colour, label=name)
        axes.set(xlabel=f"clicks until IoU {percent} % (last: {budget} or never)", ylabel="objects")
        axes.xaxis.set_major_locator(_whole_numbers())
        axes.yaxis.set_major_locator(_whole_numbers())
    _legend_below(figure, panels[0])
    return figure


def _bars(summaries: Mapping[str, dict[str, Any]]) -> Figure:
    """IoU of each set after 1, 3 and 5 clicks, with its interval."""
    first = next(iter(summaries.values()))
    clicks = [key for key in ("iou_1", "iou_3", "iou_5") if key in first["mean_over_sets"]]
    names = [*first["sets"], MEAN]
    figure, panels = _figure(len(clicks), (4.2 * len(clicks), 1.5 + 0.14 * len(names) * (len(summaries) + 1)))
    height = 0.8 / len(summaries)
    for axes, key in zip(panels, clicks, strict=True):
        for place, (colour, (method, summary)) in enumerate(zip(_colours(summaries), summaries.items(), strict=True)):
            values = [(summary["mean_over_sets"] if n == MEAN else summary["sets"][n])[key] for n in names]
            spans = np.array([summary["intervals"][n][key] for n in names]).T
            reach = np.abs(spans - np.array(values))
            at = np.arange(len(names)) + (place - (len(summaries) - 1) / 2) * height
            axes.barh(at, values, height, xerr=reach, color=colour, label=method, error_kw={"linewidth": 0.7})
        axes.set(yticks=range(len(names)), xlim=(0, 1), xlabel=f"IoU after click {key[4:]}")
        axes.margins(y=0.01)
        axes.set_yticklabels(names if axes is panels[0] else [])
        axes.invert_yaxis()
    _legend_below(figure, panels[0])
    return figure


def _figure(panels: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Make a figure of our own: pyplot keeps figures, and may open a window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, [figure.add_subplot(1, panels, place + 1) for place in range(panels)]


def _legend_below(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, where it hides no bar."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)


def _whole_numbers() -> Locator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)


def _colours(methods: Mapping[str, Any]) -> list[str]:
    return [_COLOURS[place % len(_COLOURS)] for place in range(len(methods))]
