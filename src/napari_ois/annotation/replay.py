"""One rule: a mask depends on the list of clicks alone, not on how the user came to it.

The answer to a list is what a script gets that plays the clicks one after the other, oldest first,
each with the state of the click before as ``previous``. Where clicks are all negative there is
nothing to segment: the play starts with the first click that is positive, and takes the negative
ones before it along. A click moved or deleted is therefore a new play; the states of the beginning
that did not change are remembered and not computed again, and a list that is a beginning of the one played last, as
after an undo, is shown from its state.

An object that began from a mask or a box has one thing more that its answer depends on: the first click goes on
from that mask, or the box's ellipse (``state_from_mask`` of the predictor), as it would from the click before it. A
box is clicked before the user's own clicks where its object seems to be (``place_in_box``), which is a guess, and
dropped when a negative click lies beside it. Where no positive click is left, one deep in the mask, and not beside
the negative ones, is played before them. The strength of the order holds for the whole play: another one is another
play. Edits with the brush lie on top of any answer and are no part of the play: see :meth:`AnnotatedObject.mask`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_ois.annotation.clicks import Click, Clicks
from napari_ois.annotation.gestures import deepest_point, is_beside
from napari_ois.annotation.objects import Seed
from napari_ois.annotation.packed import Box
from napari_ois.errors import InputError
from napari_ois.segmentation.lazy_plane import is_large


class Answers(Protocol):
    """The part of a predictor that a replay needs."""

    def predict(self, points: NDArray[Any], labels: NDArray[Any], previous: Any = None) -> Any:
        """Segment; the result has a ``state``. See :class:`napari_ois.Predictor`."""
        ...


def _never() -> bool:
    return False


class Replay:
    """Plays lists of clicks on the image that a predictor holds; make a new one for each image.

    Parameters
    ----------
    predictor : Predictor
        With its image set. Only this object should call its ``predict`` meanwhile.

    Notes
    -----
    Remembers one state for each click of the list played last (small, at the network's resolution) and
    one whole prediction, so its memory grows with the clicks on one object and no further. After an undo the states
    of the clicks taken back are still there, for a redo.
    """

    def __init__(self, predictor: Answers) -> None:
        self._predictor = predictor
        self._played = Clicks()
        self._states: list[Any] = []  # one a click of _played; None before the first positive one
        self._seed: Seed | None = None
        self._strength = 1.0
        self._start: Any = None  # the state that the first positive click goes on from
        self._guess: tuple[float, float] | None = None  # where the seed's box is clicked
        self._last: Any = None  # the prediction for a beginning of _played, mostly all of it
        self._shown = Clicks()  # which

    def answer(
        self,
        clicks: Clicks,
        interrupted: Callable[[], bool] = _never,
        *,
        seed: Seed | None = None,
        order_strength: float = 1.0,
    ) -> Any | None:
        """Give the prediction for a list of clicks.

        Parameters
        ----------
        clicks : Clicks
        interrupted : callable
            Asked before each click; true ends the play. What was computed is kept for the next.
        seed : Seed, optional
            What the object began from. A seed that was drawn as a box also bounds the object.
        order_strength : float
            See :meth:`napari_ois.Predictor.predict`; every click is played with it.

        Returns
        -------
        Prediction or None
            None where there is nothing to play (:func:`answerable`), or the play was interrupted. Its ``points`` and
            ``labels`` are what was played, a box's guess with them.

        Raises
        ------
        InputError
            If the predictor cannot go on from a mask.
        """
        if not answerable(clicks, seed):
            return None
        self._begin_from(seed or None, order_strength)
        clicks = played_clicks(clicks, seed, self._guess)
        if clicks == self._shown and self._last is not None:
            return self._last
        start = clicks.shared(self._played)
        if start == len(clicks):
            if self._show(clicks):
                return self._last
            start -= 1  # it is played again
        self._keep(clicks.first(start), self._states[:start], None)
        for count in range(start + 1, len(clicks) + 1):
            if interrupted():
                return None
            self._play(clicks.first(count))
        return self._last

    def _show(self, clicks: Clicks) -> bool:
        """Make a prediction of a state that is known; False where the predictor cannot, and with an unknown one."""
        show: Callable[..., Any] | None = getattr(self._predictor, "shown", None)
        state = self._states[len(clicks) - 1]
        if show is None or state is None:
            return False
        self._last, self._shown = show(state, clicks.points, clicks.labels), clicks
        return True

    def _begin_from(self, seed: Seed | None, strength: float) -> None:
        if (seed, strength) == (self._seed, self._strength):
            return
        begin = None
        if seed is not None:
            begin = getattr(self._predictor, "state_from_mask", None)
            if begin is None:
                raise InputError("This predictor cannot go on from a mask; start the object with a click instead.")
        self._keep(Clicks(), [], None)
        self._start = None if begin is None or seed is None else _begun(begin, seed)
        self._guess = None if seed is None or seed.box is None else self._placed(seed.box)
        self._seed, self._strength = seed, strength

    def _placed(self, box: Box) -> tuple[float, float]:
        place: Callable[[Box], tuple[float, float]] | None = getattr(self._predictor, "place_in_box", None)
        if place is not None:
            return place(box)
        return (box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2  # not every predictor sees colours

    def _play(self, clicks: Clicks) -> None:
        previous = self._states[-1] if self._states else None
        if previous is None:
            previous = self._start
        if not clicks.has_positive:
            self._keep(clicks, [*self._states, None], None)
            return
        predict: Callable[..., Any] = self._predictor.predict
        options = {} if self._strength == 1 else {"order_strength": self._strength}  # not every predictor has it
        prediction = predict(clicks.points, clicks.labels, previous=previous, **options)
        self._keep(clicks, [*self._states, prediction.state], prediction)

    def _keep(self, clicks: Clicks, states: list[Any], prediction: Any) -> None:
        self._played, self._states, self._last, self._shown = clicks, states, prediction, clicks


def _begun(begin: Callable[..., Any], seed: Seed) -> Any:
    """The state of a mask; of a large image only the part with the object on it is made."""
    mask, bound = seed.mask, seed.bound
    options = {} if bound is None else {"bound": bound}  # not every predictor has it
    if is_large(mask.shape) and mask.box is not None:
        return begin(mask.window(mask.box), corner=mask.box[:2], **options)
    return begin(mask.unpack(), **options)


def answerable(clicks: Clicks, seed: Seed | None) -> bool:
    """Whether there is anything to play: a positive click, a box, or any click on a mask."""
    return clicks.has_positive or (seed is not None and bool(seed) and (len(clicks) > 0 or seed.box is not None))


def played_clicks(clicks: Clicks, seed: Seed | None, guess: tuple[float, float] | None = None) -> Clicks:
    """What is played of an object: its clicks, and before them what its seed adds.

    Parameters
    ----------
    clicks : Clicks
    seed : Seed or None
    guess : (float, float), optional
        Row and column where the seed's box is clicked, unless a negative click lies beside it. An object whose middle
        is not its own, a ring or a bent worm, is corrected there first; left in, the guess would spoil every answer
        after that.
    """
    if not seed:
        return clicks
    if guess is not None and seed.box is not None:
        box = seed.box
        if not any(not click.positive and is_beside(click, *guess, box) for click in clicks):
            return Clicks((Click(*guess), *clicks))
    if clicks.has_positive or not len(clicks):
        return clicks
    row, column = deepest_point(seed.mask, clicks)
    return Clicks((Click(row, column), *clicks))
