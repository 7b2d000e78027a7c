"""Labels layers as a document writes them: by data_setitem, with a largest label that is counted along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_ois._napari.label_canvas import LabelCanvas, _largest
from napari_ois.annotation import Document, PlaneKey
from napari_ois.errors import InputError

PLANE = PlaneKey()


class Later:
    """Keeps jobs until they are wanted."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Callable[[Any], None], Callable[[BaseException], None]]] = []

    def __call__(
        self, job: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None]
    ) -> None:
        self.jobs.append((job, done, failed))

    def run(self, error: BaseException | None = None) -> None:
        jobs, self.jobs = self.jobs, []
        for job, done, failed in jobs:
            if error is None:
                done(job())
            else:
                failed(error)


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def canvas(qapp: Any, later: Later) -> LabelCanvas:
    return LabelCanvas(Image(np.zeros((20, 30)), name="scan", scale=(2, 2)), later)


def square(row: int, column: int) -> np.ndarray:
    mask = np.zeros((20, 30), bool)
    mask[row : row + 4, column : column + 4] = True
    return mask


def test_an_accept_is_one_step_of_the_layer_s_own_undo(canvas) -> None:
    layer = canvas.make()
    document = Document(canvas)
    for column in (2, 4):
        document.accept(document.start(PLANE).number, square(3, column), rule="overwrite", target=layer.name)
    seen = layer.data.copy()
    assert (seen == 2).sum() == 16 and (seen == 1).sum() == 8
    document.delete(2)
    assert (layer.data == 1).sum() == 16 and not (layer.data == 2).any()
    layer.undo()
    np.testing.assert_array_equal(layer.data, seen)
    assert tuple(layer.scale) == (2, 2) and layer.name == "scan objects"


def test_the_largest_label_is_found_beside_and_counted_along(canvas, later) -> None:
    data = np.zeros((20, 30), np.int32)
    data[0, 0] = 41
    layer = Labels(data, name="cells", scale=(2, 2))
    name = canvas.adopt(layer)
    told: list[int] = []
    assert not canvas.ready(name, lambda: told.append(1))
    later.run()
    assert told == [1] and canvas.ready(name, lambda: None)
    assert canvas.highest(name) == 41
    layer.data_setitem((np.array([1]), np.array([1])), 50)
    assert canvas.highest(name) == 50
    with layer.block_history():
        layer.paint((5, 5), 60)
    assert canvas.highest(name) == 60
    layer.selected_label = 900  # chosen, but not painted with
    layer.data_setitem((np.array([1]), np.array([2])), 61)
    assert canvas.highest(name) == 61
    layer.data = np.full((20, 30), 7)
    later.run()
    assert canvas.highest(name) == 7


def test_labels_that_cannot_be_read_are_said_and_searched_again(canvas, later, notes) -> None:
    name = canvas.adopt(Labels(np.full((20, 30), 5), name="cells", scale=(2, 2)))
    told: list[int] = []
    assert not canvas.ready(name, lambda: told.append(1))
    later.run(OSError("the disk is gone"))
    assert told == [] and '"cells" cannot be read (the disk is gone)' in notes[-1]
    assert not canvas.ready(name, lambda: told.append(2))
    later.run()
    assert told == [2] and canvas.highest(name) == 5


def test_a_hidden_layer_is_written_like_any_other(canvas) -> None:
    layer = Labels(np.zeros((20, 30), np.int32), name="cells", scale=(2, 2), visible=False)
    document = Document(canvas)
    document.accept(document.start(PLANE).number, square(3, 2), target=canvas.adopt(layer))
    assert (layer.data == 1).sum() == 16 and len(document.history.done) == 2
    document.undo()
    assert not layer.data.any() and not layer.visible


def test_layers_follow_their_image_as_long_as_they_lie_on_it(canvas) -> None:
    on, off = canvas.make(), canvas.make()
    off.translate = (1, 1)
    image = canvas._image
    image.scale, image.translate, image.units = (5, 1), (3, 4), ("um", "um")
    canvas.check(on)
    assert on.units == image.units
    np.testing.assert_array_equal(off.scale, (2, 2))
    image.data = np.zeros((4, 20, 30))
    image.scale = (1, 1, 1)  # nothing of two axes can lie on it
    image.data = np.zeros((20, 30))
    canvas.release()
    image.scale = (1, 1)
    np.testing.assert_array_equal(on.scale, (5, 1))


def test_labels_that_memory_does_not_hold_are_said(canvas, monkeypatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("napari_ois._napari.label_canvas.np.zeros", full)
    with pytest.raises(InputError, match='Labels for all of "scan" need 0 GiB, more than there is: choose'):
        canvas.make()


def test_a_name_is_given_once_and_outlives_renaming(canvas) -> None:
    first = Labels(np.zeros((20, 30), int), name="cells", scale=(2, 2))
    second = Labels(np.zeros((20, 30), int), name="cells", scale=(2, 2))
    assert (canvas.adopt(first), canvas.adopt(second)) == ("cells", "cells 2")
    first.name = "other"
    assert canvas.adopt(first) == "cells" == canvas.name_of(first)
    document = Document(canvas)
    document.accept(document.start(PLANE).number, square(3, 3), target="cells")
    assert first.data.any() and not second.data.any()


@pytest.mark.parametrize("wrong", [{"data": np.zeros((19, 30), int)}, {"translate": (1, 0)}])
def test_a_layer_beside_the_image_is_refused(canvas, wrong) -> None:
    layer = Labels(**{"data": np.zeros((20, 30), int), "scale": (2, 2), **wrong})
    with pytest.raises(InputError, match="does not lie on"):
        canvas.adopt(layer)
    with pytest.raises(InputError, match="no layer"):
        canvas.read("cells", PLANE)


def test_any_array_is_searched_plane_by_plane_and_band_by_band(monkeypatch) -> None:
    monkeypatch.setattr("napari_ois._napari.label_canvas.BAND", 9)
    read = []

    class Lazy:
        """Like a zarr array: cut first, read then."""

        def __init__(self, array: np.ndarray) -> None:
            self.array, self.ndim, self.shape = array, array.ndim, array.shape

        def __getitem__(self, index: Any) -> Lazy:
            return Lazy(self.array[index])

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            read.append(self.shape)
            return self.array

    data = np.zeros((2, 5, 4), int)
    data[1, 4, 3] = 6
    assert _largest(Lazy(data)) == 6
    assert read == [(2, 4), (2, 4), (1, 4)] * 2
    assert _largest(np.zeros((0, 0), int)) == 0
