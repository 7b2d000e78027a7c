from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from napari_ois.errors import InputError
from napari_ois.evaluation.protocol import evaluate_object, next_click


def empty(shape):
    return np.zeros(shape, bool)


def plain_next_click(prediction, target, clicked):
    """The literal form: transforms of the whole padded image."""
    missed = distance_transform_edt(np.pad((target == 1) & ~prediction, 1))[1:-1, 1:-1]
    excess = distance_transform_edt(np.pad((target == 0) & prediction, 1))[1:-1, 1:-1]
    for row, column in clicked:
        missed[row, column] = excess[row, column] = 0
    if max(missed.max(), excess.max()) == 0:
        return None
    positive = missed.max() > excess.max()
    chosen = missed if positive else excess
    row, column = np.argwhere(chosen == chosen.max())[0]
    return int(row), int(column), int(positive)


def test_first_click_is_the_centre_of_the_inscribed_circle():
    rows, columns = np.mgrid[:60, :80]
    disk = (rows - 30) ** 2 + (columns - 50) ** 2 <= 12**2
    # a long thin tail moves the centroid but not the inscribed circle
    disk[29:32, 5:45] = True
    assert next_click(empty(disk.shape), disk) == (30, 50, 1)


def test_image_border_counts_as_object_border():
    target = np.ones((11, 21), np.uint8)
    # without padding the whole image would be infinitely deep; with it the first of the middle row
    assert next_click(empty(target.shape), target) == (5, 5, 1)


def test_first_maximum_in_row_major_order():
    target = empty((20, 20))
    target[12:15, 1:4] = True
    target[2:5, 14:17] = True
    assert next_click(empty(target.shape), target) == (3, 15, 1)


def test_tie_between_the_kinds_is_a_negative_click():
    target = empty((12, 24))
    target[3:8, 2:7] = True
    prediction = empty((12, 24))
    prediction[3:8, 14:19] = True
    assert next_click(prediction, target) == (5, 16, 0)


def test_deeper_region_wins_over_larger_area():
    target = empty((40, 40))
    target[2:9, 2:9] = True  # deep
    prediction = empty((40, 40))
    prediction[20:23, :] = True  # larger, but thin
    assert next_click(prediction, target)[2] == 1


def test_clicked_pixels_are_not_clicked_again():
    target = empty((9, 9))
    target[3:6, 3:6] = True
    clicked: list[tuple[int, int]] = []
    for _ in range(9):
        row, column, label = next_click(empty((9, 9)), target, clicked=clicked)
        assert label == 1
        assert (row, column) not in clicked
        clicked.append((row, column))
    assert next_click(empty((9, 9)), target, clicked=clicked) is None


def test_nothing_left_to_click():
    target = np.array([[0, 1, 255]], np.uint8)
    assert next_click(target == 1, target) is None
    assert next_click(np.array([[False, True, True]]), target) is None


def test_ignored_pixels_attract_no_click():
    target = empty((10, 30))
    target[:, :10] = True
    ignore = empty((10, 30))
    ignore[:, 12:] = True
    prediction = empty((10, 30))
    prediction[:, 11:] = True
    assert next_click(prediction, target, ignore)[2] == 1
    target[:, 1:] = False
    assert next_click(prediction, target, ignore) == (0, 11, 0)


def test_boxed_transform_equals_the_whole_one():
    rng = np.random.default_rng(0)
    for _ in range(40):
        size = tuple(rng.integers(1, 24, 2))
        prediction = rng.random(size) < rng.random()
        target = (rng.random(size) < rng.random()).astype(np.uint8)
        clicked = [tuple(int(v) for v in rng.integers(0, size)) for _ in range(3)]
        expected = plain_next_click(prediction, target, clicked)
        assert next_click(prediction, target, clicked=clicked) == expected


def test_evaluate_object_passes_all_clicks_and_the_state_on():
    target = np.zeros((20, 20), np.uint8)
    target[4:16, 4:16] = 1
    seen = []

    def predict(points, labels, state):
        seen.append((len(points), labels.tolist(), state))
        mask = empty((20, 20))
        mask[4:16, 4 : 4 + 3 * len(points)] = True
        return mask, len(points)

    ious = evaluate_object(predict, target, max_clicks=6)
    assert ious == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])
    # right after click 4, so only four calls; each with the state that the one before returned
    assert seen == [(n, [1] * n, n - 1 or None) for n in (1, 2, 3, 4)]


def test_evaluate_object_refuses_what_cannot_be_clicked():
    with pytest.raises(InputError, match="no object"):
        evaluate_object(lambda *_: None, np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="at least 1"):
        evaluate_object(lambda *_: None, np.ones((4, 4), np.uint8), max_clicks=0)
    with pytest.raises(InputError, match="target"):
        next_click(empty((2, 3)), empty((3, 2)))
