"""Of a large file the command reads an overview and the region that it works on, and writes a mask of all of it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner

from napari_ois.cli import main, segmenting

SHAPE, CENTRE, RADIUS, CHUNK = (2_600, 3_000), (600, 2_300), 90, 256


@pytest.fixture(autouse=True)
def _small(monkeypatch, large_from_a_megapixel, bright_predictor):
    """Images of a few megapixels are large, and the model is a rule."""
    monkeypatch.setattr(segmenting, "load_predictor", lambda *_: bright_predictor())


@pytest.fixture
def disk():
    """Dark, with a bright disk."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    inside = (rows - CENTRE[0]) ** 2 + (columns - CENTRE[1]) ** 2 <= RADIUS**2
    return np.where(inside, 200, 20).astype(np.uint8)


@pytest.fixture
def read_parts(monkeypatch):
    """(store, level, rest of the name) of the chunks that are read."""
    from tifffile.zarr import ZarrTiffStore
    from zarr.storage import LocalStore

    names = []
    for store in (LocalStore, ZarrTiffStore):

        async def get(self, key, *more, plain=store.get, **options):
            level, _, rest = key.partition("/")
            if rest and not rest.startswith((".", "zarr")):
                names.append((level, tuple(int(part) for part in rest.replace("/", ".").split("."))))
            return await plain(self, key, *more, **options)

        monkeypatch.setattr(store, "get", get)
    return names


def segment(image, *more):
    words = ["segment", image, "-p", "{},{}".format(*CENTRE), "-o", image.parent / "out", "--device", "cpu", *more]
    return CliRunner().invoke(main, [str(word) for word in words])


def written(image, name):
    return tifffile.imread(image.parent / "out" / f"{name}.tif")


def check(result, image, disk, read_parts):
    assert result.exit_code == 0, result.output
    mask, truth = written(image, "mask") > 0, disk > 100
    assert mask.shape == SHAPE
    assert (mask & truth).sum() / (mask | truth).sum() > 0.95
    told = json.loads((image.parent / "out" / "region.json").read_text())
    cut = truth[told["top"] : told["bottom"], told["left"] : told["right"]]
    assert cut.sum() == truth.sum() and cut.shape == (told["rows"], told["columns"])
    probability = written(image, "probability")
    assert probability.shape == cut.shape and ((probability > 0.5) & cut).sum() > 0.95 * cut.sum()
    with (image.parent / "out" / "clicks.csv").open(newline="") as stream:
        assert [(float(row["row"]), float(row["column"])) for row in csv.DictReader(stream)] == [CENTRE]
    assert f"({mask.mean():.1%} of the image)" in result.output
    # Of the finest level the chunks of the region were read, and no others.
    finest = {place[-2:] for level, place in read_parts if level == "0"}
    rows = range(told["top"] // CHUNK, (told["bottom"] - 1) // CHUNK + 1)
    columns = range(told["left"] // CHUNK, (told["right"] - 1) // CHUNK + 1)
    assert finest == {(row, column) for row in rows for column in columns}
    assert len(finest) < 0.3 * np.prod([-(-side // CHUNK) for side in SHAPE])


def test_a_plane_of_an_ome_zarr_is_segmented_from_its_levels(tmp_path, disk, read_parts):
    image = tmp_path / "image.zarr"
    group = zarr.open_group(str(image), mode="w", zarr_format=2)
    for name, step in enumerate((1, 4)):
        level = disk[::step, ::step]
        array = group.create_array(str(name), shape=(3, *level.shape), chunks=(1, CHUNK, CHUNK), dtype="uint8")
        array[1] = level
    sets = [{"path": "0"}, {"path": "1"}]
    group.attrs["multiscales"] = [{"axes": [{"name": name} for name in "zyx"], "datasets": sets}]
    read_parts.clear()
    check(segment(image, "--plane", 1), image, disk, read_parts)
    assert {place[0] for _, place in read_parts} == {1}
    refused = segment(image)
    assert refused.exit_code == 2 and "3 planes along z; say which one" in refused.stderr


def test_a_tiled_pyramid_and_a_depth_image_are_read_in_tiles(tmp_path, disk, read_parts):
    image, options = (
        tmp_path / "image.tif",
        {"tile": (CHUNK, CHUNK), "compression": "zlib", "photometric": "minisblack"},
    )
    with tifffile.TiffWriter(image) as writer:
        writer.write(disk, subifds=1, **options)
        writer.write(disk[::4, ::4], subfiletype=1, **options)
    depth = np.broadcast_to(np.arange(SHAPE[1], dtype=np.float32), SHAPE)
    np.save(tmp_path / "depth.npy", depth)
    result = segment(image, "--depth", tmp_path / "depth.npy", "--nearer", "smaller", "--unknown", "2300")
    check(result, image, disk, read_parts)
    told = json.loads((tmp_path / "out" / "region.json").read_text())
    columns = np.arange(told["left"], told["right"])
    np.testing.assert_array_equal(written(image, "depth_known")[7] > 0, columns != 2300)
    near = np.delete(written(image, "depth")[7], 2300 - told["left"])
    np.testing.assert_allclose(near, np.delete(1 - columns / SHAPE[1], 2300 - told["left"]), atol=0.02)
    assert "of the region" in result.output
