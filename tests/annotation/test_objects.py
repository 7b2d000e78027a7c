"""Rule "keep": a new object takes free pixels only, under an id that nobody has."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.annotation import new_object
from napari_ois.errors import InputError


def test_a_new_object_takes_only_free_pixels() -> None:
    labels = np.zeros((4, 5), np.uint16)
    labels[0, :3] = 7
    mask = np.zeros((4, 5), bool)
    mask[:2, :4] = True
    found = new_object(labels, mask)
    before = labels.copy()
    labels[found.indices] = found.label
    assert found.label == 8
    assert (found.size, found.kept) == (5, 3)
    np.testing.assert_array_equal(labels[before != 0], before[before != 0])
    assert (labels == 8).sum() == 5


def test_an_id_in_use_on_another_plane_is_not_used_again() -> None:
    mask = np.ones((2, 2), bool)
    assert new_object(np.zeros((2, 2), np.int32), mask, highest=41).label == 42


@pytest.mark.parametrize(
    ("labels", "mask", "says"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 2), bool), "no object"),
        (np.ones((2, 2), int), np.ones((2, 2), bool), "nothing was written"),
        (np.zeros((2, 2), int), np.ones((2, 3), bool), "shape"),
        (np.zeros((2, 2), float), np.ones((2, 2), bool), "integers"),
    ],
)
def test_what_cannot_be_accepted_is_refused_in_a_sentence(labels, mask, says) -> None:
    with pytest.raises(InputError, match=says):
        new_object(labels, mask)


def test_a_full_label_type_is_refused() -> None:
    labels = np.zeros((2, 2), np.uint8)
    labels[0, 0] = 255
    with pytest.raises(InputError, match="wider type"):
        new_object(labels, np.ones((2, 2), bool))
