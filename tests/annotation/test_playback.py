"""A session played again gives the same labels bit for bit: order, rule, seeds and brush strokes honoured."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_ois.annotation import ArrayCanvas, Clicks, Document, ImageSignature, PlaneKey, Replay, Session, Settings
from napari_ois.annotation.playback import (
    looks_missing,
    orders_needed,
    paint_session,
    plane_pixels,
    play_session,
    spatial_shape,
)
from napari_ois.annotation.prompts import Prompt
from napari_ois.errors import InputError
from napari_ois.segmentation.appearance import Appearance


class Painter:
    """A predictor that counts planes; its masks depend on the image, the click and the state before it."""

    def __init__(self) -> None:
        self.images = 0

    def set_image(self, image, channel_axis=None, depth=None) -> None:
        self.images += 1
        self.image = np.asarray(image, float) if depth is None else 20 * np.asarray(depth)
        if channel_axis is not None:
            self.image = self.image.sum(axis=channel_axis)

    def state_from_mask(self, mask, bound=None):
        return mask.astype(float)

    def predict(self, points, labels, previous=None, order_strength=1.0):
        rows, columns = np.indices(self.image.shape)
        state = np.zeros(self.image.shape) if previous is None else 0.5 * previous
        row, column = points[-1]
        near = (rows - row) ** 2 + (columns - column) ** 2 <= 20 * order_strength + self.image
        state = state + np.where(near, 1.0 if labels[-1] else -1.0, 0.0)
        return SimpleNamespace(state=state, mask=state > 0.2, probability=state)


IMAGE = np.random.default_rng(0).integers(0, 20, (2, 24, 30)).astype(np.uint8)


def _accept(document, predictor, number, **options) -> None:
    """What a viewer does: ask for the clicks' mask, lay the edits on it, accept."""
    obj = document[number]
    predictor.set_image(plane_pixels(IMAGE, obj.plane))
    strength = obj.settings.order_strength
    prediction = Replay(predictor).answer(obj.clicks, seed=obj.seed, order_strength=strength)
    document.accept(number, obj.mask(prediction), **options)


@pytest.fixture
def document(disk):
    """Work with many turns: overlaps by both rules, a deleted neighbour, a seed, strokes, a reopened object."""
    document = Document(ArrayCanvas(np.zeros(IMAGE.shape, np.int32)))
    predictor = Painter()
    first, second = PlaneKey((1, 2), (0, 0, 0)), PlaneKey((2, 1), (1, 0, 0))
    for column in (6, 10, 14, 12):
        document.start(first, clicks=Clicks().added(10, column).added(10, column + 2))
    _accept(document, predictor, 1)
    document.adjust(2, Settings(order_strength=2.0, threshold=0.7))
    _accept(document, predictor, 2)
    document.delete(1)  # what 2 was denied stays free
    _accept(document, predictor, 4, rule="overwrite")
    _accept(document, predictor, 3)
    document.start_from_label(second, disk(12, 9, 5, (30, 24)), 1)
    document.set_clicks(5, Clicks().added(3, 9, positive=False))
    _accept(document, predictor, 5)
    document.start_from_label(second, disk(20, 9, 4, (30, 24)), 1)
    document.paint_edit(6, disk(20, 9, 4, (30, 24)), disk(21, 10, 4, (30, 24)))
    _accept(document, predictor, 6)
    document.reopen(2)
    document.set_clicks(2, document[2].clicks.added(16, 10))
    _accept(document, predictor, 2, rule="overwrite")
    document.start(first)  # open: no part of the labels
    return document


def test_an_object_made_by_a_box_alone_is_played_as_it_was_made(disk) -> None:
    document, predictor, plane = (
        Document(ArrayCanvas(np.zeros(IMAGE.shape, np.int32))),
        Painter(),
        PlaneKey((1, 2), (0, 0, 0)),
    )
    seed = Prompt().with_box([[4, 6], [14, 18]], (24, 30)).seed
    settings = Settings(order="map", look=Appearance(level=1))
    document.start(plane, seed=seed, settings=settings)
    predictor.set_image(IMAGE[0])
    document.accept(1, document[1].mask(Replay(predictor).answer(Clicks(), seed=seed)))
    session = Session(ImageSignature.of(IMAGE), document.objects)
    (played,) = play_session(session, IMAGE, predictor)
    assert played.differs == 0 and played.written.area > 20
    assert list(orders_needed(session)) == ["map"] and looks_missing(session)


def test_the_labels_are_the_same_bit_for_bit(document) -> None:
    session = Session(ImageSignature.of(IMAGE), document.objects)
    predictor = Painter()
    played = list(play_session(session, IMAGE, predictor))
    assert predictor.images == 2  # one a plane
    assert [one.differs for one in played] == [0] * 5
    (labels,) = paint_session(played, IMAGE.shape).values()
    np.testing.assert_array_equal(labels, document.canvas.arrays["labels"])
    assert set(np.unique(labels)) == {0, *(obj.label for obj in session.accepted)}


def test_another_answer_is_counted_and_keeps_others_pixels(document) -> None:
    session = Session(ImageSignature.of(IMAGE), document.objects)
    played = list(play_session(session, IMAGE + 9, Painter()))
    assert all(one.differs for one in played if len(one.obj.clicks))
    (labels,) = paint_session(played, IMAGE.shape).values()
    overlap = played[0].written & played[1].written
    assert set(np.unique(labels[0][overlap.unpack()])) <= {obj.label for obj in session.accepted}


def test_planes_are_read_alone_with_their_channels() -> None:
    image = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)  # z, channel, row, column
    plane = PlaneKey((1, 2), (1, 0, 0))
    np.testing.assert_array_equal(plane_pixels(image, plane, 1), np.moveaxis(image[1], 0, -1))
    np.testing.assert_array_equal(plane_pixels(image, plane, -3), np.moveaxis(image[1], 0, -1))
    assert spatial_shape(image, 3, 1) == (2, 4, 5)
    colour = np.zeros((4, 5, 3))
    assert plane_pixels(colour, PlaneKey()).shape == (4, 5, 3)
    assert spatial_shape(colour, 2) == (4, 5)
    with pytest.raises(InputError, match="axes of this session"):
        spatial_shape(image, 2)


def test_an_object_of_nothing_and_a_plane_that_is_not_there_are_refused(disk) -> None:
    document = Document(ArrayCanvas(np.zeros((24, 30), np.int32)))
    document.accept(document.start(PlaneKey(), clicks=Clicks().added(3, 3, False)).number, disk(5, 5, 3))
    session = Session(ImageSignature.of(IMAGE), document.objects)
    with pytest.raises(InputError, match="no positive click"):
        list(play_session(session, IMAGE[0], Painter()))
    stack = Document(ArrayCanvas(np.zeros((9, 24, 30), np.int32)))
    stack.accept(stack.start(PlaneKey((1, 2), (8, 0, 0))).number, disk(5, 5, 3))
    with pytest.raises(InputError, match="no plane at"):
        list(play_session(Session(ImageSignature.of(IMAGE), stack.objects), IMAGE, Painter()))


def test_an_object_is_played_with_the_map_that_it_was_answered_with() -> None:
    depth = np.linspace(0, 1, 24 * 30, dtype=np.float32).reshape(24, 30)
    document = Document(ArrayCanvas(np.zeros(IMAGE.shape, np.int32)))
    place, said = PlaneKey((1, 2), (0, 0, 0)), {"statement": "A ramp."}
    for number, order in ((1, "a1"), (2, ""), (3, "b2")):
        document.start(place, clicks=Clicks().added(18, 6 + 8 * number), settings=Settings(order=order))
        painter = Painter()
        painter.set_image(IMAGE[0], depth=depth if order == "a1" else None)
        document.accept(number, document[number].mask(Replay(painter).answer(document[number].clicks)))
    session = Session(ImageSignature.of(IMAGE), document.objects, order={"maps": {"a1": said}})
    assert orders_needed(session) == {"a1": said, "b2": {}}
    painter = Painter()
    played = list(play_session(session, IMAGE, painter, {"a1": depth}))
    assert painter.images == 3 and [one.differs for one in played] == [0, 0, 0]
    assert next(play_session(session, IMAGE, Painter())).differs  # without the map it is another mask
