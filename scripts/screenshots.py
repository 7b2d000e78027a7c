"""Takes a picture of every panel of the widget in both themes: ``python scripts/screenshots.py FOLDER``.

A real viewer on a bundled image, with a click made. On a machine without a display run it by
``scripts/with-display.sh``. Each panel is opened alone and cut out of the widget, so a new panel is pictured too.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QEventLoop, QTimer
from superqt import QCollapsible

from napari_ois._napari import samples
from napari_ois._napari.demo import FIRST_CLICK
from napari_ois._napari.panels import PANELS
from napari_ois._napari.sight_panel import SightPanel
from napari_ois._napari.widget import OISWidget

THEMES = ("dark", "light")
WIDTH, HEIGHT = 1500, 950
PATIENCE = 120_000
"""Milliseconds for one step."""


def wait(signal: Any, act: Any) -> None:
    """Act, and run the event loop until a signal comes."""
    loop = QEventLoop()
    signal.connect(loop.quit)
    act()
    QTimer.singleShot(PATIENCE, loop.quit)
    loop.exec()
    signal.disconnect(loop.quit)


def rest(milliseconds: int) -> None:
    """Let the viewer draw."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def take(folder: Path) -> list[Path]:
    """Write the pictures; the whole viewer and one a panel, in both themes."""
    folder.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer(title="napari-ois")
    viewer.window.resize(WIDTH, HEIGHT)
    for data, options, _ in samples.coins():
        viewer.add_image(data, **options)
    widget = OISWidget(viewer)
    widget.keep_journal = False
    viewer.window.add_dock_widget(widget, name="Order-aware segmentation")
    wait(widget.embedded, widget.start)
    session = widget.session
    if session is None:
        raise SystemExit("error: the session did not begin.")
    wait(widget.answered, lambda: session.layers.clicks.add(session.plane.lift_points([FIRST_CLICK])))
    parts = {part.text(): part for part in widget.findChildren(QCollapsible)}
    written = []
    for theme in THEMES:
        viewer.theme = theme
        for part in parts.values():
            part.collapse(animate=False)
        rest(500)
        viewer.reset_view()
        written.append(folder / f"viewer-{theme}.png")
        viewer.screenshot(str(written[-1]), canvas_only=False, flash=False)
        for title in (*(title for title, _ in PANELS), *(t for t in parts if t not in {title for title, _ in PANELS})):
            part = parts[title]
            part.expand(animate=False)
            rest(300)
            for sight in part.findChildren(SightPanel):
                sight.draw()
                rest(1500)
            name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
            written.append(folder / f"{name}-{theme}.png")
            part.grab().save(str(written[-1]))
            part.collapse(animate=False)
    widget.shutdown()
    viewer.close()
    return written


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    for path in take(Path(sys.argv[1])):
        sys.stdout.write(f"{path}\n")
