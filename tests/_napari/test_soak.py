"""Random actions, from one seed: no exception, nothing lost, and the screen always shows what the document says.

NAPARI_OIS_SOAK sets how many; the default is for continuous integration. Memory may grow by MOST_GROWTH after the
first WARM actions, since the history is without end and napari keeps some of each layer that was drawn; and nothing
of a session that is over stays alive.
"""

from __future__ import annotations

import gc
import os
import random
import threading
from typing import Any

import numpy as np
import psutil

from napari_ois._napari import settings
from napari_ois._napari.session import Session
from napari_ois._napari.stack_work import DIRECTIONS, StackWork
from napari_ois.annotation import ArrayCanvas, Document

WARM, MOST_GROWTH = 60, 160e6
"""Actions before memory is first measured, and bytes that it may then grow by, whatever the number of actions."""
ACTIONS = int(os.environ.get("NAPARI_OIS_SOAK", "200"))
DEPTH, ROWS, COLUMNS = 3, 60, 80


class Soak:
    """A user without a plan."""

    def __init__(self, viewer: Any, make: Any, qtbot: Any) -> None:
        self.viewer, self.make, self.qtbot = viewer, make, qtbot
        self.dice = random.Random(3)
        self.images = [
            viewer.add_image(np.random.default_rng(seed).random((DEPTH, ROWS, COLUMNS)), name=f"scan {seed}")
            for seed in (0, 1)
        ]
        self.names: dict[int, list[str]] = {0: [], 1: []}  # of the objects on each image, when it was left
        self.at = self.renamed = 0
        self.widget = make()
        self.widget.image.value = self.image
        self.widget.start()

    @property
    def image(self) -> Any:
        return self.images[self.at]

    @property
    def session(self) -> Any:
        return self.widget.session

    def idle(self) -> None:
        worker = self.widget._holder.worker
        for _ in range(2):  # an errand may send for another
            done: list[int] = []
            self.widget._errands.send(lambda: 1, done.append)
            self.qtbot.waitUntil(lambda done=done: bool(done) and not worker.busy)
        self.qtbot.wait(5)

    def object_names(self) -> list[str]:
        return sorted(obj.name for obj in self.session.document.objects)

    def place(self) -> tuple[float, float, float]:
        return (0, self.dice.uniform(0, ROWS - 1), self.dice.uniform(0, COLUMNS - 1))

    def click(self) -> None:
        self.widget.set_polarity(self.dice.random() < 0.7)
        self.session.layers.clicks.add(self.place())

    def move(self) -> None:
        layer = self.session.layers.clicks
        if len(layer.data):
            data = layer.data.copy()
            data[self.dice.randrange(len(data))] = self.place()
            layer.data = data

    def delete_click(self) -> None:
        layer = self.session.layers.clicks
        if len(layer.data):
            layer.selected_data = {self.dice.randrange(len(layer.data))}
            layer.remove_selected()

    def stroke(self) -> None:
        row, column = self.dice.randrange(ROWS - 3), self.dice.randrange(COLUMNS - 3)
        rows, columns = np.indices((3, 3)).reshape(2, -1)
        pixels = self.session.plane.lift_indices(rows + row, columns + column)
        self.session.layers.preview.data_setitem(pixels, self.dice.randrange(2))
        self.idle()

    def accept(self) -> None:
        self.widget.accept(self.dice.choice(["keep", "overwrite", "ask"]))

    def answer(self) -> None:
        bar = self.widget.overlap_bar
        if bar.asking:
            bar.buttons[self.dice.choice(list(bar.buttons))].click()

    def any_object(self) -> int | None:
        numbers = [obj.number for obj in self.session.document.objects]
        return self.dice.choice(numbers) if numbers else None

    def reopen(self) -> None:
        number = self.any_object()
        if number is not None:
            self.widget.reopen_object(number)

    def delete(self) -> None:
        number = self.any_object()
        if number is not None:
            self.widget.delete_object(number)

    def change(self) -> None:
        number = self.any_object()
        if number is not None:
            self.widget.rename_object(number, self.dice.choice(["one", "two", ""]))
            self.widget.recolor_object(number, self.dice.choice(["#ff0000", None]))

    def strength(self) -> None:
        self.session.adjust(order_strength=self.dice.choice([0.5, 1.0, 2.0]))

    def seed(self) -> None:
        layers = [layer for layer in self.session.workbook.canvas.layers.values() if layer in self.viewer.layers]
        if layers:
            self.widget.seed_object(layers[0], self.dice.randrange(4))

    def slice(self) -> None:
        self.viewer.dims.set_current_step(0, self.dice.randrange(DEPTH))
        self.widget.start()

    def zoom(self) -> None:
        self.viewer.camera.zoom = self.dice.uniform(0.3, 8)
        self.viewer.camera.center = self.place()

    def swap_image(self) -> None:
        self.idle()
        self.names[self.at] = self.object_names()
        self.at = 1 - self.at
        self.widget.image.value = self.image
        self.widget.start()
        self.idle()
        assert self.object_names() == self.names[self.at]
        # Each image has labels of its own here, so that they can be held against its document.
        layers = self.session.workbook.canvas.layers.values()
        self.widget.target.value = next((layer for layer in layers if layer in self.viewer.layers), None)

    def propagate(self) -> None:
        self.widget.propagate(self.dice.choice(DIRECTIONS))
        if self.dice.random() < 0.5:
            self.filled()

    def filled(self) -> None:
        self.qtbot.waitUntil(lambda: self.widget.stack_work is None or not self.widget.stack_work.running)

    def correct_slice(self) -> None:
        self.viewer.dims.set_current_step(0, self.dice.randrange(DEPTH))
        offset = self.viewer.dims.current_step[0] - self.session.place.index[0]
        _, row, column = self.place()
        self.session.layers.clicks.add((offset, row, column))
        self.idle()

    def accept_stack(self) -> None:
        self.idle()
        self.filled()
        self.widget.accept_stack(self.dice.choice(["keep", "overwrite"]))

    def rename_layer(self) -> None:
        self.renamed += 1
        self.dice.choice(list(self.viewer.layers)).name = f"layer {self.renamed}"

    def delete_layer(self) -> None:
        layer = self.dice.choice([layer for layer in self.viewer.layers if layer not in self.images])
        self.viewer.layers.remove(layer)
        self.idle()
        bar = self.widget.recovery_bar
        if "Put it back" in bar.buttons:
            bar.buttons["Put it back"].click()
        if self.session is None:
            self.widget.start()

    def reopen_widget(self) -> None:
        self.idle()
        names = self.object_names()
        self.widget.shutdown()
        for layer in list(self.viewer.layers):
            if layer not in self.images and self.dice.random() < 0.5:
                self.viewer.layers.remove(layer)
        self.widget = self.make()
        self.widget.image.value = self.image
        self.widget.start()
        self.idle()
        assert self.widget.recovery_bar.asking or not names
        if names:
            self.widget.resume_session()
            self.idle()
        assert self.object_names() == names
        self.names[1 - self.at] = []  # its journal is there, but was not resumed

    def act(self) -> str:
        verbs = {
            self.click: 30, self.move: 5, self.delete_click: 4, self.stroke: 4, self.accept: 12, self.answer: 6,
            self.reopen: 4, self.delete: 2, self.change: 2, self.strength: 2, self.seed: 2, self.slice: 2,
            self.rename_layer: 1, self.delete_layer: 1, self.reopen_widget: 1, self.zoom: 2, self.swap_image: 1,
            self.propagate: 5, self.correct_slice: 3, self.accept_stack: 4, self.named("settle_slice"): 1,
            self.named("end_stack"): 1, self.named("discard_stack"): 1, self.named("cancel_propagation"): 1,
            self.named("undo"): 14, self.named("redo"): 6, self.named("clear"): 2, self.named("new_object"): 2,
            self.named("next_object"): 3, self.named("previous_object"): 2,
            self.named("toggle_sight"): 2,
        }  # fmt: skip
        verb = self.dice.choices(list(verbs), list(verbs.values()))[0]
        verb()
        return verb.__name__

    def named(self, name: str) -> Any:
        return getattr(self.widget, name)

    def check(self) -> None:
        self.idle()
        session, document = self.session, self.session.document
        obj = session.object
        layer = session.layers.clicks
        assert len(layer.data) == (0 if obj is None else len(obj.clicks))
        kinds = [kind == settings.POSITIVE for kind in layer.features[settings.POLARITY]]
        assert kinds == ([] if obj is None else [click.positive for click in obj.clicks])
        if obj is None:
            assert not session.layers.shown_mask().any()
        for target, labels in session.workbook.canvas.layers.items():
            copy = Document(ArrayCanvas({target: np.zeros_like(labels.data)}))
            copy.load(o for o in document.objects if o.accepted is not None and o.accepted.target == target)
            copy.paint()
            np.testing.assert_array_equal(labels.data, copy.canvas.arrays[target])
        shown = {document[row.number].whole for row in self.widget.objects.model.rows}
        assert len(self.widget.objects.model.rows) == len(shown)
        assert shown == {obj.whole for obj in document.objects}

    def check_memory(self) -> None:
        """Sessions that are over, and their threads, are gone."""
        self.idle()
        gc.collect()
        alive = [thing for thing in gc.get_objects() if type(thing) in (Session, StackWork)]
        assert sum(type(thing) is Session for thing in alive) <= 2, alive
        assert sum(type(thing) is StackWork for thing in alive) <= 2, alive
        assert sum(thread.name.startswith("napari-ois") for thread in threading.enumerate()) <= 4


def test_random_actions_break_and_lose_nothing(viewer, make, qtbot, record_property) -> None:
    soak = Soak(viewer, make, qtbot)
    soak.idle()
    done: list[str] = []
    process, before = psutil.Process(), 0
    for number in range(ACTIONS):
        if number == WARM:
            before = process.memory_info().rss
        done.append(soak.act())
        if soak.session is None:
            soak.widget.start()
        if number % 5 == 4:
            try:
                soak.check()
            except AssertionError as error:
                raise AssertionError(f"after {done[-12:]}") from error
    grown = process.memory_info().rss - before
    record_property("bytes grown", grown)
    record_property("objects accepted", sum(name.startswith("accept") for name in done))
    record_property("stacks", done.count("propagate"))
    assert grown < MOST_GROWTH, f"{grown / 1e6:.0f} MB more after {ACTIONS} actions"
    soak.check_memory()
    while soak.session.document.history.undo_text:
        soak.widget.undo()
        qtbot.wait(1)
    while soak.session.document.history.redo_text:
        soak.widget.redo()
        qtbot.wait(1)
    soak.check()
