"""One rule: labels leave the viewer in the format chosen, written beside it, whole or not at all."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QFileDialog

from napari_ois._napari.label_canvas import bands, finest
from napari_ois._napari.labels_table import calibration
from napari_ois._napari.order_verbs import OrderVerbs
from napari_ois.annotation import features
from napari_ois.annotation.export import FORMATS, SUFFIXES, choose_format, export_labels
from napari_ois.annotation.features import area_unit, as_seen
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ois._napari.session import Session

HOLDS = {
    "tiff": "Labels with pixel size and unit, as ImageJ reads them.",
    "ome-zarr": "Labels with scale and unit, by OME-NGFF 0.4; a folder.",
    "coco": "JSON: a run-length mask, box, area and name for each object and plane.",
    "imagej": "A zip of ROIs for ImageJ's ROI manager, one for each object and plane. Needs the extra: export.",
    "csv": "The table of objects: id, name, area as the labels have it now, score, clicks; no pixels.",
}
"""What each format holds, for the user."""
MOST = 2**32
"""Bytes of labels that can be exported where they are not in memory already."""


class ExportVerbs(OrderVerbs):
    """The part of the widget that writes labels for other programs."""

    def export_objects(self, path: str | Path | None = None, to: str | None = None) -> None:
        """Write the objects of the Labels layer chosen; where none is chosen, of the first that has objects.

        Parameters
        ----------
        path : str or Path, optional
            By default a dialog asks, which does not block.
        to : str, optional
            One of :data:`HOLDS`; by default what the path's suffix says.
        """
        if path is None and self.session is not None:
            dialog = QFileDialog(self, "Export objects", "", _filters(to))
            dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
            dialog.setDefaultSuffix(_suffix(to or FORMATS[0])[1:])
            dialog.fileSelected.connect(partial(self.export_objects, to=to))
            dialog.open()
        else:
            self._do(lambda session: self._export(session, Path(str(path)), to))

    def _export(self, session: Session, path: Path, to: str | None) -> None:
        layer = self._labels_to_export(session)
        chosen = choose_format(path, to)
        name = session.workbook.canvas.name_of(layer)
        size, unit = calibration(session.image)
        objects = session.document.objects
        ours = any(obj.accepted is not None and obj.accepted.target == name for obj in objects)
        rows_only = chosen == "csv" and ours
        data = finest(layer) if rows_only else _whole(layer)
        pixel = math.prod(abs(size[axis]) for axis in session.place.axes)

        def write() -> int:
            table = features(objects, name, pixel_size=size, unit=unit) if name is not None else None
            if table is not None and rows_only:
                if not _too_large(data):  # else as they were accepted: of those no pixel is needed
                    table = as_seen(table, _counts(data), pixel, area_unit(unit))
                export_labels(np.zeros((1,) * layer.ndim, np.int32), path, to=chosen, features=table)
                return len(table["index"])
            labels = np.array(data)  # as it is now, whatever is written into it meanwhile
            known = table if table is not None and table["index"] else None
            export_labels(labels, path, to=chosen, features=known, pixel_size=size, unit=unit)
            return int(np.count_nonzero(np.unique(labels)))

        def say(count: int) -> None:
            what = "1 object" if count == 1 else f"{count} objects"
            self._say(f'{path} holds {what} of "{layer.name}" ({chosen}).')

        if self._errands is not None:
            self._say(f'Writing "{layer.name}"...')
            self._errands.send(write, say, self._on_file_failed, must=True)

    def _labels_to_export(self, session: Session) -> Labels:
        canvas = session.workbook.canvas
        layer = self.target.value
        if layer is None:
            held = {obj.accepted.target for obj in session.document.objects if obj.accepted is not None}
            layer = next((one for name, one in canvas.layers.items() if name in held), None)
        if layer is None:
            raise InputError("There are no objects to export; accept one first, or choose a Labels layer.")
        canvas.check(layer, write=False)
        return layer


def _whole(layer: Labels) -> Any:
    """A layer's labels at full resolution; InputError where they would not fit in memory."""
    data = finest(layer)
    if _too_large(data):
        raise InputError(
            f'"{layer.name}" has {_size(data) / 2**30:.1f} GiB of labels at full resolution, more than can be exported '
            "at once; cut out a part of it as a layer of its own, and export that."
        )
    return data


def _size(data: Any) -> int:
    return math.prod(data.shape) * np.dtype(data.dtype).itemsize


def _too_large(data: Any) -> bool:
    return _size(data) > MOST and not isinstance(data, np.ndarray)


def _counts(data: Any) -> Counter[int]:
    """Pixels of each label but 0."""
    found: Counter[int] = Counter()
    for band in bands(data):
        values, counts = np.unique(band, return_counts=True)
        found.update({int(value): int(count) for value, count in zip(values, counts, strict=True) if value})
    return found


def _suffix(name: str) -> str:
    return next(suffix for suffix, known in SUFFIXES.items() if known == name)


def _filters(to: str | None) -> str:
    """For the file dialog: the format chosen, or all."""
    return ";;".join(f"{name} (*{_suffix(name)})" for name in FORMATS if to in (None, name))
