"""One rule: every name, key and colour that the user meets in the viewer is written here, once."""

from __future__ import annotations

PLUGIN = "napari-ois"
WIDGET = "Order-aware segmentation"
DOCK = f"{WIDGET} (Order-aware interactive segmentation)"
"""Name of the widget's dock as napari's menus make it; under another they would open a second widget."""

POLARITY = "polarity"
"""Column of the clicks layer's features."""
POSITIVE, NEGATIVE = "positive", "negative"
COLORS = {POSITIVE: "#2ca25f", NEGATIVE: "#e6550d"}
SYMBOLS = {POSITIVE: "disc", NEGATIVE: "x"}  # told apart without colour too

# Single letters that napari leaves free in Points, Labels, Image and viewer maps.
KEY_POLARITY, KEY_ACCEPT, KEY_UNDO, KEY_REDO, KEY_CLEAR = "Q", "G", "U", "J", "K"
KEY_NEXT, KEY_PREVIOUS, KEY_REOPEN = "N", "H", "W"
KEYS = {
    "toggle_polarity": KEY_POLARITY,
    "accept": KEY_ACCEPT,
    "undo": KEY_UNDO,
    "redo": KEY_REDO,
    "clear": KEY_CLEAR,
    "next_object": KEY_NEXT,
    "previous_object": KEY_PREVIOUS,
    "reopen_object": KEY_REOPEN,
}
"""The verb of the widget that each calls, unless the user has chosen another key; see :mod:`.preferences`."""
FREE_KEYS = tuple("DGHIJKNQRTUW")
"""What the user may choose; those that napari uses in Shapes layers are not bound there."""
SHAPES_KEYS = tuple("DIRT")
"""Of these what napari uses in Shapes layers."""

RULES = (
    ("keep theirs", "keep"),
    ("take them", "overwrite"),
    ("ask each time", "ask"),
)
"""What happens to pixels that other objects have: what the user reads, and the rule's name."""

PREVIEW_COLOR = "#3fb8ff"
STACK_COLOR = "#f2b134"
"""Of an object on slices that were filled from others."""
PREVIEW_OPACITY = 0.55
REGION_COLOR = "#ffcc33"
DEPTH_COLORMAP = "inferno"  # larger = nearer = brighter
ORDER_COLORMAP = "viridis"  # 0 = at the clicks' depth = dark

PROBABILITY_COLORMAP = "magma"
UNSURE_COLOR = "#ffd92f"
SUGGESTION_COLOR = "#ff4fc3"

DEVICES = ("auto", "cpu", "cuda", "mps")
DEFAULT_MODEL = "ois-compact"

JOURNAL = True
"""Whether what is done is written down in the user's data folder as it is done, so that a crash loses nothing."""
