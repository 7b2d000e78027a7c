"""A disk that moves through a stack is followed from the slices that the user settled, and no slice is done twice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from napari_ois.annotation import StackObject, propagate
from napari_ois.annotation.contrast import contrast
from napari_ois.annotation.propagation import Rules
from napari_ois.errors import InputError

SLICES = 21


@pytest.fixture
def stack(disk):
    """(21, 40, 60) bool: a disk of radius 6 that drifts to the right, with a bystander from slice 8 on."""
    masks = np.stack([disk(20, 10 + 1.5 * z, 6, (40, 60)) for z in range(SLICES)])
    for z in range(8, SLICES):
        masks[z] |= disk(5, 50, 3, (40, 60))
    return masks


class Threshold:
    """Answers with the connected part that the first click is on; sure unless told otherwise."""

    def __init__(self, stack, scores=None) -> None:
        self.stack, self.scores, self.asked = stack, scores or {}, []

    def __call__(self, index, clicks, before):
        self.asked.append(index)
        parts, _ = label(self.stack[index])
        row, column = clicks.points[0].round().astype(int)
        part = parts[row, column]
        return (parts == part) & (part > 0), self.scores.get(index, 0.95)


def _truth(stack, index):
    parts, _ = label(stack[index])
    return parts == parts[20, round(10 + 1.5 * index)]


def test_one_slice_is_carried_to_both_ends(stack) -> None:
    predict = Threshold(stack)
    found = StackObject(0, SLICES - 1)
    found.set_key(10, _truth(stack, 10))
    given = [one.index for one in found.run(predict)]
    assert given[:4] == [9, 11, 8, 12]
    assert sorted(given) == [z for z in range(SLICES) if z != 10]
    for one in found.slices:
        np.testing.assert_array_equal(one.mask, _truth(stack, one.index))
    assert found.pending() == ()


def test_it_may_be_closed_and_goes_on_later(stack) -> None:
    predict = Threshold(stack)
    found = StackObject(0, SLICES - 1)
    found.set_key(0, _truth(stack, 0))
    run = found.run(predict)
    for _ in range(5):
        next(run)
    run.close()
    assert found.pending()[0] == 6
    assert len(list(found.run(predict))) == SLICES - 6
    assert predict.asked == list(range(1, SLICES))


def test_between_two_keys_both_sides_go_to_the_middle(stack) -> None:
    found = StackObject(0, SLICES - 1)
    found.set_key(4, _truth(stack, 4))
    found.set_key(11, _truth(stack, 11))
    order = [one.index for one in found.run(Threshold(stack))]
    assert order[:6] == [5, 10, 6, 9, 7, 8]
    assert [found[z].key for z in range(5, 11)] == [4, 4, 4, 11, 11, 11]
    assert order[6:10] == [3, 12, 2, 13]


def test_a_correction_fills_only_what_it_affects(stack) -> None:
    predict = Threshold(stack)
    found = StackObject(0, SLICES - 1)
    found.set_key(0, _truth(stack, 0))
    found.set_key(20, _truth(stack, 20))
    list(found.run(predict))
    kept = {z: found[z].mask for z in range(SLICES)}
    predict.asked.clear()
    found.set_key(8, _truth(stack, 8))
    assert sorted(found.pending()) == [5, 6, 7, 9, 10, 11, 12, 13, 14]
    list(found.run(predict))
    assert sorted(predict.asked) == [5, 6, 7, 9, 10, 11, 12, 13, 14]
    assert all(found[z].mask is kept[z] for z in (1, 2, 3, 4, 15, 16, 17, 18, 19))
    found.drop_key(8)
    assert set(found.pending()) == {5, 6, 7, 8, 9, 10, 11, 12, 13, 14}


def test_doubt_is_flagged_and_sorted(stack) -> None:
    predict = Threshold(stack, scores={3: 0.7, 6: 0.6})
    stack[9] &= np.arange(60) < 24  # half of the disk is missing there
    found = StackObject(0, 9)
    found.set_key(0, _truth(stack, 0))
    list(found.run(predict))
    review = found.review()
    assert [one.index for one in review] == [6, 9, 3]
    assert "area changes" in review[1].flagged
    assert "score is 0.60" in review[0].flagged
    assert review[0].doubt > review[1].doubt > review[2].doubt > found[1].doubt
    found.set_key(6, _truth(stack, 6))
    assert 6 not in [one.index for one in found.review()]


def test_a_mask_that_has_lost_its_contrast_ends_the_object(stack, disk) -> None:
    light = np.where(stack, 100.0, 20.0)
    light[6:] = 20.0  # the object is gone, but the predictor keeps its mask
    found = StackObject(0, 12)
    found.set_key(2, _truth(stack, 2))
    keeps = [found_.index for found_ in found.run(Threshold(stack), lambda z, mask: contrast(light[z], mask))]
    assert sorted(keeps) == [0, 1, 3, 4, 5, 6]
    assert found[6].stops and not found[6].mask.any() and "0% of the object's contrast" in found[6].flagged
    assert found[5].flagged == "" and found.review()[0].index == 6


def test_a_slice_without_contrast_is_filled_when_a_slice_beyond_is_settled(stack) -> None:
    light = np.where(stack, 100.0, 20.0)
    light[13] = 20.0  # faint there alone
    predict, found = Threshold(stack), StackObject(0, SLICES - 1)
    found.set_key(10, _truth(stack, 10))
    list(found.run(predict, lambda z, mask: contrast(light[z], mask)))
    assert found[13].faded and not found[13].mask.any() and 14 not in found
    found.set_key(20, _truth(stack, 20))
    list(found.run(predict, lambda z, mask: contrast(light[z], mask)))
    for z in range(10, SLICES):
        np.testing.assert_array_equal(found[z].mask, _truth(stack, z))
    assert not found[13].stops and "0% of the object's contrast" in found[13].flagged


def test_an_outline_that_is_not_sure_is_flagged(stack) -> None:
    predict, found = Threshold(stack), StackObject(0, 4)
    found.set_key(0, _truth(stack, 0))
    list(found.run(lambda z, clicks, before: (*predict(z, clicks, before), 0.3 if z == 2 else 0.02)))
    (review,) = found.review()
    assert (review.index, review.flagged) == (2, "its outline is not sure")
    assert 0.5 < review.doubt < 1 and found[1].doubt < 0.5 and found[3].doubt < 0.5


def test_an_open_side_stops_where_the_object_ends_but_not_between_keys(stack) -> None:
    stack[6:9] = False
    predict = Threshold(stack)
    found = StackObject(0, SLICES - 1)
    found.set_key(2, _truth(stack, 2))
    list(found.run(predict))
    assert [one.index for one in found.slices] == list(range(7))
    assert found[6].flagged == "nothing was found"
    assert found[6].stops
    found.set_key(12, _truth(stack, 12))
    list(found.run(predict))
    assert len(found.slices) == SLICES
    assert [z for z in range(SLICES) if not found[z].mask.any()] == [6, 7, 8]
    found.drop_key(12)
    assert [one.index for one in found.slices] == list(range(7))


def test_low_scores_stop_an_open_side(stack) -> None:
    rules = Rules(stop_score=0.5)
    given = list(propagate(Threshold(stack, scores={7: 0.3}), 10, 0, _truth(stack, 10), rules=rules))
    assert [one.index for one in given] == [9, 8, 7]


def test_sides_that_do_not_meet_are_flagged(stack, disk) -> None:
    found = StackObject(8, 13)
    found.set_key(8, _truth(stack, 8))
    found.set_key(13, disk(5, 50, 3, (40, 60)))
    list(found.run(Threshold(stack)))
    assert [one.index for one in found.review() if "do not meet" in one.flagged] == [11]


def test_the_end_can_be_said(stack) -> None:
    found = StackObject(0, SLICES - 1)
    found.set_key(3, _truth(stack, 3))
    list(found.run(Threshold(stack)))
    found.end_at(last=5)
    assert found.slices[-1].index == 5
    assert found.pending() == ()


@pytest.mark.parametrize(
    ("say", "do"),
    [
        ("No slice is settled", lambda s: list(s.run(lambda *_: None))),
        ("outside of the stack", lambda s: s.set_key(9, np.ones((2, 2)))),
        ("mask with pixels", lambda s: s.set_key(1, np.zeros((2, 2)))),
        ("no slice from", lambda s: StackObject(3, 2)),
    ],
)
def test_what_cannot_be_done_is_refused(say, do) -> None:
    with pytest.raises(InputError, match=say):
        do(StackObject(0, 4))
