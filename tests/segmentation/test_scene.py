"""An image's views: made when looked at, a bounded number kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ois.errors import InputError
from napari_ois.segmentation.scene import KEPT_CLOSE_UPS, Scene
from napari_ois.segmentation.view import View


@pytest.mark.parametrize("shape", [(480, 640, 3), (37, 1, 3), (1, 37, 3), (300, 9)])
def test_the_whole_image_fills_the_input(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    look = Scene(image, None, None, input_size=128, multiple=32).whole
    assert look.image.shape == (1, 3, *look.geometry.input_shape) and look.image.dtype == torch.float32
    assert look.image.min() >= 0 and look.image.max() <= 1
    assert max(look.geometry.input_shape) == 128
    assert look.depth is None


def test_a_close_up_shows_its_part_of_image_and_depth():
    image = np.zeros((200, 400), np.float32)
    image[100:132, 300:332] = 1.0
    scene = Scene(image, None, image * 5, input_size=64, multiple=32)
    look = scene.look(View(100, 300, 132, 332))
    assert look.geometry.image_shape == (32, 32) and look.geometry.input_shape == (64, 64)
    assert (look.image == 1).all() and (look.depth == 1).all()
    assert scene.whole.image.mean() < 0.1


def test_a_view_is_made_once_and_the_oldest_goes():
    scene = Scene(np.eye(200), None, None, input_size=32, multiple=32)
    views = [View(n, n, n + 40, n + 40) for n in range(KEPT_CLOSE_UPS + 1)]
    first = scene.look(views[0])
    assert scene.look(views[0]) is first
    for view in views[1:]:
        scene.look(view)
    assert scene.look(views[-1]) is scene.look(views[-1])
    assert scene.look(views[0]) is not first
    assert scene.look(View.whole((200, 200))) is scene.whole


def test_embeddings_are_made_once_and_forgotten_when_asked():
    scene = Scene(np.eye(64), None, None, input_size=32, multiple=32)
    calls = []

    def embed(image, depth):
        calls.append(image)
        return len(calls)

    cpu = torch.device("cpu")
    assert [scene.whole.embedded(embed, cpu) for _ in range(3)] == [1, 1, 1]
    scene.forget()
    assert scene.whole.embedded(embed, cpu) == 2


def test_what_is_no_image_makes_no_scene():
    with pytest.raises(InputError, match="empty"):
        Scene(np.zeros((0, 5)), None, None, input_size=32, multiple=32)
