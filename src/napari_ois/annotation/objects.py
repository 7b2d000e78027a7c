"""One rule: an object is a value - what the user did to it, and what it wrote when it was accepted.

Its mask is the network's answer to its clicks; where no click was made, its seed; and on top of either the
user's own edits with the brush, which stay when the clicks change. What is kept is enough to make the same
mask again, and to take it out of the labels again. numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.annotation.clicks import NO_CLICKS, Clicks
from napari_ois.annotation.packed import Box, PackedMask, joined_box
from napari_ois.annotation.planes import PlaneKey
from napari_ois.annotation.reading import played_positives, read_answer
from napari_ois.errors import InputError
from napari_ois.segmentation.appearance import PLAIN, Appearance
from napari_ois.segmentation.frame import View

BOX = "box"
"""Source of a seed that a box drawn by the user gave."""

SLACK = 0.1
"""How far an object may reach out of a box that was drawn around it by hand, in longer sides of the box."""


@dataclass(frozen=True)
class Seed:
    """A mask that an object starts from, instead of a first click.

    Attributes
    ----------
    mask : PackedMask
    source : str
        Where it came from: the target's name where it is one of the document's labels, else any text.
    label : int
        Its label there; 0 where it had none.
    """

    mask: PackedMask
    source: str = ""
    label: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything to start from."""
        return bool(self.mask)

    @property
    def box(self) -> Box | None:
        """The drawn box that it is the ellipse of; None where it is a mask, of a layer that is called "box" too."""
        return self.mask.box if self.source == BOX and not self.label else None

    @property
    def bound(self) -> View | None:
        """What a drawn box says of the object's extent: the box, and a little more on each side; else None."""
        box = self.box
        if box is None:
            return None
        top, left, bottom, right = box
        more = ceil(SLACK * max(bottom - top, right - left))
        return View(top - more, left - more, bottom + more, right + more)


@dataclass(frozen=True)
class Edits:
    """What the user painted into and out of a preview; no pixel is in both.

    Attributes
    ----------
    added, removed : PackedMask
    """

    added: PackedMask
    removed: PackedMask

    @classmethod
    def none(cls, shape: tuple[int, int]) -> Edits:
        """No edits on a plane of this shape."""
        return cls(PackedMask.empty(shape), PackedMask.empty(shape))

    def painted(self, before: ArrayLike | PackedMask, after: ArrayLike | PackedMask) -> Edits:
        """With one more stroke; of a pixel painted twice, the later stroke counts.

        Parameters
        ----------
        before, after : (H, W) arrays, or packed
            What the preview showed before the stroke and after it, true or nonzero in the object.
        """
        old, new = PackedMask.pack(before), PackedMask.pack(after)
        more, less = new - old, old - new
        return Edits((self.added | more) - less, (self.removed | less) - more)

    def on(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A (H, W) mask with the edits on top."""
        return (mask | self.added.unpack()) & ~self.removed.unpack()

    def __bool__(self) -> bool:
        return bool(self.added) or bool(self.removed)


@dataclass(frozen=True)
class Settings:
    """How the network's answer to an object's clicks is asked for and read.

    Attributes
    ----------
    order_strength : float
        See :meth:`napari_ois.Predictor.predict`; 1 as trained.
    threshold : float or None
        Probability above which a pixel belongs to the mask; None for the predictor's own.
    order : str
        Which depth map the order came from: its key, see :func:`napari_ois.segmentation.depth.depth_key`. Empty for
        the model's own estimate.
    look : Appearance
        How the image was made into what the network saw.
    connected : bool
        Whether only those parts of the mask are kept that hold a positive click.
    """

    order_strength: float = 1.0
    threshold: float | None = None
    order: str = ""
    look: Appearance = PLAIN
    connected: bool = False

    @property
    def read_as_it_is(self) -> bool:
        """Whether the mask is the predictor's own."""
        return self.threshold is None and not self.connected


DEFAULT_SETTINGS = Settings()


@dataclass(frozen=True)
class Part:
    """That an object is one plane of an object that goes through a stack.

    Attributes
    ----------
    of : int
        The number of the object that it began from; all parts have the same, and are one object to the user.
    settled : bool
        Whether the user has clicked on this plane or agreed with it; else it came from a neighbour, and may
        come out otherwise when a neighbour changes.
    """

    of: int
    settled: bool = True


class Answer(Protocol):
    """The part of a prediction that makes a mask."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool, at the predictor's own threshold."""
        ...

    @property
    def probability(self) -> NDArray[np.float32]:
        """(H, W) float32 in [0, 1]."""
        ...


@dataclass(frozen=True)
class Accepted:
    """What an object wrote into a label array.

    Attributes
    ----------
    label : int
        Its id there.
    target : str
        Which label array; the caller's name for it.
    rule : str
        ``"keep"`` or ``"overwrite"``.
    turn : int
        Later ones lie over earlier ones.
    written : PackedMask
        Its pixels: of its mask, those that the rule let it have.
    denied : PackedMask
        Pixels of its mask that stayed with others.
    cleared : PackedMask
        Pixels that it emptied: of the label that it was seeded from in this array, those it has no more.
    ground : tuple of (int, PackedMask)
        Values that no accepted object had put there and that it wrote over: value and where. 0 where an accepted
        object had been erased.
    score : float or None
        The confidence shown when it was accepted.
    """

    label: int
    target: str
    rule: str
    turn: int
    written: PackedMask
    denied: PackedMask
    cleared: PackedMask
    ground: tuple[tuple[int, PackedMask], ...] = ()
    score: float | None = None

    @cached_property
    def box(self) -> Box | None:
        """The smallest box that holds all that it changed."""
        return joined_box(self.written.box, self.cleared.box)


@dataclass(frozen=True)
class AnnotatedObject:
    """One object of an image.

    Attributes
    ----------
    number : int
        Who it is in the document; never given twice. Its label in an array is another thing.
    plane : PlaneKey
    name : str
    color : str or None
        ``"#rrggbb"``, or None for the viewer's own.
    clicks : Clicks
    settings : Settings
    seed : Seed or None
    edits : Edits or None
    label : int or None
        The label it had, or is to have, when accepted; it gets the same one again.
    accepted : Accepted or None
        None while it is open.
    part : Part or None
        Where it is one plane of a larger object.
    """

    number: int
    plane: PlaneKey
    name: str
    color: str | None = None
    clicks: Clicks = NO_CLICKS
    settings: Settings = DEFAULT_SETTINGS
    seed: Seed | None = None
    edits: Edits | None = None
    label: int | None = None
    accepted: Accepted | None = None
    part: Part | None = None

    @property
    def whole(self) -> int:
        """The number of the object that it is a part of; its own where it is one for itself."""
        return self.number if self.part is None else self.part.of

    @property
    def state(self) -> str:
        """``"open"`` or ``"accepted"``."""
        return "open" if self.accepted is None else "accepted"

    def mask(self, answer: Answer | None) -> NDArray[np.bool_] | None:
        """The object's mask, from the network's answer to its clicks.

        Parameters
        ----------
        answer : Prediction or None
            What :meth:`Replay.answer` gives for :attr:`clicks`, :attr:`seed` and the order's strength; None where
            there was nothing to ask.

        Returns
        -------
        (H, W) bool, or None where there are neither answer nor seed nor edits. The ellipse of a box is for the
        network alone.
        """
        mask: NDArray[np.bool_] | None = None
        if answer is not None:
            mask = read_answer(answer, self.settings, played_positives(answer, self.clicks))
        elif self.seed is not None and self.seed.box is None:
            mask = self.seed.mask.unpack()
        if self.edits is None:
            return mask
        return self.edits.on(np.zeros(self.edits.added.shape, bool) if mask is None else mask)

    def packed(self, answer: PackedMask | None) -> PackedMask | None:
        """The same as :meth:`mask` where nothing of the size of the plane may be made.

        Parameters
        ----------
        answer : PackedMask or None
            The network's answer, read by :attr:`settings`.
        """
        seed = None if self.seed is None or self.seed.box is not None else self.seed.mask
        mask = seed if answer is None else answer
        if self.edits is None:
            return mask
        return self.edits.added if mask is None else (mask | self.edits.added) - self.edits.removed


@dataclass(frozen=True, eq=False)
class NewObject:
    """What to write for one accepted object.

    Attributes
    ----------
    label : int
        Its id, larger than any in use.
    indices : tuple of (N,) int arrays
        The pixels to write, one array an axis, as ``labels[indices] = label`` takes them.
    kept : int
        Pixels of the mask that stay with the objects accepted before.
    """

    label: int
    indices: tuple[NDArray[np.intp], ...]
    kept: int

    @property
    def size(self) -> int:
        """How many pixels are written."""
        return len(self.indices[0])


def new_object(labels: ArrayLike, mask: ArrayLike, *, highest: int | None = None) -> NewObject:
    """Find where a mask goes in a label array under rule "keep": no pixel of another object is taken.

    For one mask and one array; a :class:`Document` keeps many, and their history.

    Parameters
    ----------
    labels : integer array
        Ids of the objects so far, 0 where there is none. Not changed.
    mask : array of the same shape
        The object: true or nonzero where it is.
    highest : int, optional
        Largest id in use, where ``labels`` is one plane of a larger array; by default its own largest.

    Raises
    ------
    InputError
        If the shapes differ, the mask is empty, all of its pixels belong to other objects, or the label
        array's type cannot hold another id.
    """
    ids = np.asarray(labels)
    shape = np.asarray(mask, dtype=bool)
    if ids.shape != shape.shape:
        raise InputError(
            f"The mask has shape {shape.shape} but the labels have {ids.shape}; both must be of one image."
        )
    if not np.issubdtype(ids.dtype, np.integer):
        raise InputError(f"Labels must be integers, not {ids.dtype}; convert the array first.")
    if not shape.any():
        raise InputError("There is no object to accept; click on one first.")
    free = shape & (ids == 0)
    if not free.any():
        raise InputError("Every pixel of this mask belongs to an object accepted before; nothing was written.")
    label = max(0, int(ids.max()) if highest is None else int(highest)) + 1
    if label > np.iinfo(ids.dtype).max:
        raise InputError(f"Labels of type {ids.dtype} hold no id {label}; use a wider type.")
    return NewObject(label, np.nonzero(free), int(shape.sum() - free.sum()))
