"""A drawing gives few clicks, the same each time, inside the image, the most telling one first."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.annotation import box_clicks, mask_clicks, scribble_clicks
from napari_ois.annotation.gestures import deepest_point
from napari_ois.errors import InputError


def test_a_scribble_is_cut_by_length_from_the_middle_outwards() -> None:
    # Corners crowd at one end; only length counts.
    path = [(10, 0), (10, 1), (10, 2), (10, 80)]
    clicks = scribble_clicks(path, (100, 100), spacing=20)
    assert clicks.points.tolist() == [[10, 30], [10, 50], [10, 10], [10, 70]]
    assert clicks.labels.tolist() == [1, 1, 1, 1]
    assert len(scribble_clicks(path, (100, 100), spacing=1)) == 8
    assert scribble_clicks(path, (100, 100), spacing=1, limit=1).points.tolist() == [[10, 40]]
    assert not scribble_clicks(path, (100, 100), positive=False).has_positive


def test_a_scribble_stays_in_the_image_and_says_nothing_twice() -> None:
    assert scribble_clicks([(5, 5)], (10, 10)).points.tolist() == [[5, 5]]
    clicks = scribble_clicks([(-20, 5), (5, 5)], (10, 10), spacing=2)
    assert clicks.points.min() >= 0
    places = [(round(c.row), round(c.column)) for c in clicks]
    assert len(set(places)) == len(places) < 8


def test_a_box_gives_its_middle_and_what_is_around_it() -> None:
    clicks = box_clicks([(20, 30), (40, 80)], (100, 200))
    assert clicks.points[:5].tolist() == [[30, 55], [17, 55], [30, 83], [43, 55], [30, 27]]
    assert clicks.labels.tolist() == [1] + [0] * 8
    assert clicks == box_clicks([(40, 30), (40, 80), (20, 80), (20, 30)], (100, 200))
    assert len(box_clicks([(20, 30), (40, 80)], (100, 200), corners=False)) == 5


def test_a_box_at_the_border_has_no_click_outside_of_the_image() -> None:
    clicks = box_clicks([(0, 0), (10, 10)], (100, 200))
    assert clicks.points.tolist() == [[5, 5], [5, 12], [12, 5], [12, 12]]


def test_a_mask_gives_clicks_deep_inside(disk) -> None:
    mask = disk(10, 8, 6) | disk(15, 22, 4)
    clicks = mask_clicks(mask, positives=2, negatives=True)
    assert clicks.points[:2].tolist() == [[10, 8], [15, 22]]
    assert clicks.negatives > 0
    assert not any(mask[round(c.row), round(c.column)] for c in clicks if not c.positive)
    assert all(0 <= c.row < 24 and 0 <= c.column < 30 for c in clicks)


def test_the_deepest_point_is_on_the_mask_even_of_a_large_or_thin_one() -> None:
    assert deepest_point(np.ones((5, 9), bool)) == (2, 2)  # the image's border is an edge
    large = np.zeros((1500, 1500), bool)
    large[100:1300, 200:1400] = True
    row, column = deepest_point(large)
    assert abs(row - 700) < 4
    assert abs(column - 800) < 4
    thread = np.zeros((1500, 1500), bool)
    thread[1, :] = thread[1499, 3] = True
    row, column = deepest_point(thread)
    assert thread[int(row), int(column)]


@pytest.mark.parametrize(
    ("say", "make"),
    [
        ("scribble", lambda: scribble_clicks([], (10, 10))),
        ("scribble", lambda: scribble_clicks([(1, np.nan)], (10, 10))),
        ("positive numbers", lambda: scribble_clicks([(1, 1)], (10, 10), spacing=0)),
        ("no extent", lambda: box_clicks([(1, 1), (1, 5)], (10, 10))),
        ("outside of the image", lambda: box_clicks([(20, 20), (30, 30)], (10, 10))),
        ("empty mask", lambda: mask_clicks(np.zeros((5, 5)))),
    ],
)
def test_what_gives_no_clicks_is_refused(say, make) -> None:
    with pytest.raises(InputError, match=say):
        make()
