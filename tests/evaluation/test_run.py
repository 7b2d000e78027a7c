"""Of a large image an answer covers a region; it is measured at the image's size all the same."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_ois.evaluation import speed
from napari_ois.evaluation.run import evaluate, whole_mask
from napari_ois.evaluation.samples import EvalImage, EvalObject
from napari_ois.evaluation.sheet import replay
from napari_ois.network import build
from napari_ois.segmentation.frame import Frame, View
from napari_ois.segmentation.frame_files import write_whole_mask
from napari_ois.segmentation.predictor import Predictor


class InRegion:
    """Answers with the whole of a region, in cells of three pixels."""

    frame = Frame(View(5, 10, 35, 70), (10, 20))

    def set_image(self, image, depth=None):
        pass

    def predict(self, points, labels, previous=None):
        return SimpleNamespace(mask=np.ones(self.frame.shape, bool), state=SimpleNamespace(frame=self.frame))


def sample(shape, box):
    target = np.zeros(shape, np.uint8)
    target[box] = 1
    return EvalImage(Path("x.png"), "x.png", np.zeros(shape, np.uint8), [EvalObject("1", target, "a", "")], None)


@pytest.mark.parametrize("shape", [(10, 20), (30, 60)])
def test_a_mask_of_a_region_is_where_files_put_it(tmp_path, shape):
    mask = np.random.default_rng(0).random(shape) > 0.5
    frame = Frame(InRegion.frame.view, shape)
    prediction = SimpleNamespace(mask=mask, frame=frame, state=SimpleNamespace(frame=frame))
    write_whole_mask(tmp_path / "mask.tif", prediction, (40, 90))
    np.testing.assert_array_equal(whole_mask(prediction, (40, 90)), tifffile.imread(tmp_path / "mask.tif") > 0)
    ordinary = SimpleNamespace(mask=mask, state=SimpleNamespace(frame=None))
    assert whole_mask(ordinary, (40, 90)) is mask


def test_regions_are_measured_timed_and_shown_at_the_image_s_size():
    image = sample((40, 90), np.s_[5:35, 10:70])
    (result,) = evaluate(InRegion(), [image], max_clicks=3)
    assert result.ious == (1.0, 1.0, 1.0) and result.boundary == (1.0, 1.0)
    assert speed._click_loop(InRegion(), [image], 3, lambda: None)[0] == 1
    np.testing.assert_array_equal(replay(InRegion(), result.points, (40, 90)), image.objects[0].target == 1)


def test_a_large_image_is_measured_to_the_end(monkeypatch):
    monkeypatch.setattr("napari_ois.segmentation.lazy_plane.LARGE", 1000)
    predictor = Predictor.from_network(build("ois-compact"), input_size=64, multiple=32, device="cpu")
    (result,) = evaluate(predictor, [sample((32, 2200), np.s_[8:20, 1500:1540])], max_clicks=2)
    assert result.clicks == 2 and all(0 <= value <= 1 for value in (*result.ious, *result.boundary))
