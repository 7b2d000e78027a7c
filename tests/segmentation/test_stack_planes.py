"""A stack is checked without being read, and read plane by plane."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.errors import InputError
from napari_ois.segmentation.stack_planes import Interrupted, StackPlanes, Steps, grey, smooth

STACK = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_planes_follow_the_axis(axis):
    planes = StackPlanes.of(STACK, axis, spacing=(3, 2, 1))
    moved = np.moveaxis(STACK, axis, 0)
    assert len(planes) == len(moved) and planes.shape == moved.shape[1:]
    np.testing.assert_array_equal(planes.read(2), moved[2])
    rest = [(3.0, 2.0, 1.0)[a] for a in range(3) if a != axis % 3]
    assert planes.step == (3.0, 2.0, 1.0)[axis] and list(planes.pixel) == rest


@pytest.mark.parametrize(("axis", "channel_axis"), [(0, 1), (1, 0), (3, 1), (2, 3)])
def test_channels_come_last(axis, channel_axis):
    stack = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    planes = StackPlanes.of(stack, axis, channel_axis)
    expected = np.moveaxis(stack, (axis, channel_axis), (0, -1))[1]
    np.testing.assert_array_equal(planes.read(1), expected)
    assert planes.shape == expected.shape[:2]
    np.testing.assert_allclose(grey(planes.read(1)), expected.mean(axis=-1))


def test_colour_behind_is_seen_without_being_told():
    assert StackPlanes.of(np.zeros((4, 5, 6, 3), np.uint8)).channel_axis == 3


def test_smoothing_is_round_in_space():
    planes = StackPlanes.of(STACK, axis=1, spacing=(4, 1, 1))
    assert planes.sigma(2) == (0.5, 2.0)


def test_nan_spreads_nowhere():
    plane = np.ones((7, 7))
    plane[3, 3] = np.nan
    result = smooth(plane, (1.0, 1.0))
    assert np.isnan(result[3, 3])
    np.testing.assert_allclose(np.delete(result.ravel(), 24), 1)


def test_steps_count_and_stop():
    said, asked = [], iter([False, False, True])
    steps = Steps(5, lambda done, total: said.append((done, total)), lambda: next(asked))
    with pytest.raises(Interrupted):
        list(steps.over(range(5)))
    assert said == [(1, 5), (2, 5)]


@pytest.mark.parametrize(
    ("stack", "options", "words"),
    [
        (np.zeros((4, 5)), {}, "needs three axes"),
        (np.zeros((2, 4, 5, 6)), {}, "one time point"),
        (np.zeros((4, 5, 6)), {"channel_axis": 0}, "one of channels"),
        (STACK, {"axis": 3}, "axis=3 is out of range"),
        (np.zeros((4, 5, 6, 2)), {"channel_axis": 7}, "channel_axis=7"),
        (np.zeros((4, 5, 6, 3)), {"axis": 3}, "holds the channels"),
        (STACK.astype(complex), {}, "dtype"),
        (STACK[:1], {}, "no two planes"),
        (STACK, {"spacing": (1, 0, 1)}, "three positive numbers"),
        (STACK, {"spacing": (1, 1)}, "three positive numbers"),
    ],
)
def test_what_is_no_stack_is_refused(stack, options, words):
    with pytest.raises(InputError, match=words):
        StackPlanes.of(stack, **options)
