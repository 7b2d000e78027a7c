"""Samples open without a network, and everything that the manifest names is there."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManifest

from napari_ois._napari import samples, settings
from napari_ois._napari.widget import OISWidget
from napari_ois.segmentation.order_sources import Given

MANIFEST = PluginManifest.from_file(str(files("napari_ois") / "napari.yaml"))
SAMPLES = ("coins", "cell", "immunohistochemistry", "retina", "coffee", "motorcycle")


def resolve(command: str):
    name = next(c.python_name for c in MANIFEST.contributions.commands if c.id == command)
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def test_every_command_of_the_manifest_is_there() -> None:
    assert all(callable(resolve(c.id)) for c in MANIFEST.contributions.commands)


def test_the_widget_is_named_as_the_code_says_and_stands_in_the_segment_menu() -> None:
    widget = next(w for w in MANIFEST.contributions.widgets if w.command == "napari-ois.widget")
    assert MANIFEST.name == settings.PLUGIN
    assert widget.display_name == settings.WIDGET
    assert resolve(widget.command) is OISWidget
    menu = MANIFEST.contributions.menus["napari/layers/segment"]
    assert [item.command for item in menu] == [widget.command]
    assert {str(c) for c in MANIFEST.categories} == {"Segmentation", "Annotation"}


@pytest.mark.parametrize("key", SAMPLES)
def test_a_sample_is_a_real_image(key: str) -> None:
    sample = next(s for s in MANIFEST.contributions.sample_data if s.key == key)
    layers = resolve(sample.command)()
    data, options, kind = layers[-1]
    assert kind == "image"
    assert options["name"] == key
    assert data.dtype == np.uint8
    assert min(data.shape[:2]) >= 300
    assert data.std() > 10


def test_the_motorcycle_brings_its_measured_disparity() -> None:
    (disparity, _, _), (left, _, _) = samples.motorcycle()
    assert disparity.shape == left.shape[:2]
    assert np.isnan(disparity).any()
    assert not np.isinf(disparity).any()
    assert np.nanmax(disparity) > 50


def test_the_motorcycles_disparity_serves_as_order() -> None:
    (disparity, _, _), (left, _, _) = samples.motorcycle()
    found = Given(disparity).compute(left)
    np.testing.assert_array_equal(found.known, np.isfinite(disparity))
    assert (found.depth[disparity == np.nanmax(disparity)] == 1).all()


def test_the_overlapping_cells_bring_stack_projection_depth_and_truth() -> None:
    sample = next(s for s in MANIFEST.contributions.sample_data if s.key == "overlapping_cells")
    (stack, on_stack, _), (labels, _, kind), (depth, hidden, _), (image, shown, _) = resolve(sample.command)()
    assert kind == "labels" and labels.max() == 18
    np.testing.assert_array_equal(image, stack.max(axis=0))
    assert image.shape == labels.shape == depth.shape
    assert on_stack["scale"][1:] == hidden["scale"] == shown["scale"] and len(on_stack["scale"]) == stack.ndim
    assert not hidden["visible"] and (depth.min(), depth.max()) == (0, 1)


def test_napari_takes_the_overlapping_cells() -> None:
    viewer = ViewerModel()
    for data, options, kind in samples.overlapping_cells():
        getattr(viewer, f"add_{kind}")(data, **options)
    low, high = viewer.layers.extent.world
    np.testing.assert_allclose(high - low, (24, 64, 64), atol=1.1)
