"""A pyramid of labels of any origin is a target like any layer: written at every level, undone at every level."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Labels

from napari_ois._napari.label_canvas import LabelCanvas
from napari_ois._napari.label_levels import LabelLevels
from napari_ois.errors import InputError


def as_zarr(level: np.ndarray, **options: Any) -> Any:
    made = zarr.create_array(zarr.storage.MemoryStore(), shape=level.shape, dtype=level.dtype, chunks=level.shape)
    made[:] = level
    return zarr.open_array(made.store, **options) if options else made


def other_tool(shape: tuple[int, ...], dtype: Any = np.int32) -> list[np.ndarray]:
    """Its levels are not even places: it has taken odd ones."""
    fine = np.zeros(shape, dtype)
    fine[..., 2:9, 3:12] = 41
    return [fine, fine[..., 1::2, 1::2].copy(), fine[..., 3::4, 3::4].copy()]


@pytest.mark.parametrize("make_level", [np.array, as_zarr], ids=["numpy", "zarr"])
@pytest.mark.parametrize("shape", [(61, 83), (3, 60, 80)])
def test_objects_are_accepted_into_a_pyramid_of_another_tool(viewer, make, click, qtbot, make_level, shape) -> None:
    fine = np.random.default_rng(0).random(shape)
    viewer.add_image([fine, fine[..., ::2, ::2]], multiscale=True, name="scan", scale=(2,) * len(shape))
    before = other_tool(shape)
    layer = viewer.add_labels(
        [make_level(level) for level in before], multiscale=True, name="cells", scale=(2,) * len(shape)
    )
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    widget.target.value = layer
    click(widget, *([0] if len(shape) == 3 else []), 20, 30)
    with qtbot.waitSignal(widget.session.accepted):
        widget.accept()
    levels = [np.asarray(level[:]) for level in layer.data]
    plane = widget.session.plane.index[:-2]
    assert (levels[0] == 42).sum() == 113 and (levels[0] == 41).sum() == (before[0] == 41).sum()
    for level, was in zip(levels, before, strict=True):
        at = np.ix_(
            *(((np.arange(n) + 0.5) * full / n).astype(int) for n, full in zip(level.shape, shape, strict=True))
        )
        np.testing.assert_array_equal(level == 42, levels[0][at] == 42)
        assert (level == 42).any()
        np.testing.assert_array_equal(level[level != 42], was[level != 42])
    assert layer.get_value((*plane, 40, 60), world=True)[1] == 42  # napari's own view is of the coarsest level here
    widget.undo()
    for level, was in zip(layer.data, before, strict=True):
        np.testing.assert_array_equal(np.asarray(level[:]), was)
    assert layer.get_value((*plane, 40, 60), world=True)[1] == 0
    widget.redo()
    np.testing.assert_array_equal(np.asarray(layer.data[0][:]), levels[0])


def test_levels_that_also_have_fewer_planes_are_kept_in_step() -> None:
    levels = [np.zeros(shape, np.uint16) for shape in ((9, 50, 40), (3, 25, 20))]
    pyramid = LabelLevels.adopt(levels)
    corner, extent = (1, 7, 9), (4, 11, 12)
    pyramid.write(corner, np.ones(extent, bool), np.full(extent, 5))
    assert (levels[0] == 5).sum() == np.prod(extent)
    np.testing.assert_array_equal(levels[1], levels[0][1::3, 1::2, 1::2])
    pyramid.write_pixels((np.array([7, 8]), np.array([1, 49]), np.array([1, 39])), np.array([3, 4]))
    assert levels[0][7, 1, 1] == levels[1][2, 0, 0] == 3 and levels[0][8, 49, 39] == 4
    np.testing.assert_array_equal(levels[1], levels[0][1::3, 1::2, 1::2])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda level: da.from_array(level), "level 1 of it is computed by dask"),
        (lambda level: np.lib.stride_tricks.as_strided(level, writeable=False), "level 1 of it is read-only"),
        (lambda level: as_zarr(level, mode="r"), "level 1 of it is read-only"),
    ],
    ids=["dask", "numpy", "zarr"],
)
def test_one_that_cannot_be_written_is_refused_in_a_sentence(viewer, spoil, reason) -> None:
    image = viewer.add_image(np.random.default_rng(0).random((60, 80)), name="scan")
    fine, half, _ = other_tool((60, 80))
    canvas = LabelCanvas(image, lambda job, done, failed: done(job()))
    with pytest.raises(InputError, match=rf'"cells" cannot be written \({reason}\): choose another layer'):
        canvas.adopt(Labels([fine, spoil(half)], multiscale=True, name="cells"))
    with pytest.raises(InputError, match="its array is computed by dask"):
        canvas.adopt(Labels(da.from_array(fine), name="cells"))
    assert not canvas.layers


def test_every_level_must_hold_the_label(viewer) -> None:
    image = viewer.add_image(np.random.default_rng(0).random((60, 80)), name="scan")
    fine, half, _ = other_tool((60, 80))
    canvas = LabelCanvas(image, lambda job, done, failed: done(job()))
    name = canvas.adopt(Labels([fine, half.astype(np.uint8)], multiscale=True, name="cells"))
    assert canvas.limit(name) == 255
