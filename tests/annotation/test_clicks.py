"""Clicks are values: every change gives a new list, and arrays give them back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.annotation import Click, Clicks
from napari_ois.errors import InputError


def test_changes_give_new_lists_in_click_order() -> None:
    one = Clicks().added(1, 2)
    three = one.added(3, 4, positive=False).added(5, 6)
    assert len(one) == 1
    assert [c.row for c in three] == [1, 3, 5]
    assert three.moved(1, 7, 8).items[1] == Click(7.0, 8.0, False)
    assert three.removed().labels.tolist() == [1, 0]
    assert three.removed(0).points.tolist() == [[3, 4], [5, 6]]


def test_arrays_give_the_same_clicks_back() -> None:
    clicks = Clicks().added(0.25, 2, positive=False).added(3, 4)
    assert Clicks.from_arrays(clicks.points, clicks.labels) == clicks
    assert Clicks.from_arrays(np.zeros((0, 2)), np.zeros(0)) == Clicks()
    assert Clicks().points.shape == (0, 2)
    assert Clicks().labels.dtype == np.int64


def test_says_what_is_positive_negative_and_shared() -> None:
    negative = Clicks().added(1, 1, positive=False)
    both = negative.added(2, 2)
    assert not negative.has_positive
    assert both.has_positive
    assert both.negatives == 1
    assert both.shared(negative) == 1
    assert both.shared(both.moved(0, 9, 9)) == 0


@pytest.mark.parametrize("index", [0, -1, 3])
def test_a_click_that_is_not_there_is_named(index: int) -> None:
    with pytest.raises(InputError, match="no click"):
        Clicks().removed(index)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(InputError, match="do not belong together"):
        Clicks.from_arrays([[1, 2], [3, 4]], [1])


def test_csv_holds_one_line_a_click(tmp_path) -> None:
    path = tmp_path / "clicks.csv"
    Clicks().added(1.5, 2).added(3, 4, positive=False).write_csv(path)
    assert path.read_text().split() == ["row,column,label", "1.5,2.0,1", "3.0,4.0,0"]
