"""One rule: work is kept and brought back here - resume, save, load - and nothing waits for it.

Files are read and written beside the viewer; what must be asked is asked in a bar of the widget.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QFileDialog

from napari_ois._napari.confidence_verbs import ConfidenceVerbs
from napari_ois.annotation import Document, ImageSignature, load_session, save_session
from napari_ois.annotation import Session as SessionFile
from napari_ois.errors import InputError
from napari_ois.segmentation.order_files import read_maps

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_ois._napari.errands import Errands
    from napari_ois._napari.recovery import Offer
    from napari_ois._napari.session import Session
    from napari_ois._napari.workbook import Workbook

Maps = dict[str, "NDArray[np.float32]"]
FILES = "Sessions (*.json)"
OTHER_IMAGE = "{} is of another image (its pixels differ); open that image, press Start, and load it there."
LEFT_OPEN = "Objects that were here and could not be accepted again: {}. They are open in the list, with their clicks."


class SessionVerbs(ConfidenceVerbs):
    """The part of the widget that keeps work and brings it back."""

    @property
    def _errands(self) -> Errands | None:
        raise NotImplementedError

    def resume_session(self) -> None:
        """Bring back what an earlier run has left of this image; what was done since then is kept too."""
        self._do(self._resume)

    def start_new(self) -> None:
        """Leave what an earlier run has left where it is, and begin anew."""
        self.recovery_bar.dismiss()
        if self.session is not None:
            self.session.workbook.recovery.offers = ()

    def save_session(self, path: str | Path | None = None) -> None:
        """Write all objects of this image into a session file.

        Parameters
        ----------
        path : str or Path, optional
            By default a dialog asks, which does not block.
        """
        if path is None and self.session is not None:
            self._ask_file("Save session", QFileDialog.AcceptMode.AcceptSave, self.save_session)
        else:
            self._do(lambda session: self._save(session, Path(str(path))))

    def load_session(self, path: str | Path | None = None) -> None:
        """Bring back all objects of a session file of this image.

        Where there are objects already, a bar asks what becomes of them.

        Parameters
        ----------
        path : str or Path, optional
            By default a dialog asks, which does not block.
        """
        if path is None and self.session is not None:
            self._ask_file("Load session", QFileDialog.AcceptMode.AcceptOpen, self.load_session)
        else:
            self._do(lambda session: self._load(session, Path(str(path))))

    # -- resume -----------------------------------------------------------------------------------

    def _show_offer(self) -> None:
        """Show what the image of this session offers."""
        offer = None if self.session is None else self.session.workbook.recovery.offer
        if offer is None:
            self.recovery_bar.dismiss()
            return
        answers: dict[str, Callable[[], None]] = {"Resume": self.resume_session, "Start new": self.start_new}
        if len(self.session.workbook.recovery.offers) > 1:  # type: ignore[union-attr]
            answers["Another"] = self._show_another
        self.recovery_bar.ask(
            str(offer),
            answers,
            {
                "Resume": "Bring them back, with all that can be undone; what you have done since is kept too.",
                "Start new": "Begin without them; their journal stays on the disk.",
                "Another": "Show what an earlier day has left of this image.",
            },
        )

    def _show_another(self) -> None:
        if self.session is not None:
            self.session.workbook.recovery.turn()
            self._show_offer()

    def _resume(self, session: Session) -> None:
        recovery = session.workbook.recovery
        offer, kept = recovery.offer, recovery.offers
        recovery.offers = ()
        self.recovery_bar.dismiss()
        if offer is None:
            raise InputError("There is nothing to resume.")
        book = session.workbook
        recovery.resume(
            offer.path, partial(self._on_recovered, book, kept[1:]), partial(self._on_not_resumed, book, kept)
        )

    def _on_not_resumed(self, book: Workbook, offers: tuple[Offer, ...], reason: str) -> None:
        """Offer it again: what stood in the way may be gone the next time."""
        book.recovery.offers = offers
        self._show_offer()
        show_warning(reason)

    def _on_recovered(self, book: Workbook, others: tuple[Offer, ...], document: Document) -> None:
        count = len(document)
        book.recovery.offers = others
        self._replace(book, document, carry=True)
        self._say(f"{count} object{'' if count == 1 else 's'} brought back. Click on the next one.")
        self._show_offer()

    def _replace(
        self, book: Workbook, document: Document, *, carry: bool, signature: ImageSignature | None = None
    ) -> None:
        session = self.session
        if session is not None and session.workbook is book:
            session.keep_strokes()
            insert = session.layers.insert
        else:
            insert = self._viewer.layers.append
        left = book.replace(document, insert, carry=carry, signature=signature)
        self._refresh_choices()
        layers = [book.canvas.layers[obj.accepted.target] for obj in document.objects if obj.accepted is not None]
        if layers and layers[-1] in self._viewer.layers:
            self.target.value = layers[-1]
        if left:
            show_warning(LEFT_OPEN.format(left))

    # -- layers -----------------------------------------------------------------------------------

    def _check_layers(self) -> None:
        """Offer a layer with objects back that was deleted: the objects are still there."""
        session = self.session
        missing = [] if session is None else session.workbook.missing()
        if session is None or not missing:
            return
        layer, book = missing[0], session.workbook
        self.recovery_bar.ask(
            f'"{layer.name}" was deleted; its objects are still in the list.',
            {"Put it back": lambda: session.layers.insert(layer), "Leave": lambda: book.given_up.append(layer)},
            {"Leave": "The objects stay in the list; they can be written into a session file."},
        )

    # -- files ------------------------------------------------------------------------------------

    def _save(self, session: Session, path: Path) -> None:
        make, sign = session.workbook.session(), session.workbook.recovery.sign
        orders, objects = session.workbook.orders, session.document.objects
        if self._errands is not None:
            self._errands.send(
                partial(_save_with_maps, path, lambda: make(image=sign()), lambda: orders.write(path, objects)),
                lambda _: self._say(f"The session is in {path}."),
                self._on_file_failed,
                must=True,
            )

    def _load(self, session: Session, path: Path) -> None:
        sign = session.workbook.recovery.sign
        if self._errands is not None:
            self._errands.send(
                lambda: (*_load_with_maps(path), sign()),
                partial(self._on_loaded, session.workbook, path),
                self._on_file_failed,
            )

    def _on_loaded(self, book: Workbook, path: Path, loaded: tuple[SessionFile, Maps, ImageSignature]) -> None:
        found, maps, signature = loaded
        if not found.image.same_image(signature):
            show_warning(OTHER_IMAGE.format(path.name))
            return
        book.orders.learn(found.order, maps)
        here = len(book.document)
        if not here:
            self._take(book, found, signature, False)
            return
        self.recovery_bar.ask(
            f"{path.name} holds {len(found.objects)} objects, and {here} are here.",
            {
                "Add": partial(self._take, book, found, signature, True),
                "Replace": partial(self._take, book, found, signature, False),
                "Cancel": self._show_offer,
            },
            {
                "Add": "Both; those that are here get new labels.",
                "Replace": "Only those of the file; those that are here stay in their journal on the disk.",
            },
        )

    def _take(self, book: Workbook, found: SessionFile, signature: ImageSignature, carry: bool) -> None:
        document = Document()
        document.load(found.objects)
        self._replace(book, document, carry=carry, signature=signature)
        then, now = found.model.get("sha256"), book.model.get("sha256")
        other = " They were made with another model: what you reopen may look different." if then != now else ""
        self._say(f"{len(found.objects)} objects loaded.{other}")

    def _on_file_failed(self, error: BaseException) -> None:
        show_warning(str(error))

    def _ask_file(self, title: str, mode: QFileDialog.AcceptMode, then: object) -> None:
        dialog = QFileDialog(self, title, "", FILES)
        dialog.setAcceptMode(mode)
        dialog.setDefaultSuffix("json")
        dialog.fileSelected.connect(then)
        dialog.open()

    def _say(self, hint: str) -> None:
        raise NotImplementedError

    def _refresh_choices(self, event: object = None) -> None:
        raise NotImplementedError


def _save_with_maps(path: Path, make: Callable[[], SessionFile], write_maps: Callable[[], None]) -> None:
    """Write the maps of order that a session needs, then its file, which names them; beside the viewer."""
    write_maps()
    save_session(path, make())


def _load_with_maps(path: Path) -> tuple[SessionFile, Maps]:
    """Read a session file and what maps of order lie beside it; beside the viewer."""
    found = load_session(path)
    return found, read_maps(path, {obj.settings.order for obj in found.objects} - {""})
