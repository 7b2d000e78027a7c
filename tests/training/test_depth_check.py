"""Order of made depth maps whose accuracy is known."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2", reason="training needs the extra 'train'")

from napari_ois.errors import InputError
from napari_ois.training.depth_check import depth_accuracy, format_accuracy, images_with_depth, ordinal_accuracy

TRUTH = np.tile(np.linspace(0, 5, 50, dtype=np.float32), (40, 1))


def test_known_answers():
    assert ordinal_accuracy(TRUTH**3 - 7, TRUTH) == 1.0  # order is all that counts
    assert ordinal_accuracy(-TRUTH, TRUTH) == 0.0
    assert ordinal_accuracy(np.ones_like(TRUTH), TRUTH) == 0.5
    noise = np.random.default_rng(1).random(TRUTH.shape)
    assert ordinal_accuracy(noise, TRUTH, pairs=20_000) == pytest.approx(0.5, abs=0.02)
    # right between the halves, wrong within each: pairs within a half are fewer than those across
    folded = np.where(TRUTH < 2.5, 2.5 - TRUTH, 10 - TRUTH)
    across = 0.5 / (0.5 + 0.5 * (1 - 0.2) ** 2)
    assert ordinal_accuracy(folded, TRUTH, pairs=40_000) == pytest.approx(across, abs=0.03)


def test_pairs_that_hardly_differ_are_left_out():
    estimate = TRUTH.copy()
    estimate[:, 1::2] = TRUTH[:, ::2] - 1e-3  # neighbours are the wrong way round, 0.02 of the range apart
    assert ordinal_accuracy(estimate, TRUTH) == 1.0
    assert ordinal_accuracy(estimate, TRUTH, margin=0.0) < 1.0


def test_unknown_pixels_never_count_and_seeds_repeat():
    truth, estimate = TRUTH.copy(), TRUTH.copy()
    truth[:, :25] = np.nan
    estimate[:, :25] = 99
    assert ordinal_accuracy(estimate, truth) == 1.0
    noise = np.random.default_rng(2).random(TRUTH.shape)
    assert ordinal_accuracy(noise, TRUTH, seed=3) == ordinal_accuracy(noise, TRUTH, seed=3)
    assert ordinal_accuracy(noise, TRUTH, seed=3) != ordinal_accuracy(noise, TRUTH, seed=4)


def test_without_two_depths_there_is_nothing_to_say():
    assert np.isnan(ordinal_accuracy(TRUTH, np.full_like(TRUTH, 3)))
    assert np.isnan(ordinal_accuracy(TRUTH, np.full_like(TRUTH, np.nan)))
    with pytest.raises(InputError, match="estimated depth is"):
        ordinal_accuracy(TRUTH[1:], TRUTH)


class Estimator:
    """Brighter is nearer."""

    def set_image(self, image):
        self.depth = image[..., 0].astype(np.float32)


@pytest.fixture
def collection(tmp_path):
    ramp = np.tile(np.linspace(10, 250, 60).astype(np.uint8), (40, 1))
    distance = np.tile(np.linspace(3000, 500, 60).astype(np.uint16), (40, 1))  # to the right is nearer
    distance[:5] = 0
    names = ["set", "domain", "image", "mask", "depth", "object_id", "width", "height"]
    rows = []
    for name, image, depth in (("a", ramp, distance), ("b", ramp[:, ::-1], distance), ("c", ramp, None)):
        Image.fromarray(np.repeat(image[..., None], 3, axis=2)).save(tmp_path / f"{name}.png")
        Image.fromarray((ramp > 100).astype(np.uint8)).save(tmp_path / f"{name}_mask.png")
        if depth is not None:
            Image.fromarray(depth).save(tmp_path / f"{name}_depth.png")
        file = "" if depth is None else f"{name}_depth.png"
        rows.append([name, "rgbd", f"{name}.png", f"{name}_mask.png", file, 1, 60, 40])
    with (tmp_path / "MANIFEST.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])
    return tmp_path


def test_sets_weigh_the_same_and_images_without_depth_are_left_out(collection):
    items = images_with_depth(collection)
    assert [item.set for item in items] == ["a", "b"]
    steps = []
    found = depth_accuracy(Estimator(), items, progress=steps.append)
    assert found.sets == {"a": 1.0, "b": 0.0} and found.mean == 0.5 and steps == [1, 1]
    assert found.images == {"a": 1, "b": 1}
    lines = format_accuracy(found).splitlines()
    assert lines[0].split()[:2] == ["a", "1.000"] and "0.500" in lines[-2] and "chance" in lines[-2]
    assert found.lower_is_nearer == pytest.approx(0.5, abs=0.05) and lines[-1].startswith("lower is nearer")


def test_what_the_row_alone_knows_stands_beside_it(collection):
    """Depth that grows towards the upper edge, as on a floor: the row says all of it, the estimate here nothing."""
    floor = np.tile(np.linspace(3000, 500, 40).astype(np.uint16)[:, None], (1, 60))
    for name in "ab":
        Image.fromarray(floor).save(collection / f"{name}_depth.png")
    found = depth_accuracy(Estimator(), images_with_depth(collection))
    assert found.lower_is_nearer == 1.0 and found.mean == pytest.approx(0.5, abs=0.05)


def test_collections_without_depth_are_refused(collection):
    (collection / "MANIFEST.csv").unlink()
    for name in ("images", "masks"):
        (collection / name).mkdir()
    (collection / "a.png").rename(collection / "images" / "a.png")
    (collection / "a_mask.png").rename(collection / "masks" / "a.png")
    with pytest.raises(InputError, match="no depth images"):
        images_with_depth(collection)
