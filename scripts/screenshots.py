"""Takes pictures of the widget's panels in both themes: ``python scripts/screenshots.py FOLDER [TITLE ...]``.

A real viewer on bundled images, with a click made, candidates found and an object carried through a stack, so that
each panel shows what it is for. On a machine without a display run it by ``scripts/with-display.sh``. Each panel is
opened alone and cut out of the widget, so a new panel is pictured too. Titles choose among them; ``viewer`` is the
whole window.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

from napari_ois._napari import samples
from napari_ois._napari.demo import FIRST_CLICK
from napari_ois._napari.panels import PANELS
from napari_ois._napari.sight_panel import SightPanel
from napari_ois._napari.stack_panel import StackPanel
from napari_ois._napari.widget import OISWidget
from napari_ois.segmentation.cells import made_cells

THEMES = ("dark", "light")
WIDTH, HEIGHT = 1500, 950
PATIENCE = 600_000
"""Milliseconds for one step."""
COLOURS = 128
"""Of a written picture: there is little else than flat colour in a panel, and it stays small."""
STACKED = ("Stack", "Prepare a stack")
"""Panels that are shown on a stack."""
REACH = 6
"""Slices that the object is carried to either side."""


def wait(signal: Any, act: Callable[[], Any]) -> None:
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


def wait_while(running: Callable[[], bool]) -> None:
    """Run the event loop as long as something goes on."""
    for _ in range(PATIENCE // 200):
        rest(200)
        if not running():
            return
    raise SystemExit("error: it took too long.")


def blank(panel: SightPanel) -> bool:
    """Whether a panel still lacks its picture."""
    return panel.picture.pixmap().isNull()


def settle(part: QWidget) -> None:
    """Wait until a part has had its final size for a while: on a busy machine that is not at once."""
    sizes: list[Any] = []

    def moving() -> bool:
        sizes.append((part.size(), part.sizeHint()))
        return len(sizes) < 5 or any(size != sizes[-1] for size in sizes[-5:])

    wait_while(moving)


def click(widget: OISWidget, row: float, column: float) -> None:
    """Start on the image chosen, and click on the plane shown."""
    wait(widget.embedded, widget.start)
    session = widget.session
    if session is None:
        raise SystemExit("error: the session did not begin.")
    wait(widget.answered, lambda: session.layers.clicks.add(session.plane.lift_points([(row, column)])))


def save(picture: Path) -> Path:
    """Write a picture again with few colours."""
    with Image.open(picture) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)
    return picture


def find_everything(widget: OISWidget) -> None:
    """Fill the list of candidates."""
    widget.find_everything()
    wait_while(lambda: widget.everything_panel.running)
    session = widget.session
    if session is not None:
        session.layers.activate()


def carry_on_a_stack(viewer: napari.Viewer, widget: OISWidget) -> None:
    """Open a stack, click on a cell and carry it to its neighbours."""
    if widget.session is not None:
        widget.session.end()
    viewer.layers.clear()
    data, options, _ = samples.overlapping_cells()[0]
    stack = viewer.add_image(data, **{**options, "visible": True})
    cells = made_cells()
    viewer.dims.set_current_step(0, round(float(cells.z[0])))
    widget.image.value = stack
    row, column = np.argwhere(cells.labels == 1).mean(axis=0)
    click(widget, row, column)
    panel = widget.findChild(StackPanel)
    panel.reach.setValue(REACH)
    panel.propagate_button.click()
    wait_while(lambda: widget.stack_work is not None and widget.stack_work.running)
    viewer.dims.set_current_step(0, round(float(cells.z[0])) + 2)


def picture(
    folder: Path, viewer: napari.Viewer, parts: dict[str, QCollapsible], theme: str, titles: Iterable[str]
) -> list[Path]:
    """Write a picture of each panel, or of the viewer, in one theme."""
    viewer.theme = theme
    written = []
    for part in parts.values():
        part.collapse(animate=False)
    rest(500)
    for title in titles:
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        path = folder / f"{name}-{theme}.png"
        if title not in parts:
            viewer.reset_view()
            rest(300)
            viewer.screenshot(str(path), canvas_only=False, flash=False)
        else:
            part = parts[title]
            part.expand(animate=False)
            for sight in part.findChildren(SightPanel):
                sight.draw()
                wait_while(partial(blank, sight))
            settle(part)
            part.grab().save(str(path))
            part.collapse(animate=False)
        written.append(save(path))
    return written


def take(folder: Path, titles: list[str]) -> list[Path]:
    """Write the pictures: by default the whole viewer and every panel, in both themes."""
    folder.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer(title="napari-ois")
    viewer.window.resize(WIDTH, HEIGHT)
    for data, options, _ in samples.coins():
        viewer.add_image(data, **options)
    widget = OISWidget(viewer)
    widget.keep_journal = False
    viewer.window.add_dock_widget(widget, name="Order-aware segmentation")
    parts = {part.text(): part for part in widget.findChildren(QCollapsible)}
    first = [title for title, _ in PANELS]
    every = ["viewer", *first, *(title for title in parts if title not in first)]
    wanted = [title for title in every if not titles or title in titles]
    flat, stacked = ([t for t in wanted if (t in STACKED) == on_stack] for on_stack in (False, True))
    written = []
    if flat:
        click(widget, *FIRST_CLICK)
        if "Segment everything" in flat:
            find_everything(widget)
        for theme in THEMES:
            written += picture(folder, viewer, parts, theme, flat)
    if stacked:
        carry_on_a_stack(viewer, widget)
        for theme in THEMES:
            written += picture(folder, viewer, parts, theme, stacked)
    widget.shutdown()
    viewer.close()
    return written


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    for path in take(Path(sys.argv[1]), sys.argv[2:]):
        sys.stdout.write(f"{path}\n")
