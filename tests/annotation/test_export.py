"""Whatever is exported reads back as the same labels."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest
import tifffile

from napari_ois.annotation.export import coco_record, export_labels, ngff_metadata, read_coco
from napari_ois.annotation.export_rois import outlines, read_rois
from napari_ois.errors import InputError


@pytest.fixture(params=[2, 3, 4])
def labels(request):
    """Holes, parts, single pixels, pixels that touch at corners, the whole plane."""
    full = np.zeros((2, 3, 20, 26), np.int32)
    full[0, 0, 3:15, 2:12] = 1
    full[0, 0, 6:9, 5:8] = 0
    full[0, 0, 7, 6] = 300
    full[0, 0, 15:, 20:] = 1
    full[0, 1] = (np.random.default_rng(0).random((20, 26)) < 0.5) * 7
    full[0, 2] = 2
    full[1, 1, 0, 0] = full[1, 1, 19, 25] = 9
    return full[(0,) * (4 - request.param)]


SIZE = (2.0, 0.5, 0.25, 0.2)


def test_tiff_keeps_ids_pixel_size_and_unit(labels, tmp_path) -> None:
    path = tmp_path / "labels.tif"
    export_labels(labels, path, pixel_size=SIZE[-labels.ndim :], unit="micrometer")
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.asarray().reshape(labels.shape), labels)
        assert file.imagej_metadata["unit"] == "micrometer"
        x, y = (file.pages[0].tags[name].value for name in ("XResolution", "YResolution"))
        assert (x[0] / x[1], y[0] / y[1]) == (5, 4)
        assert file.imagej_metadata.get("spacing", 0.5) == 0.5
    export_labels(labels, path, pixel_size=SIZE[-labels.ndim :], unit="µm")
    with tifffile.TiffFile(path) as file:  # as ImageJ writes it
        assert "unit=\\u00B5m" in file.pages[0].description
    export_labels(labels * 1000, path)
    np.testing.assert_array_equal(tifffile.imread(path).reshape(labels.shape), labels * 1000)


def test_ome_zarr(labels, tmp_path) -> None:
    zarr = pytest.importorskip("zarr", minversion="3", reason="OME-Zarr needs zarr")
    path = tmp_path / "labels.zarr"
    export_labels(labels, path, pixel_size=SIZE[-labels.ndim :], unit="micrometer")
    group = zarr.open_group(str(path), mode="r")
    np.testing.assert_array_equal(group["labels/objects/0"][...], labels)
    assert group["labels"].attrs["labels"] == ["objects"]
    attributes = dict(group["labels/objects"].attrs)
    (scales,) = attributes["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == list("tzyx"[-labels.ndim :])
    assert scales["datasets"][0]["coordinateTransformations"][0]["scale"] == list(SIZE[-labels.ndim :])
    assert scales["axes"][-1] == {"name": "x", "type": "space", "unit": "micrometer"}
    assert "image-label" in attributes
    assert (path / "labels" / "objects" / "0" / ".zarray").is_file()  # NGFF 0.4 is Zarr 2
    with pytest.raises(InputError, match="there already"):
        export_labels(labels, path)


def test_five_axes_and_large_ids_keep_their_spacing_and_no_inches(tmp_path) -> None:
    pytest.importorskip("zarr", minversion="3", reason="OME-Zarr needs zarr")
    labels = np.zeros((2, 3, 2, 5, 6), np.int32)
    labels[1, 1, 1, 2:4, 2:5] = 7
    size = (9.0, 4.0, 1.0, 0.5, 0.25)
    export_labels(labels, tmp_path / "five.tif", pixel_size=size, unit="micrometer")
    with tifffile.TiffFile(tmp_path / "five.tif") as file:
        assert file.imagej_metadata["spacing"] == 4.0  # of Z, which comes before the channel there
    kinds = [axis["type"] for axis in ngff_metadata(labels, size, "micrometer")["multiscales"][0]["axes"]]
    assert kinds == ["time", "channel", "space", "space", "space"]  # as OME-NGFF asks
    export_labels(labels[0, 0] * 0 + 70_000, tmp_path / "large.tif", pixel_size=size[-3:], unit="micrometer")
    with tifffile.TiffFile(tmp_path / "large.tif") as file:
        assert file.pages[0].tags["ResolutionUnit"].value == 1  # none: the default would be inches


def test_coco(labels, tmp_path) -> None:
    path = tmp_path / "labels.json"
    export_labels(labels, path, features={"index": [1, 2], "name": ["cell", "ground"]})
    record = json.loads(path.read_text())
    np.testing.assert_array_equal(read_coco(record), labels)
    assert record["annotations"][0]["name"] == "cell"
    assert len(record["images"]) == np.prod(labels.shape[:-2])
    plane = labels[(0,) * (labels.ndim - 2)]
    first = record["annotations"][0]
    rows, columns = np.nonzero(plane == 1)
    assert first["area"] == len(rows)
    assert first["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]


def test_coco_reads_what_coco_writes() -> None:
    record = coco_record(np.pad(np.ones((2, 2), np.uint8), 1))
    assert record["annotations"][0]["segmentation"] == {"size": [4, 4], "counts": "52203"}


def test_imagej_rois(labels, tmp_path) -> None:
    roifile = pytest.importorskip("roifile", reason="ImageJ ROIs need roifile")
    path = tmp_path / "labels.zip"
    export_labels(labels, path, features={"index": [1], "name": ["my cell"]})
    np.testing.assert_array_equal(read_rois(path, labels.shape), labels)
    rois = roifile.roiread(path)
    assert rois[0].name == "-".join(["1", *"00"[: labels.ndim - 2]]) + " my cell"
    if labels.ndim == 3:
        assert [roi.position for roi in rois] == [1, 1, 2, 3]
    if labels.ndim == 4:
        assert [(roi.t_position, roi.z_position) for roi in rois][-1] == (2, 2)
    with pytest.raises(InputError, match="no object"):
        export_labels(np.zeros_like(labels), path)


def test_an_outline_runs_between_the_pixels() -> None:
    (line,) = outlines(np.pad(np.ones((1, 1), bool), 1))
    assert sorted(map(tuple, line.tolist())) == [(1.0, 1.5), (1.5, 1.0), (1.5, 2.0), (2.0, 1.5)]


def test_csv(labels, tmp_path) -> None:
    path = tmp_path / "features.csv"
    export_labels(labels, path, pixel_size=SIZE[-labels.ndim :], unit="mm")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert {int(row["index"]): int(row["area_px"]) for row in rows} == {
        int(label): int((labels == label).sum()) for label in np.unique(labels[labels != 0])
    }
    assert rows[0]["unit"] == ("mm²" if labels.ndim == 2 else "mm³")
    assert float(rows[0]["area"]) == pytest.approx(int(rows[0]["area_px"]) * np.prod(SIZE[-labels.ndim :][-3:]))


@pytest.mark.parametrize(
    ("say", "labels", "name", "options"),
    [
        ("does not say its format", np.ones((2, 2), int), "x.png", {}),
        ("no format", np.ones((2, 2), int), "x.tif", {"to": "jpeg"}),
        ("must be integers", np.ones((2, 2)), "x.tif", {}),
        ("must be integers", np.ones(2, int), "x.tif", {}),
        ("between 0 and", np.full((2, 2), -1), "x.tif", {}),
        ("pixel size", np.ones((2, 2), int), "x.tif", {"pixel_size": (1.0,)}),
        ("cannot be written", np.ones((2, 2), int), "none/x.tif", {}),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_left(tmp_path, say, labels, name, options) -> None:
    with pytest.raises(InputError, match=say):
        export_labels(labels, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("library", "name"), [("zarr", "x.zarr"), ("roifile", "x.zip")])
def test_a_library_that_is_missing_is_named_with_its_remedy(tmp_path, monkeypatch, library, name) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=f"needs? {library}, which is not installed; run: pip install"):
        export_labels(np.ones((2, 2), int), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
