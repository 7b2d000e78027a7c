"""One rule: what is done to an image is written down as it is done, and what an earlier run left is offered.

An image is known by its pixels, so its signature is taken first, in the errands' thread; until it is there, what
is done waits in the document, and is written down then.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from qtpy.QtCore import QObject, Signal

from napari_ois.annotation import Document, ImageSignature, Journal, find_journals, recover
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ois._napari.errands import Errands
    from napari_ois.annotation import AnnotatedObject

JOURNAL_OFF = "The journal cannot be kept ({}); save the session by hand."
AT_WORK = "Another window is at these objects; go on there, or close it and press Resume again."

MOST_OFFERS = 9
"""Of one image; each is read to the end to be counted."""

_WRITTEN: WeakSet[Journal] = WeakSet()  # in this process: two viewers on one image know nothing of each other


@dataclass(frozen=True)
class Offer:
    """Objects that an earlier run has left.

    Attributes
    ----------
    path : Path
        Of the journal.
    count : int
        How many objects.
    when : str
        Of its last line, in local time.
    """

    path: Path
    count: int
    when: str

    def __str__(self) -> str:
        """For the user."""
        return f"Found {self.count} object{'' if self.count == 1 else 's'} from {self.when}."


class Recovery(QObject):
    """The journal of one image's document.

    Parameters
    ----------
    data : array
        The image.
    source : str or None
        Its path, for the reader of the journal.
    errands : Errands
    folder : Path, optional
        By default the user's data folder.
    enabled : bool
        False: nothing is written, nothing is looked for.

    Signals
    -------
    offered(Offer)
        An earlier run has left objects.
    failed(str)
        The journal has ended, and why; once.
    """

    offered = Signal(object)
    failed = Signal(str)

    def __init__(
        self,
        data: Any,
        source: str | None,
        errands: Errands,
        *,
        folder: Path | None,
        enabled: bool,
    ) -> None:
        super().__init__()
        self.signature: ImageSignature | None = None
        self.journal: Journal | None = None
        self.offers: tuple[Offer, ...] = ()  # the one that is shown first
        self._data, self._source = data, source
        self._errands = errands
        self._folder = folder
        self._enabled = enabled
        self._said = False

    @property
    def offer(self) -> Offer | None:
        """What an earlier run has left, of several the one that is shown."""
        return self.offers[0] if self.offers else None

    def turn(self) -> None:
        """Show the next older one; after the oldest the newest."""
        self.offers = (*self.offers[1:], *self.offers[:1])

    @property
    def data(self) -> Any:
        """The pixels that the image is known by."""
        return self._data

    def begin(self, document: Callable[[], Document]) -> None:
        """Find out which image it is, write down what happens, and look for what is there.

        Parameters
        ----------
        document : callable
            Gives the document to write down, when the image is known.
        """
        if self._enabled:
            self._errands.send(
                partial(ImageSignature.of, self._data, self._source),
                partial(self._on_signature, document),
                lambda error: self._fail(JOURNAL_OFF.format(error)),
            )

    def sign(self) -> ImageSignature:
        """The image's signature; takes a while, and may be called in the errands' thread."""
        return self.signature or ImageSignature.of(self._data, self._source)

    def write_down(self, document: Document, signature: ImageSignature) -> None:
        """Begin a journal of a document, and end the one before, which stays on the disk."""
        self.close()
        self.signature = signature
        self.journal = Journal(signature, self._folder, enabled=self._enabled, aside=self._aside)
        _WRITTEN.add(self.journal)
        self.journal.attach(document)
        self.check()

    def resume(self, path: Path, done: Callable[[Document], None], failed: Callable[[str], None]) -> None:
        """Recover a document from a journal and go on writing there.

        Parameters
        ----------
        path : Path
        done : callable
            Takes the document; called in the viewer's thread.
        failed : callable
            Takes the reason where it cannot be read.
        """
        if path in _in_use():
            failed(AT_WORK)
            return
        self._errands.send(
            partial(_resume, path, self._aside), partial(self._on_resumed, done), lambda error: failed(str(error))
        )

    def check(self) -> None:
        """Say once that the journal has failed, where it has."""
        if self.journal is not None and self.journal.failed:
            self._fail(self.journal.failed)

    def detach(self) -> None:
        """Write nothing down for now."""
        if self.journal is not None:
            self.journal.detach()

    def close(self) -> None:
        """Close the journal; it stays where it is."""
        if self.journal is not None:
            _WRITTEN.discard(self.journal)
            self.journal.close()
            self.journal = None

    def _aside(self, force: Callable[[], None]) -> None:
        self._errands.send(force, lambda _: self.check())

    def _on_signature(self, document: Callable[[], Document], signature: ImageSignature) -> None:
        self.signature = signature
        if self.journal is None:
            self.write_down(document(), signature)
        look = partial(_look, signature, self._folder, _in_use(), document().objects)
        self._errands.send(look, self._on_found, lambda error: self._fail(JOURNAL_OFF.format(error)))

    def _on_found(self, offers: tuple[Offer, ...]) -> None:
        self.offers = offers
        if offers:
            self.offered.emit(offers[0])

    def _on_resumed(self, done: Callable[[Document], None], resumed: tuple[Document, Journal]) -> None:
        document, journal = resumed
        _WRITTEN.add(journal)
        before, self.journal = self.journal, None
        if before is not None:
            before.detach()
        done(document)
        self.journal = journal
        if before is not None:
            before.discard()  # what it held was carried over

    def _fail(self, reason: str) -> None:
        if not self._said:
            self._said = True
            self.failed.emit(reason)


def _in_use() -> frozenset[Path]:
    """The journals that are being written, which are nobody else's to resume."""
    return frozenset(journal.path for journal in _WRITTEN if journal.path is not None)


def _look(
    signature: ImageSignature, folder: Path | None, in_use: frozenset[Path], here: tuple[AnnotatedObject, ...]
) -> tuple[Offer, ...]:
    """Find the journals of an image that end with objects, the newest first, but those of which all are here."""
    known = {obj.number: obj for obj in here}
    offers: list[Offer] = []
    for found in find_journals(signature, folder):
        if found.path in in_use:
            continue
        document = Document()
        try:
            recover(found.path, document)
        except InputError:
            continue
        if any(known.get(obj.number) != obj for obj in document.objects):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.modified))
            offers.append(Offer(found.path, len(document), when))
        if len(offers) == MOST_OFFERS:
            break
    return tuple(offers)


def _resume(path: Path, aside: Callable[[Callable[[], None]], None]) -> tuple[Document, Journal]:
    document = Document()
    return document, Journal.resume(path, document, aside=aside)
