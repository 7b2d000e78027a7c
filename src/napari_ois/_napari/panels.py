"""One rule: a panel is one topic of the widget, folded until wanted; it hears from the widget and calls its verbs.

A panel is a Qt widget that takes the viewer and the segmentation widget. It connects to the widget's signals
(``begun``, ``ended``, ``embedded``, ``answered``), so the widget knows nothing of any panel but its title.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_ois._napari.ahead_panel import AheadPanel
from napari_ois._napari.confidence_panel import ConfidencePanel
from napari_ois._napari.everything_panel import EverythingPanel
from napari_ois._napari.export_panel import ExportPanel
from napari_ois._napari.order_panel import OrderPanel
from napari_ois._napari.preference_panel import PreferencePanel
from napari_ois._napari.preference_verbs import PREFERENCES
from napari_ois._napari.prompt_panel import PromptPanel
from napari_ois._napari.sight_panel import SightPanel
from napari_ois._napari.sight_verbs import SIGHT
from napari_ois._napari.stack_panel import StackPanel

if TYPE_CHECKING:
    import napari
    from qtpy.QtWidgets import QWidget

    from napari_ois._napari.widget import OISWidget

PANELS: tuple[tuple[str, Callable[[napari.viewer.Viewer, OISWidget], QWidget]], ...] = (
    ("Boxes and scribbles", PromptPanel),
    ("Confidence", ConfidencePanel),
    ("Source of order", OrderPanel),
    (SIGHT, SightPanel),
    ("Segment everything", EverythingPanel),
    ("Stack", StackPanel),
    ("Prepare a stack", AheadPanel),
    ("Export", ExportPanel),
    (PREFERENCES, PreferencePanel),
)
"""Title and class of each, from top to bottom."""
