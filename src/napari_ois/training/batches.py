"""Batches of windows from real images and made scenes.

The rule of this file: window ``number`` of batch ``step`` depends on the seed and on those two alone, never on
what was drawn before or by whom, so that a training that is stopped and resumed, or divided over several
devices, sees exactly the windows that it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from napari_ois.errors import InputError
from napari_ois.training.packing import load_pack
from napari_ois.training.places import Frame
from napari_ois.training.scenes import SceneCache, load_cache
from napari_ois.training.windows import (
    MIN_POSITIVE,
    WHOLE_IMAGE,
    NoObject,
    Window,
    sample_whole,
    sample_window,
)

_DRAWS = 200
"""Images without a usable object are drawn again, this often: in a folder most of whose fields are empty, too."""

_WINDOW = 4
"""What a window's generator is for, beside the seed and the step's number; the lesson's are 1 to 3."""

_FRAME = 5
"""What the generator of a batch's shape is for."""

CELL = 32
"""Sides of windows are multiples of this, as sides of views are."""

_OTHERWISE = 1.35
"""An image is drawn again, a few times, where a window's shape differs from its own by more than this."""
_SHAPE_DRAWS = 4

_DEPTH_ONLY = 0.04
"""Share of real windows taken from RGB-D images without masks: they teach depth."""


@dataclass(frozen=True)
class Phase:
    """A stretch of the training with its window sizes.

    Attributes
    ----------
    until : float
        The phase ends at this share of all steps.
    size : int
        Side of the windows in pixels.
    images : int
        Windows in a batch.
    tight : float
        Share of windows cut close around a large object; see :func:`sample_window`.
    bce_weight : float
        Weight of the cross entropy beside the dice loss. Less of it late in a training moves masks of
        uncertain extent from cautious to most probably overlapping.
    turns : tuple of (size, images)
        Further sizes that take turns with the first, step by step: a network that saw one size alone cuts
        large objects short at every larger one.
    """

    until: float
    size: int
    images: int
    tight: float = 0.0
    bce_weight: float = 2.0
    turns: tuple[tuple[int, int], ...] = ()

    def batch(self, step: int) -> tuple[int, int]:
        """Size and number of the windows of one step."""
        return ((self.size, self.images), *self.turns)[step % (1 + len(self.turns))]

    def frame(self, step: int, aspect: float) -> tuple[Frame, int]:
        """Rows and columns, and number, of the windows of one step; as many more as they are narrower."""
        size, images = self.batch(step)
        if aspect == 1:
            return (size, size), images
        narrow = max(CELL, round(size * min(aspect, 1 / aspect) / CELL) * CELL)
        frame = (narrow, size) if aspect >= 1 else (size, narrow)
        return frame, images * size // narrow

    def of(self, images: int) -> Phase:
        """The same phase with so many windows in every batch, whatever their size."""
        return replace(self, images=images, turns=tuple((size, images) for size, _ in self.turns))


@dataclass
class Batch:
    """One batch; M objects in B windows.

    Attributes
    ----------
    rgb : (B, 3, h, w) uint8 tensor
    targets : (M, h, w) uint8 tensor
        0, 1, or 255 = ignore.
    image_index : (M,) int64 tensor
        Which window an object is in.
    depth : (B, 1, h, w) float32 tensor
        0 to 1 over each window, larger = nearer, NaN = unknown.
    valid : (B, 1, h, w) bool tensor
        Whether a pixel shows the image, and not padding.
    numbers : (B,) int64 tensor
        Numbers of the windows in the step's whole batch, which may be divided over devices.
    """

    rgb: Tensor
    targets: Tensor
    image_index: Tensor
    depth: Tensor
    valid: Tensor
    numbers: Tensor

    def split(self, parts: int) -> list[Batch]:
        """Divide the windows into so many batches (fewer where there are fewer windows), in turns."""
        if parts <= 1:
            return [self]
        pieces = []
        for first in range(min(parts, len(self.rgb))):
            windows = torch.arange(first, len(self.rgb), parts)
            place = torch.full((len(self.rgb),), -1)
            place[windows] = torch.arange(len(windows))
            index = place[self.image_index]
            own = index >= 0
            pieces.append(
                Batch(
                    self.rgb[windows],
                    self.targets[own],
                    index[own],
                    self.depth[windows],
                    self.valid[windows],
                    self.numbers[windows],
                )
            )
        return pieces


class ImageSource(Protocol):
    """Real images to draw from: a :class:`~napari_ois.training.packing.Pack`, or files read when drawn."""

    @property
    def images(self) -> Any:
        """One entry an image, with ``kind`` and ``union_ok``."""

    def image(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Picture, ids and depth of image `i`."""

    def draw(self, rng: np.random.Generator) -> int:
        """Draw an image with objects."""


class BatchStream(Dataset[Batch]):
    """Batches by step number.

    Parameters
    ----------
    pack : path, ImageSource or None
        Folder of packed real images, or images in another form.
    scenes : path or None
        Folder of cached scenes; at least one of the two.
    phases : list of Phase
    steps : int
        Length of the training, which the phases are shares of.
    seed : int
    real_share : float
        Share of windows from real images, where both sources are given.
    objects : int
        Most objects of one window.
    view : "window" or "whole"
        How real images are shown; see :func:`sample_window` and :func:`sample_whole`.
    whole : float
        Of "window": share of windows that show the whole image.
    aspects : sequence of float
        Of "window": widths of windows over their heights, one drawn for each batch, which then stay within the
        picture; empty: squares, which may reach beyond it.
    share : (int, int)
        Which of how many devices this one is: it gets every n-th window of a batch.
    licences : sequence of str
        Licence classes of packed images; empty = all.

    Raises
    ------
    InputError
        If there is no source, or a batch cannot be divided over the devices.
    """

    def __init__(
        self,
        pack: Path | ImageSource | None,
        scenes: Path | None,
        *,
        phases: list[Phase],
        steps: int,
        seed: int = 0,
        real_share: float = 0.5,
        objects: int = 3,
        view: str = "window",
        whole: float = WHOLE_IMAGE,
        aspects: Sequence[float] = (),
        share: tuple[int, int] = (0, 1),
        licences: Sequence[str] = (),
    ) -> None:
        if pack is None and scenes is None:
            raise InputError("Training needs packed images, cached scenes or both; none was given.")
        fewest = min(images for phase in phases for _, images in ((phase.size, phase.images), *phase.turns))
        if fewest < share[1]:
            raise InputError(f"A batch of {fewest} windows cannot be divided over {share[1]} devices; use fewer.")
        self.sources = (pack, scenes)
        self.view, self.whole, self.aspects, self.share = view, whole, tuple(aspects), share
        self.licences = licences
        self.phases = phases
        self.steps = steps
        self.seed = seed
        self.objects = objects
        self.real_share = 0.0 if pack is None else 1.0 if scenes is None else real_share
        self._pack: ImageSource | None = None
        self._scenes: SceneCache | None = None
        self._depth_only: list[int] = []

    def __len__(self) -> int:
        return self.steps

    def phase(self, step: int) -> Phase:
        """The phase that ``step`` belongs to."""
        return next((p for p in self.phases if step < p.until * self.steps), self.phases[-1])

    def __getitem__(self, step: int) -> Batch:
        self._open()
        phase = self.phase(step)
        frame, images = phase.frame(step, self._aspect(step))
        numbers = range(self.share[0], images, self.share[1])
        generators = [np.random.default_rng([self.seed, step, _WINDOW, n]) for n in numbers]
        windows = [self._window(rng, frame, phase.tight) for rng in generators]
        counts = torch.tensor([len(w.targets) for w in windows])
        return Batch(
            rgb=torch.from_numpy(np.stack([w.rgb for w in windows])).permute(0, 3, 1, 2),
            targets=torch.from_numpy(np.concatenate([w.targets for w in windows])),
            image_index=torch.arange(len(windows)).repeat_interleave(counts),
            depth=torch.from_numpy(np.stack([stretched_depth(w) for w in windows]))[:, None],
            valid=torch.from_numpy(np.stack([w.valid for w in windows]))[:, None],
            numbers=torch.tensor(list(numbers)),
        )

    def _open(self) -> None:
        """Map the files in the process that reads them."""
        pack, scenes = self.sources
        if pack is not None and self._pack is None:
            self._pack = load_pack(pack).licensed(self.licences) if isinstance(pack, str | Path) else pack
            self._depth_only = [i for i, e in enumerate(self._pack.images) if e.kind == "none"]
        if scenes is not None and self._scenes is None:
            self._scenes = load_cache(scenes)

    def _aspect(self, step: int) -> float:
        if not self.aspects:
            return 1.0
        return float(np.random.default_rng([self.seed, step, _FRAME]).choice(self.aspects))

    def _window(self, rng: np.random.Generator, frame: Frame, tight: float) -> Window:
        for _ in range(_DRAWS):
            try:
                if rng.random() < self.real_share:
                    return self._real(rng, frame, tight)
                return self._made(rng, frame, tight)
            except NoObject:
                continue
        raise InputError(
            f"No object that shows {MIN_POSITIVE} pixels or more was found in {_DRAWS} images drawn; check the "
            "training data."
        )

    def _real(self, rng: np.random.Generator, frame: Frame, tight: float) -> Window:
        assert self._pack is not None
        if self._depth_only and rng.random() < _DEPTH_ONLY:
            index = int(rng.choice(self._depth_only))
        else:
            index = self._draw(rng, frame)
        rgb, ids, depth = self._pack.image(index)
        entry = self._pack.images[index]
        if self.view == "whole" and entry.kind != "none":
            return sample_whole(rng, rgb, ids, depth, size=max(frame), max_objects=self.objects)
        return sample_window(
            rng,
            rgb,
            ids,
            depth,
            size=frame,
            kind=entry.kind,
            union_ok=entry.union_ok,
            max_objects=self.objects,
            tight=tight,
            whole=self.whole,
            inside=bool(self.aspects),
        )

    def _draw(self, rng: np.random.Generator, frame: Frame) -> int:
        """Draw an image, if possible one of about the window's shape: then little of it is cut off."""
        assert self._pack is not None
        index = self._pack.draw(rng)
        for _ in range(_SHAPE_DRAWS if self.aspects else 0):
            entry = self._pack.images[index]
            if not entry.height:  # not read yet
                break
            ratio = (entry.width * frame[0]) / (entry.height * frame[1])
            if max(ratio, 1 / ratio) <= _OTHERWISE:
                break
            index = self._pack.draw(rng)
        return index

    def _made(self, rng: np.random.Generator, frame: Frame, tight: float) -> Window:
        assert self._scenes is not None
        scene = self._scenes.scene(int(rng.integers(len(self._scenes))))
        return sample_window(
            rng,
            scene.rgb,
            scene.ids,
            scene.depth,
            size=frame,
            max_objects=self.objects,
            tight=tight,
            inside=bool(self.aspects),
        )


def stretched_depth(window: Window) -> np.ndarray:
    """The window's depth stretched to [0, 1], (h, w) float32; all NaN where there is none."""
    if window.depth is None or not np.isfinite(window.depth).any():
        return np.full(window.valid.shape, np.nan, np.float32)
    low, high = np.nanmin(window.depth), np.nanmax(window.depth)
    if high - low < 1e-3:
        return np.where(np.isfinite(window.depth), np.float32(0.5), np.float32(np.nan))
    return ((window.depth - low) / (high - low)).astype(np.float32)


def in_sentences(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Batches of a loader, whose processes hand on an error with its traceback: only its sentence is kept."""
    try:
        yield from batches
    except InputError as error:
        raise InputError(str(error).strip().rpartition("InputError: ")[2]) from error


def as_is(batch: Any) -> Any:
    """Collate function of a loader whose dataset makes whole batches."""
    return batch
