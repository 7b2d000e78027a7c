"""Planes are embedded one after the other; whoever waits interrupts one, which is then begun again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_ois.errors import Interrupted
from napari_ois.segmentation.lazy_plane import LazyPlane
from napari_ois.segmentation.precompute import plane_readers, precompute
from napari_ois.segmentation.predictor import Predictor

STACK = np.random.default_rng(0).integers(0, 255, (2, 3, 40, 50), dtype=np.uint8)


@pytest.fixture
def predictor(tiny_network: Any) -> Predictor:
    return Predictor.from_network(tiny_network(), input_size=64, multiple=32, device="cpu")


def test_an_embedding_gives_way_between_two_layers(predictor) -> None:
    asked: list[int] = []

    def waiting() -> bool:
        asked.append(1)
        return len(asked) > 5

    with pytest.raises(Interrupted), predictor.yielding(waiting):
        predictor.set_image(STACK[0, 0])
    assert len(asked) == 6  # more often than encoder and decoder alone would ask
    predictor.set_image(STACK[0, 0])  # nobody is asked any more
    assert len(asked) == 6 and predictor.has_image


def test_an_interrupted_plane_is_begun_again(predictor) -> None:
    somebody = iter([False, True])
    steps = precompute(predictor, plane_readers(STACK), lambda: next(somebody, False))
    assert list(steps) == [0, 1, 2, 3, 4, 5, 6]


def test_planes_are_read_one_by_one_and_colour_is_none() -> None:
    readers = plane_readers(STACK)
    assert len(readers) == 6
    np.testing.assert_array_equal(readers[4](), STACK[1, 1])
    assert [reader().shape for reader in plane_readers(np.zeros((5, 7, 3)))] == [(5, 7, 3)]
    assert [reader().shape for reader in plane_readers(np.zeros((2, 5, 7, 3)))] == [(5, 7, 3)] * 2
    large = plane_readers(np.broadcast_to(np.uint8(1), (2, 5_000, 5_000)))
    assert isinstance(large[1](), LazyPlane)
