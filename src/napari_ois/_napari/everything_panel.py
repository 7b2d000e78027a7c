"""One rule: the panel lets a grid of prompts look for everything, lists what is left, and changes no object itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_ois._napari.candidates import Candidates, check_found
from napari_ois._napari.jobs import Job
from napari_ois._napari.parts import make_button, make_row, make_table, pressed
from napari_ois._napari.predictors import SMALL
from napari_ois.errors import InputError, OISError
from napari_ois.segmentation.lazy_plane import is_large

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.predictors import PredictorLike
    from napari_ois._napari.session import Session
    from napari_ois._napari.widget import OISWidget

HEADERS = ("#", "Score", "Stable", "Pixels")
BEGIN, ACCEPT = "begins an object", "accepts it"
TABLE_HEIGHT = 120
LOOSE = 0.5
"""Score and stability below which nothing is shown, however low the user's own limits are."""
FEW = 2
"""Prompts answered at once by a large model on a CPU, so that a click does not wait long."""


class EverythingPanel(QWidget):
    """Controls, progress and the list of candidates.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : OISWidget

    Attributes
    ----------
    candidates : Candidates or None
        Of the session that runs.
    """

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget) -> None:
        super().__init__()
        self._widget = widget
        self._job: Job | None = None
        self.candidates: Candidates | None = None
        self.grid = QSpinBox()
        self.grid.setRange(1, 64)
        self.grid.setValue(16)
        self.grid.setToolTip("Prompts along each side of the plane: more find smaller objects, and take longer.")
        self.closer = QSpinBox()
        self.closer.setRange(0, 3)
        self.closer.setSpecialValueText("none")
        self.closer.setToolTip(
            "For small objects: look again in 2 x 2 windows (1), then 4 x 4 (2), with the same grid in each. "
            "Takes five times, twenty-one times as long."
        )
        self.score = _share(0.8, "Show candidates that the model is at least so sure of.")
        self.stability = _share(0.7, "Show candidates whose mask hardly changes with its threshold.")
        self.find_button = _button("Find candidates", "Ask for everything on the plane; clicks go between.")
        self.cancel_button = _button("Cancel", "Look no further.")
        self.action = QComboBox()
        self.action.addItems((BEGIN, ACCEPT))
        self.action.setToolTip("What a click on a candidate, or a double click on its row, does.")
        self.pick_button = _button("Pick on the image", "Make the candidates' layer active: click on one there.")
        self.accept_button = _button(
            "Accept all shown", "Write all candidates in the list into the labels, in one step that can be undone."
        )
        self.progress = QProgressBar()
        self.progress.setFormat("%v of %m prompts")
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.table = make_table(HEADERS, TABLE_HEIGHT)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.setToolTip("The best first. A click shows one alone, a double click picks it.")
        self._lay_out()
        for button, action in (
            (self.find_button, widget.find_everything),
            (self.cancel_button, widget.cancel_everything),
            (self.pick_button, widget.pick_candidates),
            (self.accept_button, widget.accept_candidates),
        ):
            button.clicked.connect(pressed(action))
        for limit in (self.score, self.stability):
            limit.valueChanged.connect(self._filter)
        self.table.itemSelectionChanged.connect(self._on_row)
        self.table.cellDoubleClicked.connect(lambda row, column: self._on_clicked(self.rows[row]))
        widget.begun.connect(self._on_session)
        widget.ended.connect(self._on_session)
        self._show()

    # -- read -------------------------------------------------------------------------------------

    @property
    def rows(self) -> list[int]:
        """The candidates listed, by their index."""
        return [int(self.table.item(row, 0).data(Qt.ItemDataRole.UserRole)) for row in range(self.table.rowCount())]

    @property
    def running(self) -> bool:
        """Whether it is looking."""
        return self._job is not None and self._job.running

    # -- verbs ------------------------------------------------------------------------------------

    def find(self, session: Session) -> None:
        """Look for everything on the plane of a session; InputError where it is too large."""
        worker = self._widget.worker
        if worker is None or self.running:
            return
        self._drop()
        if is_large(session.plane.shape):
            raise InputError("This plane is too large to look for everything at once; crop it, or click on objects.")
        read = session.sight.reader(session.look)
        depth = session.workbook.orders.depth(session.order)
        self._job = Job(worker, partial(_look, read, depth, self.grid.value(), self.closer.value()))
        self._job.stepped.connect(self._on_stepped)
        self._job.failed.connect(_tell)
        self._job.ended.connect(self._on_ended)
        self._show("Looking...")

    def cancel(self) -> None:
        """Look no further."""
        if self._job is not None:
            self._job.cancel()

    def pick(self) -> None:
        """Make the candidates ready to be clicked on; InputError where there are none."""
        check_found(self.candidates).activate()

    def accept(self) -> None:
        """Write all candidates that are shown into the labels; InputError where there are none."""
        found = check_found(self.candidates)
        found.refresh()  # what was picked or undone a moment ago
        self._accept(found.left)

    # -- how --------------------------------------------------------------------------------------

    def _accept(self, indices: list[int]) -> None:
        widget = self._widget
        check_found(self.candidates).accept(indices, widget.target.value, widget.rule.value, self._on_accepted)

    def _on_accepted(self, written: int, without_room: int) -> None:
        rest = f"; {without_room} had no pixel left that is nobody's" if without_room else ""
        self._show(f"{written} accepted{rest}.")

    def _on_stepped(self, step: Any) -> None:
        self.progress.setRange(0, step.total)
        self.progress.setValue(step.done)
        session = self._widget.session  # a job does not outlive the session that it looks for
        if step.candidates is None or session is None or not session.active:
            return
        found = Candidates(session, step.candidates)
        found.clicked.connect(self._on_clicked)
        found.changed.connect(self._fill)
        self.candidates = found
        self._filter()
        self._fill()
        if session.object is None:  # else the next click is meant for that
            found.activate()

    def _on_ended(self, finished: bool) -> None:
        if finished and self.candidates is not None:
            self._show(f"{len(self.candidates.left)} candidates: click on one, or accept all.")
        else:
            self._show("Nothing was kept." if not finished else "")

    def _on_clicked(self, index: int) -> None:
        try:
            found = check_found(self.candidates)
            found.refresh()
            if index not in found.left:
                return
            if self.action.currentText() == ACCEPT:
                self._accept([index])
            else:
                found.begin(index)
                self._show("Refine it by clicks, then accept it.")
        except OISError as error:
            show_warning(str(error))

    def _on_row(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if self.candidates is not None:
            self.candidates.point_out(self.rows[rows[0].row()] if rows else None)

    def _on_session(self, *_: object) -> None:
        """A session has begun or ended: what was found belongs to the one before."""
        self.cancel()
        self._drop()
        self._show()

    def _drop(self) -> None:
        found, self.candidates = self.candidates, None
        if found is not None:
            found.release()
        self._fill()

    def _filter(self, *_: object) -> None:
        if self.candidates is not None:
            self.candidates.filter(self.score.value(), self.stability.value())

    def _fill(self) -> None:
        """List the candidates that are left."""
        found = self.candidates
        left = [] if found is None else found.left
        self.table.clearSelection()
        self.table.setRowCount(len(left))
        for row, index in enumerate(left):
            each = found.found[index]  # type: ignore[union-attr]
            texts = (str(index + 1), f"{each.score:.2f}", f"{each.stability:.2f}", str(each.area))
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, index)
                item.setFlags(Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
        self._show()

    def _show(self, text: str | None = None) -> None:
        session, running, some = self._widget.session is not None, self.running, bool(self.table.rowCount())
        self.find_button.setEnabled(session and not running)
        self.cancel_button.setEnabled(running)
        self.progress.setVisible(running)
        self.pick_button.setEnabled(some)
        self.accept_button.setEnabled(some)
        if text is not None or not session:
            self.status.setText(text or "")

    def _lay_out(self) -> None:
        form = QGridLayout()
        for number, (name, control) in enumerate(
            (
                ("Grid", self.grid),
                ("Closer", self.closer),
                ("Score ≥", self.score),
                ("Stable ≥", self.stability),
                ("A click", self.action),
            )
        ):
            form.addWidget(QLabel(name), number, 0)
            form.addWidget(control, number, 1)
        form.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addLayout(make_row(self.find_button, self.cancel_button))
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addWidget(self.table)
        layout.addLayout(make_row(self.pick_button, self.accept_button))


def _look(read: Callable[[], Any], depth: Any, grid: int, closer: int, predictor: PredictorLike) -> Iterator[Any]:
    """Read the plane and look for everything, with the session's order; in the inference thread, which has torch."""
    from napari_ois.segmentation.everything import BATCH, propose
    from napari_ois.segmentation.sieve import Sieve

    predictor.set_image(read(), depth=depth)
    info = predictor.model_info
    slow = predictor.device == "cpu" and info is not None and info.parameters >= SMALL
    yield from propose(
        predictor,  # type: ignore[arg-type]
        grid=grid,
        closer=closer,
        batch=FEW if slow else BATCH,
        sieve=Sieve(score=LOOSE, stability=LOOSE),
    )


def _tell(error: BaseException) -> None:
    show_warning(str(error))


def _share(value: float, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(LOOSE, 1.0)
    box.setSingleStep(0.05)
    box.setValue(value)
    box.setToolTip(tip)
    return box


def _button(text: str, tip: str) -> QPushButton:
    button = make_button(text, tip)
    button.setMinimumWidth(40)  # the dock's width is not ours to widen
    return button
