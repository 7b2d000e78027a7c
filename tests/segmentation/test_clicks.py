"""Clicks are checked, and the message names the one that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.segmentation.clicks import check_clicks


def test_borders_are_inside():
    points, labels = check_clicks([(-0.5, 0), (9.5, 19.5)], [True, False], (10, 20))
    assert points.dtype == np.float32 and labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("points", "labels", "words"),
    [
        ([], [], "no click"),
        ([(1, 2, 3)], [1], "must be"),
        ([1, 2], [1], "must be"),
        ([(1, 2)], [1, 0], "need shape"),
        (
            [(1, 2), (10, 3)],
            [1, 1],
            "Click 2 at row 10, column 3 lies outside the image of 10 rows and 20",
        ),
        ([(np.nan, 2)], [1], "Click 1"),
        ([(-1, 2)], [1], "Click 1"),
        ([(1, 2)], [2], "label 2"),
        ([(1, 2)], [0], "add a positive click"),
        ([("a", 2)], [1], "no number"),
    ],
)
def test_wrong_clicks(points, labels, words):
    with pytest.raises(InputError, match=words):
        check_clicks(points, labels, (10, 20))
