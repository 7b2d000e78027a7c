"""One rule: what the user can ask about how sure a mask is, each as a method that a button or the palette calls.

None raises for wrong use: what cannot be done is said in a notification.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from napari_ois._napari.confidence import Confidence
from napari_ois._napari.confidence_layers import PROBABILITY, UNSURE
from napari_ois._napari.prompt_verbs import PromptVerbs

if TYPE_CHECKING:
    from napari_ois._napari.errands import Errands


class ConfidenceVerbs(PromptVerbs):
    """The part of the widget that says how sure a mask is."""

    @property
    def _errands(self) -> Errands | None:
        raise NotImplementedError

    @cached_property
    def confidence(self) -> Confidence:
        """How sure the mask is; made by whoever wants it first."""
        return Confidence(self._viewer, self, lambda: self._errands)  # type: ignore[arg-type]

    def set_threshold(self, threshold: float) -> None:
        """Let another probability decide what belongs to the object; the network is not asked again."""
        self._do(lambda session: self.confidence.set_threshold(threshold))

    def reset_threshold(self) -> None:
        """Let the predictor's own threshold decide."""
        self._do(lambda session: self.confidence.set_threshold(None))

    def toggle_connected(self) -> None:
        """Keep only the parts of the mask that hold a positive click, or all of it again."""
        self._do(lambda session: self.confidence.set_connected(not self.confidence.connected))

    def toggle_probability(self) -> None:
        """Show the probabilities as a layer, or hide them."""
        self.confidence.show(PROBABILITY, not self.confidence.shows(PROBABILITY))

    def toggle_unsure(self) -> None:
        """Show the unsure pixels as a layer, or hide them."""
        self.confidence.show(UNSURE, not self.confidence.shows(UNSURE))

    def suggest_click(self) -> None:
        """Show where a click would say most."""
        self._do(lambda session: self.confidence.suggest())

    def take_suggestion(self, positive: bool | None = None) -> None:
        """Click where it was suggested.

        Parameters
        ----------
        positive : bool, optional
            By default as the next click would be.
        """
        kind = self.positive.isChecked() if positive is None else positive
        self._do(lambda session: self.confidence.take_suggestion(kind))
