"""A signature knows an image again by its pixels, and reads no more than a bounded sample."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.annotation import ImageSignature
from napari_ois.errors import InputError


def test_the_same_pixels_are_the_same_image_wherever_they_lie() -> None:
    image = np.arange(600, dtype=np.uint16).reshape(20, 30)
    one = ImageSignature.of(image, "here.tif")
    assert one.same_image(ImageSignature.of(image.astype(">u2"), "there.tif"))
    assert one.key == ImageSignature.of(image).key
    other = image.copy()
    other[7, 7] += 1
    for different in (other, image.astype(np.int32), image.reshape(30, 20)):
        assert not one.same_image(ImageSignature.of(different))
    assert ImageSignature.from_record(one.to_record()) == one
    with pytest.raises(InputError, match="shape, dtype and sha256"):
        ImageSignature.from_record({"shape": [1]})


class Counting:
    """An array that counts the values that are read of it."""

    def __init__(self, array) -> None:
        self.array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, 0

    def __getitem__(self, index):
        part = self.array[index]
        self.read += part.size
        return part


def test_a_large_stack_is_sampled_all_over() -> None:
    stack = np.zeros((40, 400, 500), np.uint8)
    image = Counting(stack)
    empty = ImageSignature.of(image)
    assert 0 < image.read <= 32 * 64 * 64 * 4
    for part in (np.s_[:20], np.s_[20:], np.s_[:, :200], np.s_[:, :, 250:]):
        other = stack.copy()
        other[part] = 1
        assert not empty.same_image(ImageSignature.of(other))
