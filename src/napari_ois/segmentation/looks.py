"""One rule: which views of the image an answer is given in is decided here, from the clicks and the answer before.

A small object is looked at again in a close-up; a mask that runs into a close-up's border is looked at again from
afar; any other first answer, to a click or to a box, is looked at again where it was given, by a network that then
knows the colours under its own mask. Large images have rules of their own: see :mod:`.regions`. Nothing here
computes: the :class:`Runner` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ois.segmentation.large_scene import LargeScene
from napari_ois.segmentation.regions import answer_in_regions
from napari_ois.segmentation.view import CloseUp, cut_off

if TYPE_CHECKING:
    from napari_ois.segmentation.prediction import PredictionState
    from napari_ois.segmentation.runner import Answer, Asked, Runner
    from napari_ois.segmentation.scene import Scene


def look_and_answer(
    runner: Runner, scene: Scene, asked: Asked, state: PredictionState | None, close_up: CloseUp | None
) -> Answer:
    """Answer in the view where the object was seen last, and in another if that shows it better.

    Parameters
    ----------
    runner : Runner
    scene : Scene
    asked : Asked
    state : PredictionState, optional
        Of the click before.
    close_up : CloseUp, optional
        None: small objects are not looked at again; of a large image, only in a region that has grown, and never
        closer than in the smallest.
    """
    if isinstance(scene, LargeScene):
        answer = answer_in_regions(runner, scene, asked, state)
        close_up = close_up or CloseUp(smallest=scene.region_side)
    else:
        answer = _answer_as_before(runner, scene, asked, state)
        if close_up is None:
            return answer
        if cut_off(answer.mask(), answer.view, scene.shape):
            answer = runner.decode(scene.whole, asked, (answer.logits, answer.view))
    positives = asked.points[asked.labels == 1]
    closer = close_up.closer(answer.mask(), answer.view, positives, scene.shape)
    if closer is None and runner.looks_twice and is_first(asked, state):
        closer = answer.view
    if closer is None:
        return answer
    return runner.decode(scene.look(closer), asked, (answer.logits, answer.view))


def is_first(asked: Asked, state: PredictionState | None) -> bool:
    """Whether nobody has seen an answer before this one: the ellipse in a drawn box is none."""
    return state is None or (asked.bound is not None and len(asked.points) == 1)


def _answer_as_before(runner: Runner, scene: Scene, asked: Asked, state: PredictionState | None) -> Answer:
    """Answer in the view of the click before, or where a positive click lies outside of it, in the whole image."""
    before = None if state is None else (state.logits, state.view)
    if state is None or not state.view.holds(asked.points[asked.labels == 1]).all():
        return runner.decode(scene.whole, asked, before)
    return runner.decode(scene.look(state.view), asked, before)
