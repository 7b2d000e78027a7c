"""One rule: the panel shows where order may come from and what it means; what is taken is the session's to use.

A source is computed beside the viewer, shown where it was asked for, and taken with "Use": the plane is embedded
anew with that depth, and the clicks are answered again. What was taken for an image holds for its other planes,
as far as the source has something there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_ois._napari import order_request as ask
from napari_ois._napari.order_form import OrderForm
from napari_ois._napari.order_layers import OrderLayers, shown_depth
from napari_ois._napari.order_task import OrderTask
from napari_ois._napari.parts import pressed
from napari_ois._napari.plane import Plane, image_array
from napari_ois._napari.quiet import set_visible
from napari_ois.errors import InputError, OISError

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer

    from napari_ois._napari.order_request import Request
    from napari_ois._napari.session import Session
    from napari_ois._napari.widget import OISWidget
    from napari_ois.segmentation.stack_depth import DepthMap

TOPIC = "order"
OWN_WORDS = "In use: depth estimated by the model."


class OrderPanel(QWidget):
    """Source of order.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    widget : OISWidget
    """

    def __init__(self, viewer: napari.viewer.Viewer, widget: OISWidget) -> None:
        super().__init__()
        self._viewer, self._widget = viewer, widget
        self._taken: list[tuple[Image, Request]] = []  # what the user wants for an image's planes
        self._found: tuple[tuple[Any, ...], Request, DepthMap] | None = None  # the newest, and the choices it is of
        self._pixels = 0  # which array that is of
        self._fresh: Request | None = None  # is being taken
        self._known: set[int] = set()  # objects that were there when the session began
        self.layers = OrderLayers(viewer)
        self.task = OrderTask(partial(widget.thread, TOPIC))
        self.form = OrderForm(viewer, lambda: widget.image.value, self._own, self._on_choice)
        self.preview_button = QPushButton("Preview")
        self.preview_button.setToolTip("Compute the depth and show it as a layer; unknown pixels are cyan.")
        self.use_button = QPushButton("Use")
        self.use_button.setToolTip(
            "Let this order guide the mask of the object that you are at, whose clicks are answered again, and of "
            "those to come. Undo gives that object the order that it had."
        )
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop computing; nothing changes.")
        self.bar = QProgressBar()
        self.bar.setMaximumHeight(14)
        self.result, self.in_use = QLabel(), QLabel(OWN_WORDS)
        for label in (self.result, self.in_use):
            label.setWordWrap(True)
        buttons = QHBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        for button, action in (
            (self.preview_button, self.preview), (self.use_button, self.use), (self.cancel_button, self.cancel),
        ):  # fmt: skip
            buttons.addWidget(button)
            button.clicked.connect(pressed(action))
        layout.addLayout(buttons)
        for part in (self.bar, self.result, self.in_use):
            layout.addWidget(part)
        self.task.progress.connect(self._on_progress)
        widget.begun.connect(self._on_begun)
        widget.ended.connect(self._on_ended)
        widget.embedded.connect(self._on_embedded)
        widget.layers_changed.connect(self._on_layers)
        widget.image.changed.connect(self._on_layers)
        self._show_running(False)

    # -- verbs ------------------------------------------------------------------------------------

    def preview(self) -> None:
        """Compute the order chosen and show it; of a stack, also the image that is made to click on."""
        self._get(self._show)

    def use(self) -> None:
        """Take the order chosen; without a session, or for a stack, one is begun."""
        self._get(self._take)

    def cancel(self) -> None:
        """Stop computing."""
        self.task.cancel()
        self._show_running(False)
        self.result.setText("Stopped; nothing was changed.")

    # -- compute ----------------------------------------------------------------------------------

    def _get(self, then: Any) -> None:
        """Compute what is chosen, or take what is there of it, and go on."""
        choices = self._choices()
        try:
            request = self.form.request()
        except InputError as error:
            self._on_failed(error)
            return
        # A layer's values may have been corrected since.
        if self._found is not None and self._found[0] == choices and request.kind != ask.LAYER:
            then(*self._found[1:])
            return
        self._compute(request, partial(self._on_found, choices, request, then))

    def _choices(self) -> tuple[Any, ...]:
        pixels = (id(image_array(one)) for one in (self._widget.image.value, self.form.stack.value) if one is not None)
        return (*self.form.signature, self._widget.image.value, tuple(self._viewer.dims.current_step), *pixels)

    def _compute(self, request: Request, done: Any) -> None:
        self._show_running(True)
        self.task.begin(request, done, self._on_failed)

    def _on_found(self, choices: tuple[Any, ...], request: Request, then: Any, found: DepthMap) -> None:
        self._show_running(False)
        self._found, self._pixels = (choices, request, found), id(image_array(request.layer))
        self.result.setText(_words(request, found))
        if request.plane is None:
            self.layers.forget_projection()
        then(request, found)

    def _on_failed(self, error: BaseException) -> None:
        self._show_running(False)
        self.result.setText(str(error))
        if not isinstance(error, OISError):
            raise error  # a fault of ours: napari shows it
        show_warning(str(error))

    # -- show -------------------------------------------------------------------------------------

    def _show(self, request: Request, found: DepthMap) -> None:
        if request.plane is None:
            self._show_stack(request, found)
            return
        if found.depth is None or request.kind == ask.NONE:
            self._show_own(request)
            return
        geometry = request.plane.geometry(request.layer)
        self.layers.show_depth(request.layer, request.plane.lift(shown_depth(found)), request.layer.name, geometry)

    def _show_own(self, request: Request) -> None:
        """The model's own depth is a layer already, once the image is embedded."""
        self.layers.clear_depth()
        session = self._session_on(request.layer)
        if request.kind == ask.NONE:
            self.result.setText("There is nothing to show: every place counts as equally deep.")
        elif session is None or session.order:
            self.result.setText("The model estimates it when it is used; press Use, and look at the depth layer.")
        else:
            set_visible(session.layers.depth, True)

    def _show_stack(self, request: Request, found: DepthMap) -> Image:
        made = self.layers.made
        if made is None or made not in self._viewer.layers:
            made = self.layers.show_projection(request, found)
        lifted = shown_depth(found).reshape(made.data.shape[: made.ndim])
        self.layers.show_depth(made, lifted, made.name, _geometry(made))
        set_visible(self.layers.depth, True)  # type: ignore[arg-type]
        return made

    # -- take -------------------------------------------------------------------------------------

    def _take(self, request: Request, found: DepthMap) -> None:
        image = request.layer
        if request.plane is None:
            image = self._show_stack(request, found)
            self._widget.image.value = image
        self._taken = [(one, asked) for one, asked in self._taken if one != image and one in self._viewer.layers]
        self._taken.append((image, request))
        self.layers.clear_depth()
        session = self._session_on(image)
        if session is None:
            self._widget.image.value, self._fresh = image, request
            self._widget.start()  # hears of the choice in _on_begun; the depth is there
            self._fresh = None
            session = self._session_on(image)
            if session is None:
                return
        if request.plane is None:
            self.layers.made = None  # it is the user's now
        if _same_place(request, session.plane):
            self._apply(session, request, found)
            return
        try:  # the viewer shows another slice than the session's
            self._carry(session, request, only_next=False)
        except InputError as error:
            self._on_failed(error)

    def _apply(
        self, session: Session, request: Request, found: DepthMap, *, only_next: bool = False, chosen: bool = True
    ) -> None:
        """Have a session answer with an order; one that was just chosen is switched on."""
        if request.kind == ask.NONE:
            session.adjust(only_next=only_next, order_strength=0.0)
        else:
            key = "" if found.depth is None else session.workbook.orders.add(found.depth, request.record)
            strength = session.settings.order_strength
            session.adjust(only_next=only_next, order=key, order_strength=strength or 1.0 if chosen else strength)
        self._say_in_use()

    def _session_on(self, image: Image) -> Session | None:
        session = self._widget.session
        return session if session is not None and session.image == image else None

    # -- slots ------------------------------------------------------------------------------------

    def _on_begun(self, session: Session) -> None:
        """Go on with what was taken for the image, on whichever plane of it."""
        request = next((asked for image, asked in self._taken if image == session.image), None)
        self._known = {obj.number for obj in session.document.objects}
        if session.image is self.layers.made:
            self.layers.made = None  # it is the user's now
        if request is None:
            self._say_in_use()
            return
        if self._found is not None and self._is_found(request) and _same_place(request, session.plane):
            self._apply(session, request, self._found[2], only_next=True, chosen=False)
            return
        try:
            self._carry(session, request, only_next=True)
        except InputError as error:
            self.result.setText(f"{error} The model's own depth is used on this plane.")

    def _is_found(self, request: Request) -> bool:
        """Whether the newest that was found is what a request gives now."""
        if self._found is None or self._found[1] is not request:
            return False
        # A layer's values may have been corrected since it was taken, and the image have other pixels.
        kept = request.kind != ask.LAYER or request.given not in self._viewer.layers
        return request is self._fresh or (kept and self._pixels == id(image_array(request.layer)))

    def _carry(self, session: Session, request: Request, *, only_next: bool) -> None:
        """Compute what was taken on another plane for that of a session, and have it answer with that."""
        again = request if request.plane is None else self._moved(request, session)
        self._compute(again, partial(self._on_moved, session, again, only_next))

    def _moved(self, request: Request, session: Session) -> Request:
        """The same request on the plane of a session."""
        if request.kind == ask.LAYER:
            layer = request.given if request.given in self._viewer.layers else None
            source: Any = request.source
            return ask.about_layer(session.image, session.plane, layer, nearer=source.nearer, invalid=source.invalid)
        return ask.about_plane(request.kind, session.image, session.plane, model=str(request.record.get("model", "")))

    def _on_moved(self, session: Session, request: Request, only_next: bool, found: DepthMap) -> None:
        self._show_running(False)
        if session.active:
            obj = session.object  # begun meanwhile, it has waited for this as those to come have
            waited = obj is not None and obj.number not in self._known
            self._apply(session, request, found, only_next=only_next and not waited, chosen=not only_next)

    def _on_ended(self) -> None:
        self.in_use.setText(OWN_WORDS)

    def _on_embedded(self, *_: Any) -> None:
        self._say_in_use()

    def _say_in_use(self) -> None:
        """Say with what the object on the screen is answered."""
        session = self._widget.session
        if session is None:
            return
        obj = session.object
        settings = session.settings if obj is None else obj.settings
        if settings.order_strength == 0:
            self.in_use.setText("In use: no order.")
        elif not session.order:
            self.in_use.setText(OWN_WORDS)
        elif session.workbook.orders.depth(session.order) is None:
            self.in_use.setText(f"{OWN_WORDS[:-1]}, as the map of this object is not here.")
        else:
            self.in_use.setText(f"In use: {session.workbook.orders.statement(session.order)}")

    def _on_layers(self, *_: Any) -> None:
        self.form.refresh()

    def _on_choice(self) -> None:
        self.result.setText("")

    def _on_progress(self, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)

    def _show_running(self, running: bool) -> None:
        self.bar.setRange(0, 0)
        self.bar.setVisible(running)
        self.cancel_button.setEnabled(running)
        self.preview_button.setEnabled(not running)
        self.use_button.setEnabled(not running)

    def _own(self, layer: Layer) -> bool:
        session = self._widget.session
        return layer == self.layers.depth or (session is not None and session.layers.owns(layer))


def _words(request: Request, found: DepthMap) -> str:
    if request.kind == ask.NONE:
        return ""
    if found.depth is None:
        return "The model estimates it when it embeds the image."
    share = f"Known at {found.known.mean():.1%} of the image"
    return f"{share}; the rest is filled in." if not found.known.all() else f"{share}."


def _same_place(request: Request, plane: Plane) -> bool:
    return request.plane is None or request.plane == plane


def _geometry(layer: Image) -> dict[str, Any]:
    return {
        name: getattr(layer, name) for name in ("scale", "translate", "rotate", "shear", "units", "axis_labels")
    } | {"affine": layer.affine.affine_matrix}
