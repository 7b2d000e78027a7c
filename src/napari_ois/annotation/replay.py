"""One rule: a mask depends on the list of clicks alone, not on how the user came to it.

The answer to a list is what a script gets that plays the clicks one after the other, oldest first,
each with the state of the click before as ``previous``. Where clicks are all negative there is
nothing to segment: the play starts with the first click that is positive, and takes the negative
ones before it along. A click moved or deleted is therefore a new play; the states of the beginning
that did not change are remembered and not computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_ois.annotation.clicks import Clicks


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
    one whole prediction, so its memory grows with the clicks on one object and no further.
    """

    def __init__(self, predictor: Answers) -> None:
        self._predictor = predictor
        self._played = Clicks()
        self._states: list[Any] = []  # one a click of _played; None before the first positive one
        self._last: Any = None  # the prediction for all of _played

    def answer(self, clicks: Clicks, interrupted: Callable[[], bool] = _never) -> Any | None:
        """Give the prediction for a list of clicks.

        Parameters
        ----------
        clicks : Clicks
        interrupted : callable
            Asked before each click; true ends the play. What was computed is kept for the next.

        Returns
        -------
        Prediction or None
            None where no click is positive, or the play was interrupted.
        """
        if not clicks.has_positive:
            return None
        if clicks == self._played and self._last is not None:
            return self._last
        # A state gives no mask: the last click is played even if its state is known.
        start = min(clicks.shared(self._played), len(clicks) - 1)
        self._keep(clicks.first(start), self._states[:start], None)
        for count in range(start + 1, len(clicks) + 1):
            if interrupted():
                return None
            self._play(clicks.first(count))
        return self._last

    def _play(self, clicks: Clicks) -> None:
        previous = self._states[-1] if self._states else None
        if not clicks.has_positive:
            self._keep(clicks, [*self._states, None], None)
            return
        prediction = self._predictor.predict(clicks.points, clicks.labels, previous=previous)
        self._keep(clicks, [*self._states, prediction.state], prediction)

    def _keep(self, clicks: Clicks, states: list[Any], prediction: Any) -> None:
        self._played, self._states, self._last = clicks, states, prediction
