"""One rule: a drawing becomes clicks behind those that are there; a box that begins an object is its first mask too.

A box knows the object's extent, which no click says. So the first box gives the network the largest ellipse in it, as
the mask that the object begins from (its dense prompt), and bounds the object (:attr:`Seed.bound`); it is no click of
the user's, and where it is clicked is guessed when it is played (:mod:`.replay`). On an object that has clicks, or
began from a mask or a box, a box is clicks alone: in its middle and around it. A scribble is always clicks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ois.annotation.accepting import check_span
from napari_ois.annotation.clicks import NO_CLICKS, Clicks
from napari_ois.annotation.gestures import box_clicks, on_plane, scribble_clicks
from napari_ois.annotation.objects import BOX, Seed
from napari_ois.annotation.packed import PackedMask


@dataclass(frozen=True)
class Prompt:
    """What the network is asked about an object; each drawing gives a new one.

    Attributes
    ----------
    clicks : Clicks
    seed : Seed or None
        The mask that it begins from.

    Examples
    --------
    >>> prompt = Prompt().with_box([(40, 60), (120, 180)], (240, 320))
    >>> len(prompt.clicks), prompt.seed.mask.box
    (0, (40, 60, 121, 181))
    >>> Replay(predictor).answer(prompt.clicks, seed=prompt.seed).mask      # doctest: +SKIP
    """

    clicks: Clicks = NO_CLICKS
    seed: Seed | None = None

    def with_click(self, row: float, column: float, positive: bool = True) -> Prompt:
        """With one more click."""
        return Prompt(self.clicks.added(row, column, positive), self.seed)

    def with_scribble(self, path: ArrayLike, shape: tuple[int, int], positive: bool = True) -> Prompt:
        """With a scribble; see :func:`~napari_ois.annotation.gestures.scribble_clicks`.

        Parameters
        ----------
        path : (N, 2) array
            Corners of the line, row and column, in the order drawn.
        shape : (int, int)
            Rows and columns of the plane.
        positive : bool
        """
        return Prompt(_joined(self.clicks, scribble_clicks(path, shape, positive=positive)), self.seed)

    def with_box(self, box: ArrayLike, shape: tuple[int, int]) -> Prompt:
        """With a box around the object; what of it lies outside of the plane is cut off.

        Parameters
        ----------
        box : (N, 2) array
            Two opposite corners or all of them, row and column, in any order.
        shape : (int, int)
            Rows and columns of the plane.

        Raises
        ------
        InputError
            If the box has no extent, lies outside of the plane, or is larger than an object that can be accepted.
        """
        seen = on_plane(box, shape)
        check_span(*(int(side) + 1 for side in np.ptp(seen, axis=0)))
        around = box_clicks(seen, shape, corners=False)
        if len(self.clicks) or self.seed is not None:
            return Prompt(_joined(self.clicks, around), self.seed)
        return Prompt(seed=Seed(_packed_ellipse(seen, shape), BOX))


def box_ellipse(box: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The largest ellipse in a box, (H, W) bool; the pixel in its middle always belongs to it."""
    points = np.asarray(box, dtype=np.float64)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    radii = (np.ptp(points, axis=0) + 1) / 2
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    inside = ((rows - middle[0]) / radii[0]) ** 2 + ((columns - middle[1]) / radii[1]) ** 2 <= 1
    row, column = np.floor(middle + 0.5).astype(int).clip(0, np.asarray(shape) - 1)
    inside[row, column] = True
    return np.asarray(inside)


def _packed_ellipse(box: NDArray[np.float64], shape: tuple[int, int]) -> PackedMask:
    """:func:`box_ellipse`, made of the box alone: a plane may be larger than memory."""
    corner = np.floor(box.min(axis=0)).astype(int).clip(0, np.asarray(shape) - 1)
    end = np.ceil(box.max(axis=0)).astype(int).clip(0, np.asarray(shape) - 1) + 1
    window = box_ellipse(box - corner, (int(end[0] - corner[0]), int(end[1] - corner[1])))
    return PackedMask.pack_window(window, (int(corner[0]), int(corner[1])), shape)


def _joined(before: Clicks, after: Clicks) -> Clicks:
    return Clicks((*before, *after))
