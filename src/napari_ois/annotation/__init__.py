"""Floor 3: what the user did - clicks, objects, their history, and files of them. numpy only, no torch, no Qt.

::

    clicks, packed, planes         values: clicks on a plane, a mask, where a plane lies
    objects, records               an object as a value, and its JSON
    document                       all objects of an image, changed by commands (ledger, commands, history, happened)
    canvas, accepting              how labels follow from objects
    gestures, prompts              drawings to clicks, and to the mask that an object begins from
    reading, answers               which pixels of an answer are the object
    replay, playback               clicks to a mask; a whole session to labels
    propagation, stacks            one object through a stack: found, and kept as one object a plane
    signature, journal, session_file, features, export, export_rois
"""

from __future__ import annotations

from napari_ois.annotation.canvas import ArrayCanvas, Canvas
from napari_ois.annotation.clicks import Click, Clicks
from napari_ois.annotation.document import Document
from napari_ois.annotation.features import features
from napari_ois.annotation.gestures import box_clicks, mask_clicks, scribble_clicks
from napari_ois.annotation.happened import Happened
from napari_ois.annotation.journal import Journal, find_journals, recover
from napari_ois.annotation.objects import Accepted, AnnotatedObject, Edits, NewObject, Part, Seed, Settings, new_object
from napari_ois.annotation.packed import PackedMask
from napari_ois.annotation.planes import PlaneKey
from napari_ois.annotation.prompts import Prompt
from napari_ois.annotation.propagation import StackObject, propagate
from napari_ois.annotation.replay import Replay
from napari_ois.annotation.session_file import Session, load_session, save_session
from napari_ois.annotation.signature import ImageSignature
from napari_ois.annotation.stacks import StackSlice

__all__ = [
    "Accepted",
    "AnnotatedObject",
    "ArrayCanvas",
    "Canvas",
    "Click",
    "Clicks",
    "Document",
    "Edits",
    "Happened",
    "ImageSignature",
    "Journal",
    "NewObject",
    "PackedMask",
    "Part",
    "PlaneKey",
    "Prompt",
    "Replay",
    "Seed",
    "Session",
    "Settings",
    "StackObject",
    "StackSlice",
    "box_clicks",
    "features",
    "find_journals",
    "load_session",
    "mask_clicks",
    "new_object",
    "propagate",
    "recover",
    "save_session",
    "scribble_clicks",
]
