from __future__ import annotations

import sys

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.evaluation.classical import FloodFill, GrabCut, RandomWalker, disk
from napari_ois.evaluation.metrics import iou

METHODS = [GrabCut, RandomWalker, FloodFill]


@pytest.fixture(params=METHODS, ids=lambda method: method.__name__)
def method(request):
    if request.param is GrabCut:
        pytest.importorskip("cv2", reason="GrabCut needs OpenCV, the extra 'train'")
    return request.param()


def scene(shape=(60, 80), place=(30, 40), radius=14):
    """A bright, slightly noisy disk on dark ground, and its mask."""
    rows, columns = np.indices(shape)
    mask = (rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= radius**2
    noise = np.random.default_rng(0).integers(0, 12, (*shape, 3))
    image = np.where(mask[..., None], (190, 120, 60), (40, 60, 90)) + noise
    return image.astype(np.uint8), mask


def clicks(*given):
    return np.array([place for place, _ in given], np.float32), np.array([label for _, label in given])


def test_one_click_finds_a_clear_object(method):
    image, mask = scene()
    method.set_image(image)
    answer = method.predict(*clicks(((30, 40), 1)))
    assert answer.mask.shape == mask.shape and answer.mask.dtype == bool
    assert iou(answer.mask, mask.astype(np.uint8)) > 0.9


def test_a_negative_click_takes_a_second_object_away(method):
    image, first = scene(place=(30, 22))
    _, second = scene(place=(30, 58))
    image[second] = image[first][0]
    method.set_image(image)
    answer = method.predict(*clicks(((30, 22), 1), ((30, 58), 0)))
    assert answer.mask[30, 22] and not answer.mask[30, 58]
    assert iou(answer.mask, first.astype(np.uint8)) > 0.7


def test_the_same_clicks_give_the_same_mask(method):
    image, _ = scene()
    image[::3] = np.random.default_rng(1).integers(0, 255, image[::3].shape)
    given = clicks(((30, 40), 1), ((5, 5), 0))
    method.set_image(image)
    before = method.predict(*given).mask
    method.predict(*clicks(((10, 60), 1)))
    method.set_image(image)
    np.testing.assert_array_equal(method.predict(*given).mask, before)


@pytest.mark.parametrize("kind", METHODS)
def test_large_images_are_worked_on_smaller_and_answered_at_their_size(kind):
    if kind is GrabCut:
        pytest.importorskip("cv2", reason="GrabCut needs OpenCV, the extra 'train'")
    image, mask = scene((150, 201), (75, 100), 40)
    small = kind(side=60)
    small.set_image(image)
    answer = small.predict(*clicks(((75, 100), 1)))
    assert answer.mask.shape == (150, 201)
    assert iou(answer.mask, mask.astype(np.uint8)) > 0.85


@pytest.mark.parametrize("shape", [(1, 30), (30, 1), (2, 2)])
def test_tiny_constant_and_grey_images_are_answered(method, shape):
    for image in (np.zeros(shape, np.uint16), np.full((*shape, 3), 0.5, np.float32)):
        method.set_image(image)
        last = (shape[0] - 1, shape[1] - 1)
        answer = method.predict(*clicks(((0, 0), 1), (last, 0)))
        assert answer.mask.shape == shape and answer.mask[0, 0] and not answer.mask[last]


def test_predicting_without_an_image_is_refused(method):
    with pytest.raises(InputError, match="set_image"):
        method.predict(*clicks(((0, 0), 1)))


def test_a_missing_opencv_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"napari-ois\[train\]"):
        GrabCut()


def test_disks_are_cut_at_the_border_and_never_empty():
    drawn = np.zeros((5, 6), int)
    drawn[disk(np.array([0, 5]), 1.0, drawn.shape)] = 1
    np.testing.assert_array_equal(np.argwhere(drawn), [[0, 4], [0, 5], [1, 5]])
    assert len(disk(np.array([2, 2]), 0.3, (5, 6))[0]) == 1
