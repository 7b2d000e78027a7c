"""Where order comes from is chosen on the command line; the depth and where it is known are written."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner

from napari_ois import checkpoints
from napari_ois.cli import main
from napari_ois.errors import WeightsError
from napari_ois.network import build
from napari_ois.segmentation.cells import made_cells
from napari_ois.segmentation.predictor import Predictor
from napari_ois.segmentation.stack_sources import Focus, Projection, Surface


@pytest.fixture(autouse=True)
def weights(monkeypatch):
    """Random weights: these tests are about commands, not masks. "other" has no weights for masks."""

    def load_model(name):
        if name not in ("ois-compact", "other"):
            raise WeightsError(f'There is no model "{name}"; napari-ois models lists them.')
        torch.manual_seed(0 if name == "ois-compact" else 1)
        available = name == "ois-compact"
        return build("ois-compact").eval(), SimpleNamespace(preset="ois-compact", available=available, note="")

    monkeypatch.setattr(checkpoints, "load_model", load_model, raising=False)


@pytest.fixture(scope="module")
def stack():
    return made_cells(shape=(8, 48, 64)).stack


@pytest.fixture
def here(tmp_path, monkeypatch, stack):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("stack.tif", stack)
    tifffile.imwrite("image.tif", stack.max(axis=0))
    ranges = np.tile(np.arange(64, dtype=np.uint16), (48, 1))
    tifffile.imwrite("range.tif", ranges)
    return tmp_path


def segment(image, *more):
    words = ["segment", image, "-p", "20,30", "-o", "out", "--input-size", "64", "--device", "cpu", *more]
    return CliRunner().invoke(main, [str(word) for word in words])


def written(name):
    return tifffile.imread(f"out/{name}.tif")


@pytest.mark.parametrize(
    ("options", "source"),
    [
        (["focus", "--first", "far"], Focus(first="far")),
        (["max"], Projection()),
        (["max", "--threshold", 60, "--axis", 1], Projection(threshold=60, axis=1)),
        (["min", "--threshold", 255], Projection(extreme="min", threshold=255)),
        (["surface", "--spacing", 2, 0.5, 0.5], Surface(spacing=(2, 0.5, 0.5))),
    ],
)
def test_a_stack_gives_image_and_order(here, stack, options, source):
    found = source.compute(stack)
    point = ["-n", "3,40"] if found.image.shape[0] > 20 else []
    if not point:  # along axis 1 a plane has 8 rows
        words = ["segment", "stack.tif", "-p", "3,30", "-o", "out", "--input-size", "64", "--device", "cpu"]
        result = CliRunner().invoke(main, [*words, "--depth-from", *map(str, options)])
    else:
        result = segment("stack.tif", *point, "--depth-from", *options)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(written("depth"), found.depth)
    np.testing.assert_array_equal(written("depth_known") > 0, found.known)
    np.testing.assert_array_equal(written("image"), found.image)
    assert written("mask").shape == found.image.shape and source.statement in result.output


def test_the_mask_is_the_scripts(here, stack):
    assert segment("stack.tif", "--depth-from", "max").exit_code == 0
    found = Projection().compute(stack)
    predictor = Predictor(device="cpu", input_size=64)
    predictor.set_image(found.image, depth=found.depth)
    np.testing.assert_array_equal(written("probability"), predictor.predict([(20, 30)], [1]).probability)


def test_colour_and_channels_of_a_stack_are_kept(here, stack):
    tifffile.imwrite("channels.tif", np.stack([stack, stack // 2], axis=1))
    result = segment("channels.tif", "--depth-from", "max", "--channel-axis", "1")
    assert result.exit_code == 0, result.output
    assert written("image").shape == (48, 64, 2)


def test_a_range_image_is_turned_round_and_its_holes_are_marked(here):
    result = segment("image.tif", "--depth", "range.tif", "--nearer", "smaller", "--unknown", "0")
    assert result.exit_code == 0, result.output
    depth, known = written("depth"), written("depth_known") > 0
    np.testing.assert_allclose(depth[5, 1:], 1 - np.arange(63) / 62, atol=1e-6)
    np.testing.assert_allclose(depth[5, 0], 0.5, atol=1e-6)
    assert not known[:, 0].any() and known[:, 1:].all()


def test_another_models_depth_is_used(here, stack):
    assert segment("image.tif", "--depth-model", "other").exit_code == 0
    other = Predictor("other", device="cpu")
    other.set_image(stack.max(axis=0))
    np.testing.assert_allclose(written("depth"), (other.depth - other.depth.min()) / np.ptp(other.depth), atol=1e-5)


def test_no_order_is_the_network_without_order(here, stack):
    result = segment("image.tif", "--no-order")
    assert result.exit_code == 0 and "No order" in result.output
    predictor = Predictor(device="cpu", input_size=64)
    predictor.set_image(stack.max(axis=0), depth=np.zeros((48, 64)))
    probability = predictor.predict([(20, 30)], [1], order_strength=0).probability
    np.testing.assert_array_equal(written("probability"), probability)
    assert not written("depth").any() and not written("depth_known").any()


def test_files_of_an_earlier_run_do_not_stay(here):
    segment("stack.tif", "--depth-from", "max", "-n", "3,40")
    assert (here / "out" / "order_negative_01.tif").exists()
    (here / "out" / "notes.txt").write_text("mine")
    result = segment("image.tif")
    left = {path.name for path in (here / "out").iterdir()}
    assert not left & {"depth_known.tif", "image.tif", "order_negative_01.tif"} and "notes.txt" in left
    assert "Order:" not in result.output
    assert sorted(left - {"notes.txt"}) == [line[4:] for line in result.output.splitlines()[1:]]


def test_nothing_that_the_user_made_is_replaced_or_removed(here, stack):
    """Above all not what is segmented, nor the depth; and a folder without an earlier run is the user's own."""
    segment("stack.tif", "--depth-from", "max")
    made = (here / "out" / "image.tif").read_bytes()
    for image, more in (("out/image.tif", ()), ("image.tif", ("-o", ".")), ("range.tif", ("--depth", "out/depth.tif"))):
        result = segment(image, *more)
        assert (
            result.exit_code == 2
            and "would take the place of" in result.stderr
            and len(result.stderr.splitlines()) == 1
        )
    assert (here / "out" / "image.tif").read_bytes() == made
    np.testing.assert_array_equal(tifffile.imread("image.tif"), stack.max(axis=0))
    assert segment("range.tif", "-o", ".").exit_code == 0
    np.testing.assert_array_equal(tifffile.imread("image.tif"), stack.max(axis=0))


def test_a_stack_may_be_an_ome_zarr(here, stack):
    import zarr

    group = zarr.open_group("stack.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=stack.shape, dtype=stack.dtype)[...] = stack
    axes = [{"name": name} for name in "zyx"]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    assert segment("stack.tif", "--depth-from", "max").exit_code == 0
    expected = written("mask"), written("depth")
    result = segment("stack.zarr", "--depth-from", "max")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(written("mask"), expected[0])
    np.testing.assert_array_equal(written("depth"), expected[1])


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        ("image.tif", ["--depth", "range.tif", "--no-order"], "--depth and --no-order are two sources"),
        ("stack.tif", ["--depth-from", "max", "--depth-model", "other"], "--depth-from and --depth-model are two"),
        ("image.tif", ["--nearer", "smaller"], "--nearer says how to read --depth"),
        ("image.tif", ["--no-order", "--axis", "1"], "--axis says how to read --depth-from"),
        ("image.tif", ["--spacing", "1", "1", "1"], "--spacing says how to read --depth-from"),
        ("stack.tif", ["--depth-from", "focus", "--threshold", "3"], "--threshold means nothing"),
        ("stack.tif", ["--depth-from", "sharpest"], "sharpest"),
        ("image.tif", ["--depth-from", "max"], "needs three axes"),
        ("stack.tif", ["--depth-from", "max", "--axis", "5"], "axis=5 is out of range"),
        ("stack.tif", ["--depth-from", "max", "--threshold", "999"], "at or above the threshold 999"),
        ("stack.tif", ["--depth-from", "surface", "-p", "20,64"], "lies outside"),
        ("stack.tif", ["--depth-from", "max", "--spacing", "1", "1", "0"], "three positive numbers"),
        ("missing.tif", ["--depth-from", "max"], "There is no file"),
        ("image.tif", ["--depth-model", "nosuch"], 'no model "nosuch"'),
        ("image.tif", ["--depth", "stack.tif"], "has shape"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(here, image, options, words):
    before = sorted(here.rglob("*"))
    result = segment(image, *options)
    assert result.exit_code == 2 and words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(here.rglob("*")) == before
