"""Make docs/tutorial.md and its pictures by running them: a real viewer, the embedded model, no number by hand.

    scripts/with-display.sh .venv/bin/python scripts/make_tutorial.py

The viewer is driven as a user would: layers are opened, a source of order is chosen and used, clicks are made.
The figures answer the same clicks once more by the scripted API, with that order and without any.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from matplotlib.figure import Figure
from PIL import Image as Picture
from qtpy.QtWidgets import QApplication
from scipy import ndimage
from superqt import QCollapsible

from napari_ois import Predictor
from napari_ois._napari import samples, settings
from napari_ois._napari.widget import OISWidget
from napari_ois.evaluation.metrics import iou
from napari_ois.segmentation.cells import made_cells
from napari_ois.segmentation.colour import to_plane
from napari_ois.segmentation.order_sources import Given
from napari_ois.segmentation.stack_sources import Projection, Surface

TEMPLATE = Path(__file__).with_name("tutorial.template.md")
DOCS = Path(__file__).parents[1] / "docs"
PICTURES = DOCS / "images"
PATIENCE = 300.0
"""Seconds to wait for one step."""
CLICKS_ON_MOTORCYCLE = [(300, 180)]
CLICKS_ON_BONE = [(30, 50), (70, 80), (12, 37)]
LARGEST = 290_000
"""Bytes of a picture above which it is drawn with few colours."""
BONES_SPACING = (1.0, 0.7, 0.7)
"""Of the made volume in millimetres: slices lie farther apart than pixels."""


def made_bones() -> tuple[np.ndarray, np.ndarray]:
    """A CT-like volume in Hounsfield units, (Z, Y, X) int16: two crossing bones in soft tissue, one behind the other.

    Also which bone is seen first along Y, (Z, X): 1 the front one, 2 the other, 0 none.
    """
    z, y, x = np.meshgrid(np.arange(96), np.arange(64), np.arange(128), indexing="ij")
    body = ((z - 48) / 60) ** 2 + ((y - 32) / 34) ** 2 + ((x - 64) / 70) ** 2 < 1
    front = np.hypot((x - 64) * 0.8 - (z - 48) * 0.6, (y - 18) * 1.3) < 8
    back = np.hypot((x - 64) * 0.6 + (z - 48) * 0.8, (y - 42) * 1.3) < 9
    volume = np.where(body, 40.0, -1000.0)
    volume[body & back], volume[body & front] = 900.0, 900.0
    noise = np.random.default_rng(0).normal(0, 25, volume.shape)
    volume = ndimage.gaussian_filter(volume, (0.4, 0.7, 0.7)) + noise
    seen = np.where((body & front).any(axis=1), 1, np.where((body & back).any(axis=1), 2, 0))
    return volume.astype(np.int16), seen


def main() -> None:
    """Run the three examples, write the pictures, then the page."""
    PICTURES.mkdir(exist_ok=True)
    predictor = Predictor()
    numbers: dict[str, Any] = {}
    desk = Desk()
    numbers |= motorcycle(desk, predictor)
    numbers |= cells(desk, predictor)
    numbers |= bones(desk, predictor)
    desk.close()
    page = TEMPLATE.read_text(encoding="utf-8").format(**numbers)
    (DOCS / "tutorial.md").write_text(page, encoding="utf-8")


def motorcycle(desk: Desk, predictor: Predictor) -> dict[str, Any]:
    """A photograph with a measured disparity."""
    desk.empty()
    for data, options, _ in samples.motorcycle():
        desk.viewer.add_image(data, **options)
    picture, values = desk.viewer.layers["motorcycle"], desk.viewer.layers["motorcycle disparity"]
    desk.widget.image.value = picture
    form = desk.choose("layer")
    form.layer.value, form.nearer.value = values, "larger"
    seen = desk.use_and_click(CLICKS_ON_MOTORCYCLE)
    desk.shoot("tutorial-motorcycle")
    found = Given(np.asarray(values.data)).compute(picture.data)
    both = answers(predictor, picture.data, found.depth, CLICKS_ON_MOTORCYCLE)
    draw("tutorial-motorcycle-order", to_plane(picture.data), found, both, CLICKS_ON_MOTORCYCLE)
    guess = answers(predictor, picture.data, None, CLICKS_ON_MOTORCYCLE)[0]
    return {
        "motorcycle_known": f"{found.known.mean():.0%}",
        "motorcycle_changed": f"{1 - iou(both[0].mask, both[1].mask):.0%}",
        "motorcycle_area": f"{both[0].mask.mean():.0%}",
        "motorcycle_area_without": f"{both[1].mask.mean():.0%}",
        "motorcycle_guess": f"{1 - iou(both[0].mask, guess.mask):.0%}",
        "motorcycle_same": same(seen, both[0].mask),
    }


def cells(desk: Desk, predictor: Predictor) -> dict[str, Any]:
    """A fluorescence stack of overlapping cells, by maximum projection."""
    desk.empty()
    data, options, _ = samples.overlapping_cells()[0]
    options["visible"] = True
    stack = desk.viewer.add_image(data, **options)
    truth = made_cells().labels
    form = desk.choose("max")
    form.stack.value = stack
    found = Projection(spacing=samples.CELLS_SPACING).compute(np.asarray(data))
    image = np.asarray(found.image)
    scores = {label: one_click(predictor, image, found.depth, truth == label) for label in np.unique(truth)[1:]}
    label = sorted(scores, key=lambda one: scores[one][0] - scores[one][1])[len(scores) // 2]  # the median gain
    clicks = [middle(truth == label)]
    desk.panel.preview()
    desk.wait(lambda: desk.panel.layers.depth is not None)
    desk.shoot("tutorial-cells-depth")
    seen = desk.use_and_click(clicks)
    desk.shoot("tutorial-cells")
    both = answers(predictor, image, found.depth, clicks)
    draw("tutorial-cells-order", to_plane(image), found, both, clicks, truth == label)
    mean = np.mean(list(scores.values()), axis=0)
    return {
        "cells_count": len(scores),
        "cells_with": f"{scores[label][0]:.2f}",
        "cells_without": f"{scores[label][1]:.2f}",
        "cells_mean_with": f"{mean[0]:.2f}",
        "cells_mean_without": f"{mean[1]:.2f}",
        "cells_better": sum(one[0] > one[1] for one in scores.values()),
        "cells_same": same(seen, both[0].mask),
    }


def bones(desk: Desk, predictor: Predictor) -> dict[str, Any]:
    """A CT-like volume, by the first surface seen from the front."""
    desk.empty()
    volume, truth = made_bones()
    layer = desk.viewer.add_image(volume, name="bones", scale=BONES_SPACING, contrast_limits=(-200, 1000))
    form = desk.choose("surface")
    form.stack.value = layer
    form.axis.value, form.threshold.value = 1, "300"
    found = Surface(axis=1, threshold=300, spacing=BONES_SPACING).compute(volume)
    image, object_ = np.asarray(found.image), truth == 1
    seen = desk.use_and_click(CLICKS_ON_BONE)
    desk.shoot("tutorial-bones")
    both = answers(predictor, image, found.depth, CLICKS_ON_BONE)
    draw("tutorial-bones-order", to_plane(image), found, both, CLICKS_ON_BONE, object_)
    first = answers(predictor, image, found.depth, CLICKS_ON_BONE[:1])
    return {
        "bones_clicks": len(CLICKS_ON_BONE),
        "bones_first_with": f"{iou(first[0].mask, object_):.2f}",
        "bones_first_without": f"{iou(first[1].mask, object_):.2f}",
        "bones_with": f"{iou(both[0].mask, object_):.2f}",
        "bones_without": f"{iou(both[1].mask, object_):.2f}",
        "bones_known": f"{found.known.mean():.0%}",
        "bones_same": same(seen, both[0].mask),
    }


class Desk:
    """A viewer with the widget docked and its part "Source of order" folded out."""

    def __init__(self) -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(1500, 950)
        self.widget = OISWidget(self.viewer)
        self.widget.keep_journal = False
        self.viewer.window.add_dock_widget(self.widget, name=settings.WIDGET)
        self.panel = self.widget.order_panel
        for part in self.widget.findChildren(QCollapsible):
            part.expand(False) if part.isAncestorOf(self.panel) else part.collapse(False)

    def empty(self) -> None:
        """Begin with an empty viewer."""
        if self.widget.session is not None:
            self.widget.session.end()
        self.viewer.layers.clear()
        self.viewer.dims.order = tuple(range(self.viewer.dims.ndim))
        self.settle()

    def choose(self, kind: str) -> Any:
        """Choose a source of order, and give the form with the rest to choose."""
        self.panel.form.kind.value = kind
        return self.panel.form

    def use_and_click(self, places: list[tuple[int, int]]) -> np.ndarray:
        """Use the order chosen, click on the object, and give the mask that is shown."""
        answered: list[Any] = []
        self.widget.answered.connect(answered.append)
        self.panel.use()
        self.wait(lambda: self.widget.session is not None and bool(self.widget.session.order))
        session = self.widget.session
        for count, place in enumerate(places, start=1):
            session.layers.clicks.add(session.plane.lift_points([place]))
            self.wait(lambda count=count: bool(answered) and len(answered[-1].clicks) == count)
        self.widget.answered.disconnect(answered.append)
        self.settle()
        return np.array(session.layers.shown_mask())

    def wait(self, done: Callable[[], bool]) -> None:
        """Run the event loop until something is so."""
        end = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > end:
                raise TimeoutError("A step of the tutorial took too long.")
            QApplication.processEvents()
            time.sleep(0.01)

    def settle(self, seconds: float = 1.0) -> None:
        """Let the viewer draw."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def shoot(self, name: str) -> None:
        """Write a picture of the whole viewer."""
        self.viewer.reset_view()
        self.settle()
        shot = Picture.fromarray(self.viewer.screenshot(canvas_only=False, flash=False)[..., :3])
        shot.thumbnail((1200, 1200))
        path = PICTURES / f"{name}.png"
        shot.save(path, optimize=True)
        if path.stat().st_size > LARGEST:
            shot.convert("P", palette=Picture.Palette.ADAPTIVE, colors=192).save(path, optimize=True)

    def close(self) -> None:
        """Give everything back."""
        self.widget.shutdown()
        self.viewer.close()


def answers(predictor: Predictor, image: np.ndarray, depth: Any, clicks: list[tuple[int, int]]) -> list[Any]:
    """The positive clicks, one after the other, with order and without."""
    predictor.set_image(image, depth=depth)
    found = []
    for strength in (1.0, 0.0):
        answer = None
        for count in range(1, len(clicks) + 1):
            answer = predictor.predict(clicks[:count], [1] * count, previous=answer, order_strength=strength)
        found.append(answer)
    return found


def one_click(predictor: Predictor, image: np.ndarray, depth: Any, object_: np.ndarray) -> tuple[float, float]:
    """IoU of a click in the middle of an object, with order and without."""
    with_order, without = answers(predictor, image, depth, [middle(object_)])
    return iou(with_order.mask, object_), iou(without.mask, object_)


def middle(object_: np.ndarray) -> tuple[int, int]:
    """The pixel of an object that is farthest from its border: the evaluation's first click."""
    deep = ndimage.distance_transform_edt(np.pad(object_, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(deep.argmax(), deep.shape)
    return int(row), int(column)


def same(shown: np.ndarray, scripted: np.ndarray) -> str:
    """Whether the viewer showed what the script computed, in words."""
    different = int((shown != scripted).sum())
    return "pixel for pixel the same" if different == 0 else f"the same but for {different} pixels"


def draw(
    name: str,
    plane: np.ndarray,
    found: Any,
    both: list[Any],
    clicks: list[tuple[int, int]],
    truth: np.ndarray | None = None,
) -> None:
    """Image and click, depth, and both masks; the truth as a dashed line where it is known."""
    figure = Figure(figsize=(11, 11 / 4 * plane.shape[0] / plane.shape[1] + 0.35), layout="constrained")
    axes = figure.subplots(1, 4)
    depth = np.where(found.known, found.depth, np.nan)
    axes[0].imshow(plane)
    rows, columns = zip(*clicks, strict=True)
    style = {"color": settings.COLORS[settings.POSITIVE], "markeredgecolor": "white", "linestyle": "none"}
    axes[0].plot(columns, rows, marker="o", **style)
    axes[1].imshow(depth, cmap="inferno", vmin=0, vmax=1)
    axes[1].set_facecolor("#00bff2")
    titles = ["image and clicks" if len(clicks) > 1 else "image and click", "depth (cyan = unknown)"]
    for one, words, here in zip((both[1], both[0]), ("without order", "with order"), axes[2:], strict=True):
        score = "" if truth is None else f", IoU {iou(one.mask, truth):.2f}"
        titles.append(words + score)
        here.imshow(0.8 * plane)
        shown = np.zeros((*one.mask.shape, 4))
        shown[one.mask] = (0.25, 0.72, 1.0, 0.6)
        here.imshow(shown)
        if truth is not None:
            here.contour(truth, levels=[0.5], colors="white", linewidths=1, linestyles="dashed")
    for here, title in zip(axes, titles, strict=True):
        here.set_title(title, fontsize=9)
        here.set_xticks([])
        here.set_yticks([])
    figure.savefig(PICTURES / f"{name}.png", dpi=85)


if __name__ == "__main__":
    main()
