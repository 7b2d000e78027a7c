"""The order control must tell a model that uses order from one that does not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from napari_ois.training.order_control import format_control, held_out_scenes, order_control


class ByDepth:
    """Takes everything that lies at the depth of the first click; without depth, a disk around it."""

    def __init__(self, *, blind: bool) -> None:
        self.blind = blind

    def set_image(self, image, depth=None):
        self.shape = image.shape[:2]
        self.depth = depth

    def predict(self, points, labels, previous=None):
        row, column = (int(v) for v in points[0])
        rows, columns = np.ogrid[: self.shape[0], : self.shape[1]]
        disk = (rows - row) ** 2 + (columns - column) ** 2 < 100
        if self.blind or self.depth is None or np.ptp(self.depth) == 0:
            return SimpleNamespace(mask=disk, state=None)
        return SimpleNamespace(mask=np.abs(self.depth - self.depth[row, column]) < 0.02, state=None)


def test_a_model_that_uses_depth_gains_and_one_that_does_not_gains_nothing():
    seeing = order_control(ByDepth(blind=False), scenes=6, size=96)
    blind = order_control(ByDepth(blind=True), scenes=6, size=96)
    assert seeing.objects == blind.objects > 6
    assert seeing.gain > 0.1
    assert blind.gain == 0 and blind.interval == (0, 0)
    assert seeing.ious["constant"] == blind.ious["true"] == seeing.ious["estimated"]
    assert seeing.interval[0] <= seeing.gain <= seeing.interval[1]


def test_the_table_says_the_gain_and_the_number_of_objects():
    found = order_control(ByDepth(blind=True), scenes=2, size=96)
    table = format_control(found)
    assert f"{found.objects} objects" in table
    assert [line.split()[0] for line in table.splitlines()[1:4]] == ["true", "constant", "estimated"]


def test_held_out_scenes_are_the_same_every_time_and_hold_only_large_enough_objects():
    first, second = (list(held_out_scenes(3, size=96)) for _ in range(2))
    assert [s.name for s in first] == [s.name for s in second]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert all((o.target == 1).sum() >= 0.004 * 96 * 96 for o in one.objects)
