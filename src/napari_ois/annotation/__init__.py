"""Floor 3: what the user did - clicks and objects. numpy only, no torch, no Qt."""

from __future__ import annotations

from napari_ois.annotation.clicks import Click, Clicks
from napari_ois.annotation.objects import NewObject, new_object
from napari_ois.annotation.replay import Replay

__all__ = ["Click", "Clicks", "NewObject", "Replay", "new_object"]
