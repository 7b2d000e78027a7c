"""What of an answer is the object: above a threshold and, if wished, hanging together with a positive click."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numpy.testing import assert_array_equal
from skimage.measure import label

from napari_ois.annotation import AnnotatedObject, Clicks, Edits, PackedMask, PlaneKey, Settings
from napari_ois.annotation.answers import pack_answer
from napari_ois.annotation.reading import connected_to
from napari_ois.annotation.records import object_from_record, object_record
from napari_ois.segmentation.frame import Frame
from napari_ois.segmentation.view import View

MASK = np.zeros((8, 10), bool)
MASK[1:3, 1:4] = True
MASK[3:5, 4:6] = True  # touches the first at a corner
MASK[6:8, 8:] = True


def test_parts_hang_together_at_corners_and_only_those_with_a_point_stay() -> None:
    found = connected_to(MASK, [(1, 1)])
    assert found[:5].sum() == MASK[:5].sum() and not found[5:].any()
    assert_array_equal(connected_to(MASK, [(6.6, 9.4)]), MASK & (np.indices(MASK.shape)[0] > 5))
    assert_array_equal(connected_to(MASK, [(1, 1), (7, 8)]), MASK)


def test_points_beside_the_mask_say_nothing() -> None:
    for points in (np.zeros((0, 2)), [(0, 0)], [(40, 40), (-3, 2)]):
        assert_array_equal(connected_to(MASK, points), MASK)
    assert connected_to(MASK, [(0, 0), (4, 5), (40, 40)]).sum() == MASK[:5].sum()
    assert not connected_to(np.zeros((4, 4), bool), [(1, 1)]).any()


def test_it_is_what_labelling_the_whole_mask_gives() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        mask = rng.random((40, 50)) < 0.3
        points = np.argwhere(mask)[rng.integers(mask.sum(), size=3)]
        parts = label(mask, connectivity=2)
        assert_array_equal(connected_to(mask, points), np.isin(parts, [parts[tuple(point)] for point in points]))


def answered(mask: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(mask=mask, probability=np.where(mask, 0.9, 0.1).astype(np.float32))


def test_an_object_reads_its_answer_so_and_brush_strokes_stay() -> None:
    clicks = Clicks().added(2, 2).added(6, 9, positive=False)
    strokes = np.zeros_like(MASK)
    strokes[0, 9] = True
    edits = Edits(PackedMask.pack(strokes), PackedMask.pack(np.zeros_like(MASK)))
    obj = AnnotatedObject(1, PlaneKey(), "one", clicks=clicks, settings=Settings(connected=True), edits=edits)
    expected = connected_to(MASK, [(2, 2)]) | strokes
    assert_array_equal(obj.mask(answered(MASK)), expected)
    assert_array_equal(obj.packed(pack_answer(answered(MASK), MASK.shape, obj)).unpack(), expected)
    assert object_from_record(object_record(obj)) == obj


def test_on_a_large_plane_the_clicks_are_found_in_the_frame() -> None:
    shape = (6000, 6000)
    frame = Frame(View(5000, 4000, 5008, 4010), MASK.shape)
    answer = SimpleNamespace(**vars(answered(MASK)), frame=frame)
    obj = AnnotatedObject(1, PlaneKey(), "one", clicks=Clicks().added(5007, 4009), settings=Settings(connected=True))
    packed = pack_answer(answer, shape, obj)
    assert packed.area == 4 and packed.box == (5006, 4008, 5008, 4010)
    assert pack_answer(answer, shape).area == MASK.sum()
