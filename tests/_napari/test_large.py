"""A pyramid of 40,000 x 40,000 pixels is clicked and accepted in the viewer like any image; only regions are held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import zarr
from napari.layers import Labels, Shapes

from napari_ois._napari import order_request
from napari_ois._napari.label_canvas import LabelCanvas
from napari_ois._napari.label_pyramid import LabelPyramid
from napari_ois._napari.plane import Plane, read_plane
from napari_ois.annotation import PackedMask, PlaneKey
from napari_ois.errors import InputError
from napari_ois.segmentation.frame import Frame, View
from napari_ois.segmentation.predictor import Predictor

SIDE = 40_000
BOX = (20_100, 30_200, 20_160, 30_300)
"""A bright object."""


class BrightNetwork(torch.nn.Module):
    """What is bright is the object."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def embed_image(self, image: torch.Tensor, depth: torch.Tensor | None = None) -> Any:
        from napari_ois.network import ImageEmbedding
        from napari_ois.network.order import normalize_depth

        return ImageEmbedding(image, (), normalize_depth(image[:, :1]), image[:, :1])

    def decode_clicks(self, embedding: Any, points: Any, labels: Any, previous: Any = None) -> torch.Tensor:
        return 20 * (embedding.features[:, 1:2] - 0.5) * self.weight


def factory(model: str, device: str) -> Predictor:
    return Predictor.from_network(BrightNetwork(), input_size=256, multiple=32, device="cpu", close_up=True)


@pytest.fixture(scope="module")
def levels() -> list[Any]:
    """Empty but for the object, and a corner that makes the contrast."""
    made = []
    for step in (1, 4, 16):
        side = SIDE // step
        level = zarr.create_array(
            zarr.storage.MemoryStore(), shape=(side, side), chunks=(500, 500), dtype="uint8", fill_value=10
        )
        top, left, bottom, right = (place // step for place in BOX)
        level[top : bottom + 1, left : right + 1] = 200
        level[: 1000 // step, : 1000 // step] = 220
        made.append(level)
    return made


@pytest.fixture(autouse=True)
def _small_overview(monkeypatch) -> None:
    monkeypatch.setattr("napari_ois.segmentation.pyramid.OVERVIEW", 1024)


@pytest.fixture
def clicked(viewer: Any, levels: Any, make: Any, click: Any, qtbot: Any) -> Any:
    viewer.add_image(
        levels, multiscale=True, name="slide", scale=(0.5, 0.5), translate=(7, 9), contrast_limits=(0, 255)
    )
    widget = make(factory)
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    click(widget, 20_130, 30_250)
    return widget


def test_the_preview_lies_on_the_object_and_covers_only_the_region(clicked, viewer) -> None:
    preview = clicked.session.layers.preview
    assert preview.data.shape == (1024, 1024)
    rows, columns = np.nonzero(preview.data)
    world = preview.data_to_world((rows.mean(), columns.mean()))
    np.testing.assert_allclose(viewer.layers["slide"].world_to_data(world), (20_130, 30_250), atol=2)
    assert abs(preview.data.sum() / (61 * 101) - 1) < 0.1
    order = clicked.session.layers.order_positive
    np.testing.assert_allclose(order.data_to_world((0, 0)), preview.data_to_world((0, 0)))
    assert clicked.session.layers.depth.data.shape == (2048, 2048)  # the overview's


def test_the_region_is_outlined_and_goes_with_the_session(clicked, viewer) -> None:
    outline = next(layer for layer in viewer.layers if isinstance(layer, Shapes))
    view = clicked.session._inquiry.answer.prediction.frame.view
    np.testing.assert_allclose(outline.data[0].min(axis=0), (view.top - 0.5, view.left - 0.5))
    np.testing.assert_allclose(outline.data[0].max(axis=0), (view.bottom - 0.5, view.right - 0.5))
    clicked.session.end()
    assert not any(isinstance(layer, Shapes) for layer in viewer.layers)


def test_what_the_model_sees_of_it_is_the_overview(clicked, viewer, qtbot) -> None:
    clicked.toggle_sight()
    qtbot.waitUntil(lambda: clicked.sight_layer.layer is not None)
    layer = clicked.sight_layer.layer
    assert layer.data.shape == (1250, 1250, 3)  # every second pixel of the coarsest level
    rows, columns = np.nonzero(layer.data[100:, 100:, 0] > 128)
    world = layer.data_to_world((rows.mean() + 100, columns.mean() + 100))
    np.testing.assert_allclose(viewer.layers["slide"].world_to_data(world), (20_130, 30_250), atol=24)


def test_accepted_it_is_in_every_level_of_a_labels_layer_and_undone_it_is_not(clicked, viewer) -> None:
    clicked.accept()
    labels = next(layer for layer in viewer.layers if isinstance(layer, Labels) and layer.multiscale)
    fine = np.asarray(labels.data[0][20_000:20_300, 30_100:30_400])
    rows, columns = np.nonzero(fine)
    assert set(np.unique(fine)) == {0, 1}
    assert abs(rows.min() - 100) <= 2 and abs(columns.max() - 200) <= 2
    coarse = np.asarray(labels.data[2][5_000:5_075, 7_525:7_600])
    np.testing.assert_array_equal(coarse, fine[::4, ::4])
    clicked.undo()
    assert not np.asarray(labels.data[0][20_000:20_300, 30_100:30_400]).any()
    assert not np.asarray(labels.data[2][5_000:5_075, 7_525:7_600]).any()
    clicked.redo()
    np.testing.assert_array_equal(np.asarray(labels.data[0][20_000:20_300, 30_100:30_400]), fine)


def test_the_next_object_has_the_next_label_and_leaves_the_first_alone(clicked, click) -> None:
    clicked.accept()
    click(clicked, 500, 500)
    clicked.accept()
    accepted = [obj.accepted for obj in clicked.session.document.objects]
    assert [one.label for one in accepted] == [1, 2]
    data = clicked.target.value.data[0]
    assert int(np.asarray(data[20_130, 30_250])) == 1 and int(np.asarray(data[500, 500])) == 2
    assert accepted[1].written.area == pytest.approx(1000**2, rel=0.05)


def test_a_stroke_on_the_preview_is_kept_and_accepted(clicked) -> None:
    layer = clicked.session.layers.preview
    layer.data_setitem((np.array([5]), np.array([6])), 1)
    view = clicked.session._inquiry.answer.prediction.frame.view
    clicked.accept()
    assert int(np.asarray(clicked.target.value.data[0][view.top + 5, view.left + 6])) == 1


def test_a_reopened_object_is_shown_again(clicked, qtbot) -> None:
    clicked.accept()
    with qtbot.waitSignal(clicked.answered):
        clicked.reopen_object()
    assert clicked.session.layers.shown_mask().sum() > 5_000


def test_coarse_frames_lie_where_they_should(viewer, levels) -> None:
    image = viewer.add_image(levels, multiscale=True, scale=(2, 3), translate=(1, -4), rotate=20)
    plane = Plane((SIDE, SIDE), (0, 1), (0, 0))
    frame = Frame(View(4_000, 8_000, 12_000, 16_000), (2_000, 2_000))
    layer = Labels(np.zeros((2_000, 2_000), np.uint8), **plane.geometry(image, frame))
    for cell, pixel in (((0, 0), (4_001.5, 8_001.5)), ((1_999, 7), (11_997.5, 8_029.5))):
        np.testing.assert_allclose(layer.data_to_world(cell), image.data_to_world(pixel))


def test_a_large_image_need_not_be_a_pyramid(viewer, levels, make, click, qtbot) -> None:
    viewer.add_image(levels[1], name="slide", contrast_limits=(0, 255))  # one array of 10,000 x 10,000 pixels
    widget = make(factory)
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    click(widget, 20_130 // 4, 30_250 // 4)
    preview = widget.session.layers.preview
    rows, columns = np.nonzero(preview.data)
    np.testing.assert_allclose(preview.data_to_world((rows.mean(), columns.mean())), (5_032, 7_562), atol=2)
    assert 200 < preview.data.sum() < 800  # about 16 x 26 pixels
    widget.toggle_sight()
    qtbot.waitUntil(lambda: widget.sight_layer.layer is not None)
    assert max(widget.sight_layer.layer.data.shape) >= 1024


@pytest.mark.parametrize("axes", [(1, 2), (2, 1)])
def test_planes_of_a_large_stack_are_read_in_windows(axes) -> None:
    class Stack:
        multiscale = False
        ndim = 3
        data = zarr.create_array(zarr.storage.MemoryStore(), shape=(3, 5_000, 6_000), chunks=(1, 500, 500), dtype="u2")

    Stack.data[1, 100:110, 200:220] = 7
    shape = (Stack.data.shape[axes[0]], Stack.data.shape[axes[1]])
    level = read_plane(Plane(shape, axes, (1, 0, 0)), Stack())  # type: ignore[arg-type]
    assert level.shape == shape
    box = (slice(100, 110), slice(200, 220)) if axes == (1, 2) else (slice(200, 220), slice(100, 110))
    assert (level[box] == 7).all() and level[0:50, 0:50].sum() == 0


def test_order_that_needs_no_pixel_reads_none() -> None:
    class Remote:
        shape, dtype, ndim = (60_000, 60_000), np.dtype("u1"), 2

        def __getitem__(self, key: Any) -> Any:
            raise AssertionError("the plane is read")

    class Slide:
        multiscale, rgb, data = False, False, Remote()

    plane = Plane(Remote.shape, (0, 1), (0, 0))
    for kind in (order_request.OWN, order_request.NONE, order_request.MODEL):
        request = order_request.about_plane(kind, Slide(), plane, model="ois-vits")  # type: ignore[arg-type]
        if kind == order_request.MODEL:
            with pytest.raises(InputError, match="another model's depth is not taken"):
                request.compute(lambda *_: None, lambda: False)
            continue
        found = request.compute(lambda *_: None, lambda: False)
        assert found.known.shape == plane.shape and (found.depth is None) == (kind == order_request.OWN)
    slide = Slide()
    slide.name, slide.ndim = "slide", 2
    with pytest.raises(InputError, match="more than 67 million pixels"):  # its map would be held whole
        order_request.about_layer(slide, plane, slide, nearer="larger", invalid=None)  # type: ignore[arg-type]


def test_labels_of_a_large_stack_are_written_on_their_plane(viewer) -> None:
    image = viewer.add_image(zarr.create_array(zarr.storage.MemoryStore(), shape=(3, 5_000, 6_000), dtype="u1"))
    canvas = LabelCanvas(image, lambda job, done, failed: done(job()))
    layer = canvas.make()
    name = canvas.name_of(layer)
    plane = PlaneKey((1, 2), (2, 0, 0))
    rows, columns = np.indices((10, 20)).reshape(2, -1)
    canvas.write(name, plane.indices(rows + 100, columns + 200), np.full(200, 5))
    assert canvas.highest(name) == 5
    assert (np.asarray(canvas.read(name, plane)[100:110, 200:220]) == 5).all()
    assert not np.asarray(canvas.read(name, PlaneKey((1, 2), (1, 0, 0)))[100:110, 200:220]).any()
    assert canvas.adopt(layer) == name


def test_a_pyramid_of_another_shape_is_refused(viewer, levels) -> None:
    image = viewer.add_image(levels, multiscale=True, name="slide", contrast_limits=(0, 255))
    other = Labels([np.zeros((side, side), np.uint8) for side in (64, 32)], multiscale=True)
    with pytest.raises(InputError, match="choose another layer"):
        LabelCanvas(image, lambda job, done, failed: done(job())).check(other)


def test_every_level_of_a_label_pyramid_shows_every_second_pixel_of_the_one_before() -> None:
    pyramid = LabelPyramid((5_000, 7_000))
    assert [level.shape for level in pyramid.levels] == [(5_000, 7_000), (2_500, 3_500), (1_250, 1_750)]
    assert isinstance(pyramid.levels[-1], np.ndarray)  # napari keeps a copy of any other
    rng = np.random.default_rng(0)
    for corner in ((101, 203), (100, 200), (4_950, 6_931)):
        where = rng.random((50, 69)) < 0.5
        pyramid.write(corner, where, rng.integers(1, 9, where.shape))
    far = tuple(rng.integers(0, side, 300) for side in (5_000, 7_000))
    pyramid.write_pixels(far, np.full(300, 9))
    assert (np.asarray(pyramid.levels[0][:])[far] == 9).all()
    fine, half, quarter = (np.asarray(level[:]) for level in pyramid.levels)
    np.testing.assert_array_equal(half, fine[::2, ::2])
    np.testing.assert_array_equal(quarter, fine[::4, ::4])


def test_an_object_that_is_too_large_to_be_written_is_refused(viewer, levels) -> None:
    from napari_ois.annotation import Document

    image = viewer.add_image(levels, multiscale=True, name="slide", contrast_limits=(0, 255))
    canvas = LabelCanvas(image, lambda job, done, failed: done(job()))
    document = Document(canvas)
    name = canvas.name_of(canvas.make())
    obj = document.start(PlaneKey())
    giant = PackedMask.from_cells(np.ones((4, 4), bool), (0, 0, 20_000, 20_000), (SIDE, SIDE))
    with pytest.raises(InputError, match="coarser copy"):
        document.accept(obj.number, giant, target=name)


def test_to_look_for_planes_reads_none_of_a_large_one(viewer) -> None:
    """The widget's choices look at every layer's plane."""

    class Guarded:
        shape, dtype, ndim = (SIDE, SIDE), np.dtype("uint8"), 2

        def __getitem__(self, key: Any) -> Any:
            raise AssertionError("it was read")

    view = Plane((SIDE, SIDE), (0, 1), (0, 0)).view(Guarded())
    assert view.shape == (SIDE, SIDE)


def test_another_threshold_is_tried_on_the_region(clicked, notes) -> None:
    before = clicked.session.layers.shown_mask()
    clicked.confidence.try_threshold(0.9)
    tried = clicked.session.layers.shown_mask()
    assert tried.shape == before.shape and 0 < tried.sum() <= before.sum()
    with pytest.raises(InputError, match="regions"):
        clicked.confidence.suggest()
