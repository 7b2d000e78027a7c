"""One rule: the histogram of depth is drawn here, and a drag over it says which depths the user means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.widgets import SpanSelector
from qtpy.QtCore import Signal

from napari_ois._napari import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_ois.segmentation.inspection import OrderProfile

HEIGHT = 190
SMALLEST_BAND = 0.005
"""A drag over less of the depth than this is a click, which takes the band away."""


class ProfilePlot(FigureCanvasQTAgg):
    """Depth inside the mask, outside of it, and at the clicks.

    Signals
    -------
    band(tuple or None)
        The two depths between which the user dragged.
    """

    band = Signal(object)

    def __init__(self) -> None:
        self._figure = Figure(figsize=(3, 1.5), layout="constrained")
        super().__init__(self._figure)
        self.setMinimumHeight(HEIGHT)
        self._axes = self._figure.add_subplot()
        self._span: SpanSelector | None = None
        self._colours = ("#262930", "#f0f1f2")
        self.clear()

    def set_colours(self, background: str, text: str) -> None:
        """Take the viewer's theme on."""
        self._colours = (background, text)
        self._dress()
        self.draw_idle()

    def clear(self) -> None:
        """Show empty axes."""
        self._axes.clear()
        self._dress()
        self._span = None
        self.draw_idle()

    def show_profile(self, profile: OrderProfile, labels: NDArray[np.int64], colours: Mapping[str, str]) -> None:
        """Draw a profile, with the labels of its clicks in the user's colours; the band that was dragged goes."""
        axes = self._axes
        axes.clear()
        width = float(profile.edges[1] - profile.edges[0])
        axes.bar(profile.edges[:-1], profile.inside, width, align="edge", color=settings.PREVIEW_COLOR, label="mask")
        axes.bar(profile.edges[:-1], profile.outside, width, align="edge", color="#999999", alpha=0.55, label="rest")
        for depth, label in zip(profile.at_clicks, labels, strict=True):
            kind = settings.POSITIVE if label == 1 else settings.NEGATIVE
            axes.axvline(float(depth), color=colours[kind], linewidth=2)
        axes.legend(fontsize=7, frameon=False, labelcolor=self._colours[1])
        self._dress()
        style = {"alpha": 0.3, "facecolor": colours[settings.POSITIVE]}
        self._span = SpanSelector(axes, self._dragged, "horizontal", useblit=False, interactive=True, props=style)
        self.draw_idle()

    def _dress(self) -> None:
        background, text = self._colours
        axes = self._axes
        self._figure.set_facecolor(background)
        axes.set_facecolor(background)
        axes.set_xlim(0, 1)
        axes.set_yticks([])
        axes.set_xlabel("depth: far to near", fontsize=8, color=text)
        axes.tick_params(colors=text, labelsize=7)
        for spine in axes.spines.values():
            spine.set_color(text)

    def _dragged(self, low: float, high: float) -> None:
        self.band.emit((float(low), float(high)) if high - low > SMALLEST_BAND else None)
