"""Slices are answered whichever axis their channels lie on, and refused where an answer is not of the whole slice."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_ois.annotation import Clicks, StackObject
from napari_ois.annotation.stack_answers import SliceAnswers
from napari_ois.errors import InputError
from napari_ois.segmentation import lazy_plane


class Bright:
    """What is bright in the first channel is the object."""

    images = 0

    def set_image(self, image, channel_axis=None):
        self.image = image if channel_axis is None else np.moveaxis(image, channel_axis, 0)[0]
        self.images += 1

    def predict(self, points, labels, previous=None):
        mask = self.image > 100
        return SimpleNamespace(mask=mask, probability=mask.astype(np.float32), score=0.9, state=None)

    def state_from_mask(self, mask):
        return None


@pytest.mark.parametrize("axis", [0, 1, 2, -3])
def test_channels_may_lie_on_any_axis(disk, axis) -> None:
    first = np.where(disk(10, 15, 6), 200, 20)
    pixels = np.moveaxis(np.stack([first, first // 2]), 0, axis)
    answers = SliceAnswers(Bright(), lambda z: pixels, channel_axis=axis)
    assert answers(0, Clicks(), None).mask.shape == (24, 30)
    np.testing.assert_allclose(answers.see(0, disk(10, 15, 6)).difference, [180, 90])
    found = StackObject(0, 3)
    found.set_key(1, disk(10, 15, 6))
    list(found.run(answers, answers.see))
    assert [int(one.mask.sum()) for one in found.slices] == [int(disk(10, 15, 6).sum())] * 4


def test_planes_that_are_worked_on_in_regions_are_refused_before_they_are_embedded(monkeypatch) -> None:
    monkeypatch.setattr(lazy_plane, "LARGE", 24 * 30 - 1)
    predictor = Bright()
    answers = SliceAnswers(predictor, lambda z: np.zeros((24, 30)))
    for _ in range(2):
        with pytest.raises(InputError, match="crop the stack"):
            answers(0, Clicks().added(5, 5), None)
    assert predictor.images == 0
