"""What is unsure is a band around the threshold; the click suggested is in the middle of the largest part of it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.annotation import Clicks
from napari_ois.annotation.confidence import mask_score, suggest_click, unsure
from napari_ois.errors import InputError


@pytest.fixture
def probability() -> np.ndarray:
    """Sure everywhere but in a small square, a larger one and a line along the border."""
    values = np.full((40, 60), 0.02, np.float32)
    values[5:8, 5:8] = 0.5
    values[20:31, 30:41] = 0.4
    values[0, :] = 0.45
    values[10:16, 10:16] = 0.97
    return values


def test_the_band_lies_around_the_threshold(probability) -> None:
    assert unsure(probability).sum() == 9 + 121 + 60
    assert unsure(probability, band=0.05).sum() == 9 + 60
    assert unsure(probability, threshold=0.95, band=0.25).sum() == 9 + 36
    assert not unsure(np.float32([[0.99]]), threshold=0.9).any()  # nearly 1 is sure
    for band in (0.0, 0.5, -0.1, np.nan):
        with pytest.raises(InputError, match="band"):
            unsure(probability, band=band)


def test_the_middle_of_the_largest_part_is_suggested(probability) -> None:
    found = suggest_click(probability, Clicks())
    assert (found.row, found.column) == (25, 35)
    assert found.probability == pytest.approx(0.4)
    assert found.radius == 5


def test_it_is_suggested_by_the_threshold_in_use(probability) -> None:
    found = suggest_click(probability, Clicks(), threshold=0.96, band=0.2)
    assert 10 <= found.row < 16 and 10 <= found.column < 16


def test_nothing_is_suggested_on_top_of_a_click_or_where_all_is_sure(probability) -> None:
    clicks = Clicks().added(25, 35, False)
    found = suggest_click(probability, clicks)
    assert max(abs(found.row - 25), abs(found.column - 35)) > 3
    assert suggest_click(probability[12:15, 12:15], Clicks()) is None
    small = probability[4:9, 4:9]
    assert suggest_click(small, Clicks().added(2, 2)) is None


def test_the_image_s_border_is_an_edge() -> None:
    found = suggest_click(np.full((21, 41), 0.5, np.float32), Clicks())
    assert found.row == 10 and 10 <= found.column <= 30 and found.radius == 10


def test_the_score_is_the_mean_in_the_mask(probability) -> None:
    mask = probability > 0.9
    assert mask_score(probability, mask) == pytest.approx(0.97)
    assert mask_score(probability, mask & False) == 0.0
