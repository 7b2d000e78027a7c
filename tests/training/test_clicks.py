"""Training clicks fall where RITM's laws say."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2", reason="training needs the extra 'train'")

from napari_ois.training.clicks import (
    MAX_CLICKS,
    distance_inside,
    first_click,
    initial_clicks,
    next_click,
    stack_clicks,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def disk(row, column, radius, side=64):
    rows, columns = np.indices((side, side))
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def test_the_images_border_is_an_objects_border():
    whole = distance_inside(np.ones((9, 9), bool))
    assert np.unravel_index(whole.argmax(), whole.shape) == (4, 4)
    assert whole[0, 0] == pytest.approx(1, abs=0.1)
    assert not distance_inside(np.zeros((9, 9), bool)).any()


def test_first_clicks_fall_inside_and_mostly_deep(rng):
    truth = disk(32, 32, 20)
    distance = distance_inside(truth)
    depths = []
    for _ in range(200):
        row, column, label = first_click(rng, truth)
        assert label == 1
        depths.append(distance[int(row), int(column)] / distance.max())
    assert min(depths) >= 0.15
    assert 0.25 < np.mean(np.array(depths) > 0.99) < 0.6
    assert np.mean(np.array(depths) >= 0.5) > 0.7


def test_negative_clicks_keep_to_what_the_image_shows(rng):
    truth = disk(20, 20, 12)
    valid = np.zeros(truth.shape, bool)
    valid[:44, :44] = True
    for others in (None, np.zeros_like(truth), disk(50, 50, 8)):  # none, none here, one in the padding alone
        clicks = [c for _ in range(50) for c in initial_clicks(rng, truth, others, valid)]
        assert all(valid[r, c] for r, c, _ in clicks)
        assert sum(label == 0 for *_, label in clicks) > 50


def test_an_empty_object_gets_no_first_click(rng):
    assert first_click(rng, np.zeros((16, 16), bool)) is None


def test_initial_clicks_follow_their_laws(rng):
    truth, others = disk(20, 20, 12), disk(50, 50, 8)
    eroded = distance_inside(truth) > 3
    counts = []
    inner, negatives = 0, []
    for _ in range(300):
        clicks = initial_clicks(rng, truth, others)
        positive = [c for c in clicks if c[2] == 1]
        negative = [c for c in clicks if c[2] == 0]
        assert 1 <= len(positive) <= MAX_CLICKS
        assert len(negative) <= MAX_CLICKS
        assert all(truth[r, c] for r, c, _ in positive)
        assert not any(truth[r, c] for r, c, _ in negative)
        inner += all(eroded[r, c] for r, c, _ in positive)
        counts.append((len(positive), len(negative)))
        negatives += negative
    positives, none = np.mean([c[0] for c in counts]), np.mean([c[1] == 0 for c in counts])
    assert 3.8 < positives < 6  # 1 + 0.8 / 0.2, a little less for the cut at 24
    assert 0.12 < none < 0.28  # about 20 % without a negative click
    assert inner / 300 > 0.85
    assert 0.3 < np.mean([others[r, c] for r, c, _ in negatives]) < 0.55


def test_initial_clicks_of_an_empty_object_are_negative(rng):
    clicks = [c for _ in range(20) for c in initial_clicks(rng, np.zeros((32, 32), bool))]
    assert clicks
    assert {label for _, _, label in clicks} == {0}


def test_corrections_fall_in_the_larger_error(rng):
    truth = disk(32, 20, 12)
    spilled = disk(32, 52, 6)
    for _ in range(20):
        row, column, label = next_click(rng, np.where(spilled, 0.9, 0.1), truth)
        assert label == 1
        assert distance_inside(truth)[int(row), int(column)] > 0.5 * distance_inside(truth).max()
        row, column, label = next_click(rng, np.where(spilled | truth, 0.9, 0.1), truth)
        assert label == 0
        assert spilled[int(row), int(column)]


def test_a_tie_is_negative(rng):
    truth, spilled = disk(20, 20, 6), disk(44, 44, 6)
    assert next_click(rng, spilled.astype(float), truth)[2] == 0


def test_the_robots_click_is_the_middle(rng):
    truth = disk(32, 24, 10)
    assert next_click(rng, np.zeros((64, 64)), truth, at_maximum=1.0) == (32, 24, 1)


def test_nothing_wrong_gives_no_click(rng):
    truth = disk(32, 32, 9)
    assert next_click(rng, truth.astype(float), truth) is None
    assert next_click(rng, np.full((64, 64), 0.49), truth) is None  # at the threshold: neither


def test_what_is_not_valid_is_not_wrong(rng):
    truth = disk(32, 32, 9)
    assert next_click(rng, np.zeros((64, 64)), truth, ~truth) is None


def test_stacked_clicks_are_padded():
    points, labels = stack_clicks([[(1, 2, 1), (3, 4, 0)], [], [(5, 6, 1)]])
    assert (points.shape, points.dtype, labels.dtype) == ((3, 2, 2), np.float32, np.int64)
    assert labels.tolist() == [[1, 0], [-1, -1], [1, -1]]
    assert points[0].tolist() == [[1, 2], [3, 4]]
    assert stack_clicks([[]])[1].tolist() == [[-1]]
