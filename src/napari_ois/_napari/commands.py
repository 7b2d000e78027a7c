"""One rule: every action of the widget is a command of the palette, and does there what its button does.

The manifest names these functions. Each finds the widget in the current viewer, and docks it where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_ois._napari import settings

if TYPE_CHECKING:
    import napari

    from napari_ois._napari.widget import OISWidget


def docked(viewer: napari.viewer.Viewer) -> OISWidget:
    """The segmentation widget of a viewer, shown where it is hidden, and opened where there is none."""
    from napari_ois._napari.widget import OISWidget

    found = find_docked(viewer)
    if found is None:
        found = OISWidget(viewer)
        viewer.window.add_dock_widget(found, name=settings.DOCK)
    dock = found.parentWidget()
    if dock is not None and dock.isHidden():
        dock.show()
    return found


def find_docked(viewer: napari.viewer.Viewer) -> OISWidget | None:
    """The segmentation widget that is docked in a viewer, if one is."""
    from napari_ois._napari.widget import OISWidget

    window = getattr(viewer, "window", None)  # a model of a viewer has none
    widgets = [] if window is None else window.dock_widgets.values()
    return next((widget for widget in widgets if isinstance(widget, OISWidget)), None)


def _do(verb: Callable[[OISWidget], object]) -> None:
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        verb(docked(viewer))


def start() -> None:
    """Begin to click on the plane shown."""
    _do(lambda widget: widget.start())


def toggle_polarity() -> None:
    """Switch between positive and negative clicks."""
    _do(lambda widget: widget.toggle_polarity())


def accept() -> None:
    """Write the object into labels."""
    _do(lambda widget: widget.accept())


def undo() -> None:
    """Take the newest step back."""
    _do(lambda widget: widget.undo())


def redo() -> None:
    """Do the step undone last again."""
    _do(lambda widget: widget.redo())


def clear() -> None:
    """Take the object's clicks away."""
    _do(lambda widget: widget.clear())


def next_object() -> None:
    """Go to the next object."""
    _do(lambda widget: widget.next_object())


def previous_object() -> None:
    """Go to the object before."""
    _do(lambda widget: widget.previous_object())


def reopen_object() -> None:
    """Take the chosen object up again."""
    _do(lambda widget: widget.reopen_object())


def new_object() -> None:
    """Begin another object, and leave the one before open."""
    _do(lambda widget: widget.new_object())


def delete_object() -> None:
    """Delete the chosen object."""
    _do(lambda widget: widget.delete_object())


def recolor_object() -> None:
    """Give the chosen object another colour."""
    _do(lambda widget: widget.recolor_object(ask=True))


def seed_object() -> None:
    """Begin an object from the selected label."""
    _do(lambda widget: widget.seed_object())


def resume_session() -> None:
    """Bring back what an earlier run has left."""
    _do(lambda widget: widget.resume_session())


def save_session() -> None:
    """Write all objects to a file."""
    _do(lambda widget: widget.save_session())


def load_session() -> None:
    """Bring back the objects of a file."""
    _do(lambda widget: widget.load_session())


def open_preferences() -> None:
    """Show the preferences."""
    _do(lambda widget: widget.open_preferences())


def draw_box() -> None:
    """Be ready for a box around the object."""
    _do(lambda widget: widget.draw_box())


def draw_scribble() -> None:
    """Be ready for a scribble."""
    _do(lambda widget: widget.draw_scribble())


def draw_clicks() -> None:
    """Go back to clicks."""
    _do(lambda widget: widget.draw_clicks())


def toggle_probability() -> None:
    """Show or hide the probabilities."""
    _do(lambda widget: widget.toggle_probability())


def toggle_unsure() -> None:
    """Show or hide the unsure pixels."""
    _do(lambda widget: widget.toggle_unsure())


def suggest_click() -> None:
    """Show where a click would say most."""
    _do(lambda widget: widget.suggest_click())


def take_suggestion() -> None:
    """Click where it was suggested."""
    _do(lambda widget: widget.take_suggestion())


def reset_threshold() -> None:
    """Let the model's own threshold decide."""
    _do(lambda widget: widget.reset_threshold())


def toggle_connected() -> None:
    """Keep only the parts of the mask that hold a positive click, or all of it again."""
    _do(lambda widget: widget.toggle_connected())


def preview_order() -> None:
    """Compute the source of order chosen, and show it."""
    _do(lambda widget: widget.preview_order())


def use_order() -> None:
    """Let the source of order chosen guide the mask."""
    _do(lambda widget: widget.use_order())


def cancel_order() -> None:
    """Stop computing the source of order."""
    _do(lambda widget: widget.cancel_order())


def see_plain() -> None:
    """Let the network see the image as it would by itself."""
    _do(lambda widget: widget.see_plain())


def see_shown() -> None:
    """Let the network see the image as the viewer shows it."""
    _do(lambda widget: widget.see_shown())


def toggle_sight() -> None:
    """Show what the network sees as a layer, or take it away."""
    _do(lambda widget: widget.toggle_sight())


def see_composite() -> None:
    """Let the network see all visible image layers."""
    _do(lambda widget: widget.see_composite())


def propagate() -> None:
    """Carry the object through the stack."""
    _do(lambda widget: widget.propagate())


def cancel_propagation() -> None:
    """Fill no further slice."""
    _do(lambda widget: widget.cancel_propagation())


def settle_slice() -> None:
    """Agree with the slice that is seen."""
    _do(lambda widget: widget.settle_slice())


def end_stack() -> None:
    """Say that the object ends before the slice that is seen."""
    _do(lambda widget: widget.end_stack())


def accept_stack() -> None:
    """Write the object into labels on all its slices."""
    _do(lambda widget: widget.accept_stack())


def discard_stack() -> None:
    """Forget what was propagated."""
    _do(lambda widget: widget.discard_stack())


def export_objects() -> None:
    """Write the objects into a file for other programs."""
    _do(lambda widget: widget.export_objects())


def find_everything() -> None:
    """Look for all objects on the plane."""
    _do(lambda widget: widget.find_everything())


def cancel_everything() -> None:
    """Look for no further objects."""
    _do(lambda widget: widget.cancel_everything())


def pick_candidates() -> None:
    """Make the candidates ready to be clicked on."""
    _do(lambda widget: widget.pick_candidates())


def accept_candidates() -> None:
    """Write all candidates that are shown into labels."""
    _do(lambda widget: widget.accept_candidates())


def precompute_stack() -> None:
    """Embed all slices of the image now."""
    _do(lambda widget: widget.precompute_stack())


def cancel_precompute() -> None:
    """Embed no further slice."""
    _do(lambda widget: widget.cancel_precompute())
