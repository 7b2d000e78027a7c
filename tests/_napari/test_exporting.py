"""What leaves the viewer reads back as the labels and the table that it shows, and the viewer does not wait."""

from __future__ import annotations

import csv
import json
import sys
import threading
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from qtpy.QtWidgets import QFileDialog

from napari_ois._napari.export_panel import ExportPanel
from napari_ois._napari.export_verbs import HOLDS
from napari_ois.annotation.export import FORMATS, read_coco
from napari_ois.annotation.export_rois import read_rois


@pytest.fixture
def two(viewer: Any, make: Any, click: Any, qtbot: Any) -> Any:
    """Two objects, one named, on an image whose pixels are 0.5 micrometer wide."""
    image = np.random.default_rng(0).random((60, 80))
    viewer.add_image(image, name="scan", scale=(0.5, 0.5), units="micrometer")
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    for place in ((20, 30), (40, 50)):
        click(widget, *place)
        widget.accept()
    widget.rename_object(1, "nucleus")
    return widget


def written(widget: Any, qtbot: Any, path: Any, to: str | None = None) -> None:
    widget.export_objects(path, to)
    qtbot.waitUntil(lambda: f"{path} holds" in widget.status.text())
    assert path.exists()


def test_tiff(two, viewer, qtbot, tmp_path) -> None:
    path = tmp_path / "labels.tif"
    written(two, qtbot, path)
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.asarray(), viewer.layers["scan objects"].data)
        assert file.imagej_metadata["unit"] == "micrometer"
        x = file.pages[0].tags["XResolution"].value
        assert x[0] / x[1] == 2


def test_coco(two, viewer, qtbot, tmp_path) -> None:
    path = tmp_path / "labels.json"
    written(two, qtbot, path)
    record = json.loads(path.read_text())
    np.testing.assert_array_equal(read_coco(record), viewer.layers["scan objects"].data)
    assert [one["name"] for one in record["annotations"]] == ["nucleus", "object 2"]


def test_ome_zarr(two, viewer, qtbot, tmp_path) -> None:
    zarr = pytest.importorskip("zarr", minversion="3", reason="OME-Zarr needs zarr")
    path = tmp_path / "labels.zarr"
    written(two, qtbot, path)
    group = zarr.open_group(str(path), mode="r")
    np.testing.assert_array_equal(group["labels/objects/0"][...], viewer.layers["scan objects"].data)
    (scales,) = group["labels/objects"].attrs["multiscales"]
    assert scales["datasets"][0]["coordinateTransformations"][0]["scale"] == [0.5, 0.5]


def test_imagej_rois(two, viewer, qtbot, tmp_path) -> None:
    pytest.importorskip("roifile", reason="ImageJ ROIs need roifile")
    path = tmp_path / "rois.zip"
    written(two, qtbot, path)
    np.testing.assert_array_equal(read_rois(path, (60, 80)), viewer.layers["scan objects"].data)


def test_csv(two, viewer, qtbot, tmp_path) -> None:
    path = tmp_path / "objects.csv"
    written(two, qtbot, path)
    with path.open() as file:
        first, _ = csv.DictReader(file)
    area = int((viewer.layers["scan objects"].data == 1).sum())
    assert (first["name"], int(first["area_px"]), float(first["area"])) == ("nucleus", area, area / 4)
    assert (first["unit"], first["score"], first["clicks"]) == ("micrometer²", "0.75", "1")


def test_csv_has_the_labels_as_they_are_now(two, viewer, qtbot, tmp_path) -> None:
    layer, path = viewer.layers["scan objects"], tmp_path / "objects.csv"
    layer.data[layer.data == 1] = 0  # erased by hand but for three pixels, and a label of someone else's
    layer.data[0, :3], layer.data[59, 70:] = 1, 9
    written(two, qtbot, path)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["index"], row["name"], row["area_px"], row["area"]) for row in rows[::2]] == [
        ("1", "nucleus", "3", "0.75"),
        ("9", "", "10", "2.5"),
    ]
    assert int(rows[1]["area_px"]) == (layer.data == 2).sum() and rows[2]["unit"] == "micrometer²"


def test_labels_of_others_are_exported_too(two, viewer, qtbot, tmp_path) -> None:
    mine = viewer.add_labels(np.eye(60, 80, dtype=np.int32) * 3, name="mine", scale=(0.5, 0.5), units="micrometer")
    two.target.value = mine
    written(two, qtbot, tmp_path / "mine.txt", "tiff")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mine.txt"), mine.data)


def as_layer(viewer: Any, data: Any, **options: Any) -> Any:
    return viewer.add_labels(data, name="mine", scale=(0.5, 0.5), units="micrometer", **options)


def test_of_a_pyramid_the_finest_level_is_written(two, viewer, qtbot, tmp_path, notes, monkeypatch) -> None:
    levels = [
        zarr.create_array(zarr.storage.MemoryStore(), shape=(60 // step, 80 // step), chunks=(30, 40), dtype="int32")
        for step in (1, 2)
    ]
    levels[0][3:5, 7:9] = 5
    two.target.value = as_layer(viewer, levels, multiscale=True)
    written(two, qtbot, tmp_path / "mine.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mine.tif"), levels[0][:])
    monkeypatch.setattr("napari_ois._napari.export_verbs.MOST", 100)
    two.export_objects(tmp_path / "large.tif")
    assert "more than can be exported at once" in notes[-1]
    two.reopen_object(2)
    qtbot.waitUntil(lambda: not two.worker.busy)
    two.accept()
    qtbot.waitUntil(lambda: two.session.object is None)
    written(two, qtbot, tmp_path / "large.csv")  # needs no pixel
    assert "holds 1 object of" in two.status.text()


@pytest.mark.parametrize("kind", ["dask", "read-only"])
def test_what_cannot_be_written_into_is_exported(two, viewer, qtbot, tmp_path, kind) -> None:
    labels = np.eye(60, 80, dtype=np.int32) * 3
    labels.flags.writeable = False
    two.target.value = as_layer(viewer, da.from_array(labels) if kind == "dask" else labels)
    written(two, qtbot, tmp_path / "mine.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mine.tif"), labels)


def test_it_is_written_beside_the_viewer(two, qtbot, tmp_path, monkeypatch) -> None:
    threads = []
    monkeypatch.setattr(
        "napari_ois._napari.export_verbs.export_labels", lambda *_, **__: threads.append(threading.current_thread())
    )
    two.export_objects(tmp_path / "x.tif")
    qtbot.waitUntil(lambda: "holds 2 objects of" in two.status.text())
    assert threads and threads != [threading.main_thread()]


def test_what_cannot_be_written_is_one_sentence(two, started, viewer, qtbot, tmp_path, notes, monkeypatch) -> None:
    two.export_objects(tmp_path / "x.png")
    assert "does not say its format" in notes[-1]
    monkeypatch.setitem(sys.modules, "roifile", None)
    two.export_objects(tmp_path / "x.zip")
    qtbot.waitUntil(lambda: "roifile, which is not installed; run: pip install" in notes[-1])
    two.export_objects(tmp_path / "none" / "x.tif")
    qtbot.waitUntil(lambda: "cannot be written" in notes[-1])
    assert list(tmp_path.glob("*.*")) == []
    started.export_objects(tmp_path / "x.tif")
    assert "no objects to export" in notes[-1]


def test_the_panel_says_what_each_format_holds(two, qtbot) -> None:
    panel = two.findChild(ExportPanel)
    assert list(HOLDS) == list(FORMATS)
    assert [panel.format.itemData(n) for n in range(panel.format.count())] == list(FORMATS)
    panel.format.setCurrentIndex(panel.format.findData("csv"))
    assert panel.holds.text() == HOLDS["csv"] and panel.button.isEnabled()
    panel.button.click()
    dialog = two.findChild(QFileDialog)
    qtbot.waitUntil(dialog.isVisible)
    assert dialog.nameFilters() == ["csv (*.csv)"] and dialog.defaultSuffix() == "csv"
    dialog.reject()
    two.shutdown()
    assert not panel.button.isEnabled()
