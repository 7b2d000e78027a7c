"""One rule: what is done to a plane is a value that can be sent elsewhere, and it gives labels and their table.

Three kinds: clicks played one after the other, a session's objects played again, everything. None knows of dask,
of files or of where it runs. Of a large plane answers are packed masks and labels are tiles: nothing has its size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ois.annotation.answers import pack_answer
from napari_ois.annotation.clicks import Clicks
from napari_ois.annotation.features import features, to_csv
from napari_ois.annotation.objects import AnnotatedObject
from napari_ois.annotation.playback import made_with_others, play_session, spatial_shape
from napari_ois.annotation.replay import Replay
from napari_ois.annotation.session_file import Session
from napari_ois.annotation.signature import ImageSignature
from napari_ois.batch.large_labels import LargeLabels, paint_played
from napari_ois.errors import InputError
from napari_ois.segmentation.lazy_plane import is_large, levels_of

if TYPE_CHECKING:
    from napari_ois.segmentation.predictor import Predictor


@dataclass(frozen=True, eq=False)
class Labelled:
    """What came out.

    Attributes
    ----------
    labels : (H, W) int32, or LargeLabels
    table : str
        CSV, one line an object.
    pixel_size : (float, float) or None
        Where it is known.
    unit : str
    """

    labels: NDArray[np.int32] | LargeLabels
    table: str
    pixel_size: tuple[float, ...] | None = None
    unit: str = "pixel"


class Work(Protocol):
    """Something to do with a plane."""

    def do(self, predictor: Predictor, pixels: Any, channel_axis: int | None) -> Labelled:
        """Embed the pixels and make labels of them; InputError where that cannot be done.

        Parameters
        ----------
        predictor : Predictor
        pixels, channel_axis
            As :func:`napari_ois.batch.sources.open_plane` gives them.
        """
        ...


@dataclass(frozen=True)
class ClickWork:
    """Clicks on objects, played as in the viewer.

    Attributes
    ----------
    objects : tuple of (label, Clicks)
        Earlier ones keep their pixels.
    """

    objects: tuple[tuple[int, Clicks], ...]

    def do(self, predictor: Predictor, pixels: Any, channel_axis: int | None) -> Labelled:
        """See :class:`Work`."""
        predictor.set_image(pixels, channel_axis=channel_axis)
        shape = predictor.image_shape
        labels = LargeLabels(shape) if is_large(shape) else np.zeros(shape, np.int32)
        replay = Replay(predictor)
        rows: dict[str, list[Any]] = {"index": [], "area_px": [], "score": [], "clicks": []}
        for label, clicks in self.objects:
            prediction = replay.answer(clicks)
            if prediction is None:
                raise InputError(f"Object {label} has no positive click; add one on it.")
            area = _paint(labels, prediction, label)
            for name, value in zip(rows, (label, area, round(prediction.score, 4), len(clicks)), strict=True):
                rows[name].append(value)
        return Labelled(labels, to_csv(rows))


@dataclass(frozen=True)
class SessionWork:
    """Accepted objects of a session, all on this plane.

    Attributes
    ----------
    objects : tuple of AnnotatedObject
        With the key of a 2D plane.
    pixel_size : (float, float) or None
    unit : str
    image : ImageSignature or None
        The image that the session is of, where that is still to be checked.
    channel_axis : int or None
        Of the image, as the session has it.
    model : mapping
        What it was made with, as the session has it; with other weights, or another input, masks would differ.
    """

    objects: tuple[AnnotatedObject, ...]
    pixel_size: tuple[float, ...] | None = None
    unit: str = "pixel"
    image: ImageSignature | None = None
    channel_axis: int | None = None
    model: Mapping[str, Any] = field(default_factory=dict)

    def do(self, predictor: Predictor, pixels: Any, channel_axis: int | None) -> Labelled:
        """See :class:`Work`."""
        finest = levels_of(pixels)[0]
        if self.image is not None and not self.image.same_image(ImageSignature.of(finest)):
            raise InputError("This is not the image of the session (its pixels differ).")
        self._check_model(predictor)
        axis = channel_axis if self.channel_axis is None else self.channel_axis
        session = Session(ImageSignature((), "", ""), self.objects, view={} if axis is None else {"channel_axis": axis})
        played = list(play_session(session, pixels, predictor))
        rows, columns = spatial_shape(finest, 2, axis)
        ((target, labels),) = paint_played(played, (rows, columns)).items()
        now = [replace(one.obj, accepted=replace(one.accepted, written=one.written)) for one in played]
        table = to_csv(features(now, target, pixel_size=self.pixel_size, unit=self.unit))
        return Labelled(labels, table, self.pixel_size, self.unit)

    def _check_model(self, predictor: Predictor) -> None:
        """Refuse to answer otherwise than the session's model did; said by the worker, whose weights count."""
        if made_with_others(self.model, getattr(predictor, "model_info", None)):
            raise InputError(
                "The session was made with other weights than the model here has (their hashes differ); give --model "
                "with the right file, or use napari-ois replay --force."
            )
        then, now = self.model.get("input_size"), getattr(predictor, "input_size", None)
        if isinstance(then, int) and now is not None and then != now:  # older sessions have a word, or nothing
            raise InputError(f"The session was made at an input of {then} px; give --input-size {then}.")


@dataclass(frozen=True)
class EverythingWork:
    """A grid of prompts; the attributes are those of :func:`napari_ois.segmentation.everything.propose`."""

    grid: int = 16
    closer: int = 0
    batch: int = 16
    score: float = 0.8
    stability: float = 0.7
    smallest: int = 16

    def do(self, predictor: Predictor, pixels: Any, channel_axis: int | None) -> Labelled:
        """See :class:`Work`."""
        from napari_ois.segmentation.candidates import candidates_csv, paint_candidates
        from napari_ois.segmentation.everything import check_size, segment_everything
        from napari_ois.segmentation.sieve import Sieve

        finest = levels_of(pixels)[0]
        if finest.ndim == 2 or channel_axis is not None or finest.shape[-1] in (3, 4):
            check_size((int(finest.shape[0]), int(finest.shape[1])))
        predictor.set_image(pixels, channel_axis=channel_axis)
        sieve = Sieve(score=self.score, stability=self.stability, smallest=self.smallest)
        found = segment_everything(predictor, grid=self.grid, closer=self.closer, batch=self.batch, sieve=sieve)
        return Labelled(paint_candidates(found, predictor.image_shape), candidates_csv(found))


def _paint(labels: NDArray[np.int32] | LargeLabels, prediction: Any, label: int) -> int:
    """Give an object the free pixels of its mask; how many."""
    if isinstance(labels, LargeLabels):
        return labels.paint(pack_answer(prediction, labels.shape), label)
    mine = prediction.mask & (labels == 0)
    labels[mine] = label
    return int(mine.sum())
