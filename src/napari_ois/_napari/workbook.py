"""One rule: what was done to one image is one document, however often and on whichever plane the user starts on it.

A workbook joins the document with the layers that it is written into, and keeps what they and the list of
objects show up to date, once a turn of the event loop. It outlives sessions and ends with the widget.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ois._napari.label_canvas import HELD, HELD_FOR, LabelCanvas
from napari_ois._napari.labels_table import LabelsTable, calibration
from napari_ois._napari.object_model import Row
from napari_ois._napari.orders import Orders
from napari_ois._napari.plane import image_array
from napari_ois._napari.recovery import Recovery
from napari_ois._napari.sight import Choice
from napari_ois._napari.succession import carry_over, clear_labels
from napari_ois.annotation import AnnotatedObject, Document, Session, Settings, features
from napari_ois.annotation.features import area_unit
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import napari
    from napari.layers import Image

    from napari_ois._napari.errands import Errands
    from napari_ois.annotation import Happened, ImageSignature


class Workbook(QObject):
    """The document of one image.

    Parameters
    ----------
    viewer : napari.Viewer
    image : Image
    errands : Errands

    Attributes
    ----------
    document : Document
    canvas : LabelCanvas
    orders : Orders
    sight : Choice
        What the network is to see, on whichever plane.
    settings : Settings
        What the user wants of objects to come, in this session and the next.
    recovery : Recovery
    model : dict
        What answers the clicks, for a session file.
    rows : tuple of Row
        For the list of objects.

    Signals
    -------
    happened()
        Something has happened to the document.
    changed()
        And the layers and rows show it.
    replaced()
        The document is another one.
    """

    happened = Signal()
    changed = Signal()
    replaced = Signal()

    def __init__(
        self,
        viewer: napari.Viewer,
        image: Image,
        errands: Errands,
        *,
        folder: Path | None = None,
        journal: bool = False,
    ) -> None:
        super().__init__()
        self.image = image
        self.model: dict[str, Any] = {}
        self.given_up: list[Labels] = []  # layers that the user wants out of the viewer
        self.rows: tuple[Row, ...] = ()
        self.orders = Orders()
        self.sight = Choice()
        self.settings = Settings()
        self.canvas = LabelCanvas(image, errands.send, lambda: {layer.name for layer in viewer.layers})
        self.document = Document(self.canvas)
        self._viewer = viewer
        self._views: dict[str, LabelsTable] = {}
        self._tables: dict[str, dict[str, list[Any]]] = {}
        self._stale = True  # whether the layers' tables are
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self.refresh)
        self._detach = self.document.connect(self._on_happened)
        self.recovery = Recovery(image_array(image), image.source.path, errands, folder=folder, enabled=journal)

    def missing(self) -> list[Labels]:
        """Layers with objects that are out of the viewer, but for those given up."""
        targets = {obj.accepted.target for obj in self.document.objects if obj.accepted is not None}
        layers = [layer for name, layer in self.canvas.layers.items() if name in targets]
        return [layer for layer in layers if layer not in self._viewer.layers and layer not in self.given_up]

    def refresh(self) -> None:
        """Bring the layers' features and colours, and the rows, up to date now."""
        if self._stale:
            self._stale = False
            self._show_tables()
        self.recovery.check()
        known = calibration(self.image)
        self.rows = tuple(self._row(parts, *known) for parts in self._objects())
        self.changed.emit()

    def replace(
        self,
        document: Document,
        insert: Callable[[Labels], None],
        *,
        carry: bool,
        signature: ImageSignature | None = None,
    ) -> int:
        """Take another document for this one's: recovered, or from a file.

        Parameters
        ----------
        document : Document
            Without a canvas.
        insert : callable
            Adds a Labels layer to the viewer.
        carry : bool
            Whether this document's objects are added to it; else they are given up, and stay in their journal.
        signature : ImageSignature, optional
            Of the image, where the document has no journal yet.

        Returns
        -------
        int
            How many of this document's objects could not be accepted again, and are open.
        """
        self.recovery.detach()
        before = self.document.objects
        self._detach()
        clear_labels(self.document)
        self.document = document
        document.canvas = self.canvas
        try:
            for obj in document.objects:
                if obj.accepted is not None:
                    self._give_layer(obj.accepted.target, insert)
            document.paint()
            if signature is not None:
                self.recovery.write_down(document, signature)
            return carry_over(before, document) if carry else 0
        finally:  # whatever fails, this is the document now
            self._detach = document.connect(self._on_happened)
            self._stale = True
            self.replaced.emit()
            self.refresh()

    def session(self) -> Callable[..., Session]:
        """What a session file holds of it; called with ``image=``, the signature, it gives the session."""
        size, unit = calibration(self.image)
        objects = self.document.objects
        order = self.orders.record(objects)
        return partial(Session, objects=objects, model=dict(self.model), order=order, pixel_size=size, unit=unit)

    def close(self) -> None:
        """Listen and write no more."""
        self._timer.stop()
        self._detach()
        self.recovery.close()
        self.canvas.release()

    def _on_happened(self, happened: Happened) -> None:
        self._stale |= happened.kind == "load" or any(
            state is not None and state.accepted is not None
            for command in happened.commands
            for change in command.changes
            for state in (change.before, change.after)
        )
        self._timer.start()
        self.happened.emit()

    def _give_layer(self, target: str, insert: Callable[[Labels], None]) -> None:
        """Find the layer that a document of another day calls so, in the viewer or out of it, or make one."""
        known = self.canvas.layers.get(target)
        if known is not None:
            self.given_up = [layer for layer in self.given_up if layer != known]
            if known not in self._viewer.layers:
                insert(known)
            return
        labels = [one for one in self._viewer.layers if isinstance(one, Labels) and not self._is_others(one)]
        free = [one for one in labels if self.canvas.name_of(one) is None]
        for layer in sorted(free, key=lambda one: one.metadata.get(HELD) != target):
            if target in (layer.metadata.get(HELD), layer.name):
                try:
                    self.canvas.adopt(layer, target)
                except InputError:
                    continue
                return
        insert(self.canvas.make(target))

    def _is_others(self, layer: Labels) -> bool:
        """Whether a layer has the objects of another image that is in the viewer."""
        held = layer.metadata.get(HELD_FOR, ())
        return str(self.image.unique_id) not in held and any(str(one.unique_id) in held for one in self._viewer.layers)

    def target(self, chosen: Labels | None) -> Labels | None:
        """Where objects go when the user comes to this image: what is chosen, unless that is another image's."""
        if chosen is not None and not self._is_others(chosen):
            return chosen
        own = [layer for layer in self.canvas.layers.values() if layer in self._viewer.layers]
        return own[-1] if own else None

    def succeed(self, before: Workbook) -> None:
        """Take over the objects of a workbook on the image as it was before it had other pixels."""
        for name, layer in before.canvas.layers.items():
            self.canvas.adopt(layer, name)
        self.orders, self.settings, self.sight = before.orders, before.settings, before.sight
        self.given_up = before.given_up
        self.document.load(before.document.objects)

    def _show_tables(self) -> None:
        size, unit = calibration(self.image)
        for name, layer in self.canvas.layers.items():
            table = features(self.document.objects, name, pixel_size=size, unit=unit)
            if table != self._tables.get(name) and (table["index"] or name in self._tables):
                self._tables[name] = table
                self._views.setdefault(name, LabelsTable(layer)).show(table)

    def _objects(self) -> Iterable[list[AnnotatedObject]]:
        """Every object, through a stack or not: its parts, the one at hand first."""
        current = self.document.current
        wholes: dict[int, list[AnnotatedObject]] = {}
        for obj in self.document.objects:
            parts = wholes.setdefault(obj.whole, [])
            parts.insert(0 if obj is current else len(parts), obj)
        return wholes.values()

    def _row(self, parts: list[AnnotatedObject], size: tuple[float, ...], unit: str) -> Row:
        obj = next((part for part in parts[1:] if part.accepted), parts[0]) if not parts[0].accepted else parts[0]
        accepted = obj.accepted
        area, colour = None, None
        if accepted is not None:
            rows, columns = obj.plane.axes
            area = self._seen_area(obj, len(parts)) * abs(size[rows] * size[columns])
            layer = self.canvas.layers.get(accepted.target)
            shown = None if layer is None else layer.get_color(accepted.label)
            colour = None if shown is None else tuple(float(part) for part in shown[:3])
        return Row(
            number=parts[0].number,
            label=obj.label,
            name=obj.name,
            colour=colour,  # type: ignore[arg-type]
            area=area,
            unit="" if accepted is None else area_unit(unit),
            score=min((p.accepted.score for p in parts if p.accepted and p.accepted.score is not None), default=None),
            clicks=sum(len(part.clicks) for part in parts if part.part is None or part.part.settled),
            plane=str(obj.plane) if len(parts) == 1 else f"{len(parts)} slices",
            state="accepted" if all(part.accepted for part in parts) else "open",
        )

    def _seen_area(self, obj: AnnotatedObject, planes: int) -> int:
        """Pixels that are to be seen, on all planes of an object."""
        accepted = obj.accepted
        if accepted is None:
            return 0
        table = self._tables.get(accepted.target)
        if table is not None and accepted.label in table["index"]:
            row = table["index"].index(accepted.label)
            if planes > 1 or table["slice"][row] == str(obj.plane):
                return int(table["area_px"][row])
        return accepted.written.area
