"""One rule: what must be given back even when the widget is already destroyed is held here, by a plain object.

Session, worker, errands, workbooks, and what listens to the viewer's layers.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ois._napari.activity import Activity
from napari_ois._napari.errands import Errands
from napari_ois._napari.plane import image_array
from napari_ois._napari.predictors import PredictorFactory, make_predictor
from napari_ois._napari.preferences import Preferences, Store
from napari_ois._napari.workbook import Workbook
from napari_ois._napari.worker import Failure, InferenceWorker
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import napari
    from napari.layers import Image

    from napari_ois._napari.session import Session


class Holder:
    """What a widget has opened.

    Parameters
    ----------
    viewer : napari.Viewer
    factory : callable or None
        Makes a predictor; by default :func:`make_predictor`, as the user prefers it.
    store : Store
        Of the user's preferences.
    """

    def __init__(self, viewer: napari.viewer.Viewer, factory: PredictorFactory | None, store: Store) -> None:
        self.session: Session | None = None
        self.worker: InferenceWorker | None = None
        self.errands: Errands | None = None
        self.activity = Activity()
        self.store = store
        self.preferences: Preferences = store.load()
        self.journal_folder: Path | None = None
        self.keep_journal = self.preferences.keep_journal
        self._viewer = viewer
        self._factory = factory
        self._workbooks: list[Workbook] = []
        self._threads: dict[str, Errands] = {}
        names = ("inserted", "removed", "reordered", "renamed")
        self._events = [getattr(viewer.layers.events, name) for name in names]
        self._listener: Callable[..., None] | None = None
        self._follower: Callable[[], None] | None = None
        self._options: dict[str, Any] = {}  # what the worker's models are loaded with

    def read_preferences(self) -> Preferences:
        """Read what the user prefers now."""
        before, self.preferences = self.preferences, self.store.load()
        if before.keep_journal != self.preferences.keep_journal:
            self.keep_journal = self.preferences.keep_journal
        return self.preferences

    def follow(self, callback: Callable[[], None]) -> None:
        """Have a function called when preferences change."""
        if self._follower is None:
            self._follower = self.store.listen(callback)

    def listen(self, callback: Callable[..., None]) -> None:
        """Have a function called when layers come, go or are called otherwise."""
        if self._listener is None:
            self._listener = callback
            for emitter in self._events:
                emitter.connect(self._tell)

    def open_worker(self, on_failed: Callable[[Failure], None], on_embedded: Callable[..., None]) -> InferenceWorker:
        """Give the worker; one that runs is kept, and with it its model, unless that is to be loaded otherwise."""
        options = self.preferences.model_options if self._factory is None else {}
        if self.worker is not None and options != self._options:
            self.worker.close()
            self.worker = None
        if self.worker is None:
            self._options = options
            self.worker = InferenceWorker(self._factory or partial(make_predictor, **options))
            self.worker.failed.connect(on_failed)
            self.worker.embedded.connect(on_embedded)
        return self.worker

    def workbook(self, image: Image, on_made: Callable[[Workbook], None]) -> Workbook:
        """Give the workbook of an image, and a function a new one; those whose image or pixels are gone are closed."""
        over = [book for book in self._workbooks if self._is_over(book)]
        for book in over:
            self._workbooks.remove(book)
            book.close()
        found = next((book for book in self._workbooks if book.image == image), None)
        if found is None:
            if self.errands is None:
                self.errands = Errands()
            found = Workbook(
                self._viewer,
                image,
                self.errands,
                folder=self.journal_folder or self.preferences.folder,
                journal=self.keep_journal,
            )
            self._workbooks.append(found)
            for book in over:
                if book.image == image and np.shape(book.recovery.data) == np.shape(found.recovery.data):
                    with suppress(InputError):  # labels that lie elsewhere now are no longer this image's
                        found.succeed(book)
            on_made(found)
        return found

    def thread(self, topic: str) -> Errands:
        """A thread beside the viewer for one kind of long reading, so that files do not wait for it."""
        if topic not in self._threads:
            self._threads[topic] = Errands()
        return self._threads[topic]

    def end_session(self, *, remove_layers: bool = True, remove_clicks: bool = False) -> None:
        """End the session, if one runs."""
        session, self.session = self.session, None
        if session is not None:
            session.end(remove_layers=remove_layers, remove_clicks=remove_clicks)

    def release(self, *_: Any, remove_layers: bool = True) -> None:
        """Give everything back; harmless when done twice."""
        self.end_session(remove_layers=remove_layers)
        books, self._workbooks = self._workbooks, []
        for book in books:
            book.close()
        errands, self.errands = self.errands, None
        for thread in (*filter(None, [errands]), *self._threads.values()):
            thread.close()
        self._threads.clear()
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.close()
        self.activity.show("")
        follower, self._follower = self._follower, None
        if follower is not None:
            follower()
        listener, self._listener = self._listener, None
        if listener is not None:
            for emitter in self._events:
                emitter.disconnect(self._tell)

    def _is_over(self, book: Workbook) -> bool:
        """Whether a workbook's image is gone, or has other pixels now, of which the journal knows nothing."""
        return book.image not in self._viewer.layers or book.recovery.data is not image_array(book.image)

    def _tell(self, event: Any = None) -> None:
        """Pass an event on. Connected in the listener's place, which may be half gone when it is disconnected."""
        if self._listener is not None:
            self._listener(event)
