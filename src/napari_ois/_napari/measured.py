"""One rule: what is said of a mask is counted here, beside the viewer, and put into words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ois._napari.regional import shown_part
from napari_ois.annotation.confidence import mask_score, unsure
from napari_ois.segmentation.depth_use import object_separation, separation_warning
from napari_ois.segmentation.lazy_plane import is_large

if TYPE_CHECKING:
    from napari_ois._napari.worker import Answer
    from napari_ois.annotation import AnnotatedObject


@dataclass(frozen=True)
class Measured:
    """What was counted of a mask.

    Attributes
    ----------
    score : float
        Mean probability in it.
    area, doubtful : int
        Pixels of the mask, and unsure ones anywhere.
    warning : str
        Where depth does not tell the object from what is around it.
    """

    score: float
    area: int
    doubtful: int
    warning: str

    def __str__(self) -> str:
        share = f" ({self.doubtful / self.area:.0%} of the mask's size)" if self.area else ""
        return f"Score {self.score:.2f}, the mean probability in the mask. {self.doubtful} pixels are unsure{share}."


def measure(obj: AnnotatedObject, answer: Answer, shape: tuple[int, int], threshold: float, band: float) -> Measured:
    """Count; touches no layer.

    Parameters
    ----------
    obj : AnnotatedObject
    answer : Answer
        To its question.
    shape : (int, int)
        Of the plane; of a large one what is counted lies on the answer's frame.
    threshold, band : float
        See :func:`napari_ois.annotation.confidence.unsure`.
    """
    prediction = answer.prediction
    mask, _ = shown_part(obj, prediction, shape)
    assert mask is not None  # there is an answer
    points = prediction.frame.to_cells(prediction.points) if is_large(shape) else prediction.points
    found = object_separation(prediction.depth, mask, points, prediction.labels)
    return Measured(
        score=mask_score(prediction.probability, mask),
        area=int(mask.sum()),
        doubtful=int(unsure(prediction.probability, threshold, band).sum()),
        warning="" if found is None else separation_warning(found),
    )
