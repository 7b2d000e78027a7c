"""The table has one row a label: areas that are to be seen, in the image's units."""

from __future__ import annotations

import math

import numpy as np

from napari_ois.annotation import ArrayCanvas, Clicks, Document, PlaneKey, features
from napari_ois.annotation.features import to_csv


def test_areas_are_those_to_be_seen_and_planes_of_one_label_are_one_row(disk) -> None:
    labels = np.zeros((2, 24, 30), np.int32)
    document = Document(ArrayCanvas(labels))
    first, second = PlaneKey((1, 2), (0, 0, 0)), PlaneKey((1, 2), (1, 0, 0))
    one = document.start(first, name="cell", clicks=Clicks().added(1, 1).added(2, 2)).number
    document.accept(one, disk(8, 8, 5), score=0.9)
    two = document.start(second, label=1, clicks=Clicks().added(1, 1)).number
    document.accept(two, disk(8, 8, 4), score=0.7)
    document.accept(document.start(first, name="b, c").number, disk(8, 12, 5), rule="overwrite")
    document.start(first)
    table = features(document.objects, pixel_size=(3, 0.5, 0.25), unit="µm")
    assert table["index"] == [1, 2]
    assert table["name"] == ["cell", "b, c"]
    assert table["area_px"] == [int((labels == 1).sum()), int((labels == 2).sum())]
    assert table["area"] == [pixels * 0.125 for pixels in table["area_px"]]
    assert table["unit"] == ["µm²", "µm²"]
    assert table["score"][0] == 0.7
    assert math.isnan(table["score"][1])
    assert table["clicks"] == [3, 0]
    assert table["slice"] == ["[0, :, :] [1, :, :]", "[0, :, :]"]
    lines = to_csv(table).splitlines()
    assert lines[0] == "index,name,area_px,area,unit,score,clicks,slice,color"
    assert lines[2].startswith('2,"b, c",')
    assert features(document.objects, "other")["index"] == []
