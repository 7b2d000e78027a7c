"""One rule: the demo does what a newcomer does, through the same widget, and says how long each step took.

Image, docked widget, Start, one click, a mask. With an output folder it also leaves what a reader
needs to judge the result: the picture of the whole viewer, and what the click gave.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import napari
import numpy as np
import tifffile
from qtpy.QtCore import QEventLoop, QTimer

from napari_ois._napari import samples, settings
from napari_ois._napari.commands import docked
from napari_ois._napari.widget import OISWidget

if TYPE_CHECKING:
    from napari_ois._napari.predictors import PredictorFactory
    from napari_ois._napari.worker import Answer, Failure

FIRST_CLICK = (43, 334)
"""Row and column of the click: the middle of a coin in the sample."""
PATIENCE = 300.0
"""Seconds to wait for one step: enough for a slow machine, and an end to a run that hangs."""
WINDOW = (1500, 950)


class _Steps:
    """Runs the event loop until a step is done, and tells how long it took."""

    def __init__(self, widget: OISWidget) -> None:
        self.failure: Failure | None = None
        self._widget = widget
        widget.failed.connect(self._on_failed)

    def _on_failed(self, failure: Failure) -> None:
        self.failure = failure

    def wait(self, name: str, act: Callable[[], object], done: Any) -> Any:
        """Act, wait for the signal ``done``, and give what it brought; None where the step failed."""
        loop = QEventLoop()
        brought: list[Any] = []
        done.connect(brought.append)
        done.connect(loop.quit)
        self._widget.failed.connect(loop.quit)
        begin = time.perf_counter()
        act()
        QTimer.singleShot(int(PATIENCE * 1000), loop.quit)
        if self.failure is None and not brought:
            loop.exec()
        done.disconnect(brought.append)
        _say(name, time.perf_counter() - begin)
        return brought[0] if brought and self.failure is None else None


def run_demo(
    output: Path | None = None,
    exit_when_done: bool = False,
    *,
    predictor_factory: PredictorFactory | None = None,
) -> int:
    """Open napari on a bundled image, make a first click, and leave the viewer ready for the next.

    Parameters
    ----------
    output : Path, optional
        Folder for screenshot.png, mask.tif (uint8, 0 and 255), probability.tif, depth.tif, order_positive.tif
        (float32) and clicks.csv; made where it is not there.
    exit_when_done : bool
        Close the viewer after the first click, instead of leaving it to the user.
    predictor_factory : callable, optional
        As for :class:`~napari_ois._napari.widget.OISWidget`; the widget is then docked with it.

    Returns
    -------
    int
        0, or 1 where a step failed; the reason is printed.
    """
    begin = time.perf_counter()
    viewer = napari.Viewer(title="napari-ois demo")
    viewer.window.resize(*WINDOW)
    for data, options, _ in samples.coins():
        viewer.add_image(data, **options)
    if predictor_factory is None:
        widget = docked(viewer)
    else:
        widget = OISWidget(viewer, predictor_factory)
        viewer.window.add_dock_widget(widget, name=settings.DOCK)
    widget.keep_journal = False  # the click is made again each time
    _say("viewer and widget", time.perf_counter() - begin)
    answer = _first_click(viewer, widget)
    widget.keep_journal = widget.preferences.keep_journal  # what the user goes on to open is theirs to keep
    if answer is not None and output is not None:
        begin = time.perf_counter()
        _write(output, viewer, answer)
        _say("files written", time.perf_counter() - begin)
        click.echo(f"{output}: screenshot, mask, probability, depth, order map and clicks")
    if exit_when_done:
        widget.shutdown()
        viewer.close()
    else:
        click.echo("Ready for the next click; close the window to end.")
        napari.run()
    return 0 if answer is not None else 1


def _first_click(viewer: napari.Viewer, widget: OISWidget) -> Answer | None:
    steps = _Steps(widget)
    viewer.reset_view()
    embedded = steps.wait("model loaded, image embedded", widget.start, widget.embedded)
    answer = None
    if embedded is not None and widget.session is not None:
        session = widget.session
        place = session.plane.lift_points([FIRST_CLICK])
        answer = steps.wait("first click answered", lambda: session.layers.clicks.add(place), widget.answered)
    if answer is None:
        reason = steps.failure.error if steps.failure else "a step took too long"
        click.echo(f"error: {reason}", err=True)
    return answer


def _write(output: Path, viewer: napari.Viewer, answer: Answer) -> None:
    output.mkdir(parents=True, exist_ok=True)
    prediction = answer.prediction
    tifffile.imwrite(output / "mask.tif", prediction.mask.astype(np.uint8) * 255)
    tifffile.imwrite(output / "probability.tif", prediction.probability)
    tifffile.imwrite(output / "depth.tif", prediction.depth)
    tifffile.imwrite(output / "order_positive.tif", answer.order_positive)
    answer.clicks.write_csv(output / "clicks.csv")
    viewer.reset_view()
    viewer.screenshot(str(output / "screenshot.png"), canvas_only=False, flash=False)


def _say(step: str, seconds: float) -> None:
    click.echo(f"{step:<30} {seconds:6.2f} s")
