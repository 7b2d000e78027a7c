"""Where a drawn box is clicked: on the colours of the object, in the middle while they say nothing."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_ois.segmentation.box_guess import place_in_box
from napari_ois.segmentation.large_scene import make_scene
from napari_ois.segmentation.scene import Scene

BOX = (40, 60, 100, 160)


def scene_of(image: object) -> Scene:
    return make_scene(image, None, None, input_size=64, multiple=32)


def ring(shape: tuple[int, int] = (200, 300)) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    out = ((rows - 69.5) / 30) ** 2 + ((columns - 109.5) / 50) ** 2
    return (out <= 1) & (out > 0.3)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_in_a_ring_it_lies_on_the_ring(channels) -> None:
    mask = ring()
    noise = np.random.default_rng(0).normal(0, 8, (*mask.shape, *channels))
    image = np.where(mask.reshape(mask.shape + (1,) * len(channels)), 180, 60) + noise
    row, column = place_in_box(scene_of(image.clip(0, 255).astype(np.uint8)), BOX)
    assert mask[int(row), int(column)] and (row, column) == (int(row), int(column))


@pytest.mark.parametrize("image", [np.full((200, 300), 7, np.uint8), np.random.default_rng(0).random((200, 300))])
def test_in_the_middle_where_colours_say_nothing(image) -> None:
    row, column = place_in_box(scene_of(image), BOX)
    assert abs(row - 69.5) <= 6 and abs(column - 109.5) <= 10


@pytest.mark.parametrize(
    "box", [(0, 0, 30, 40), (180, 270, 200, 300), (-20, -30, 40, 50), (0, 0, 200, 300), (9, 9, 10, 11)]
)
def test_it_lies_in_the_box_and_on_the_image(box) -> None:
    image = np.random.default_rng(1).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    row, column = place_in_box(scene_of(image), box)
    assert max(box[0], 0) <= row < min(box[2], 200) and max(box[1], 0) <= column < min(box[3], 300)


def test_of_a_large_image_only_what_is_around_the_box_is_read() -> None:
    mask = np.zeros((6000, 6000), np.uint8)
    mask[3000:3200, 3000:3300] = 200 * ring()
    read = []

    def block(part: np.ndarray) -> np.ndarray:
        read.append(part.size)
        return part

    scene = scene_of([da.from_array(mask, chunks=500).map_blocks(block, dtype=np.uint8), da.from_array(mask[::4, ::4])])
    read.clear()
    row, column = place_in_box(scene, (3040, 3060, 3100, 3160))
    assert mask[int(row), int(column)] and sum(read) <= 4 * 500 * 500
