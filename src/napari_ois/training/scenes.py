"""Procedural pictures with exact objects and depth: scene `i` of a cache depends only on (seed, i)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from napari_ois.errors import InputError, OISError
from napari_ois.training.scene_canvas import KINDS, Scene, renumber
from napari_ois.training.scene_photo import photo
from napari_ois.training.scene_science import medical, microscopy

__all__ = ["KINDS", "Scene", "SceneCache", "load_cache", "make_scene", "write_cache"]

_SHARES = (0.65, 0.22, 0.13)
_SMALLEST = 60 / 256**2  # smallest visible object as a share of the picture
_LARGEST_DEPTH = 65535
# Fresh processes: a forked one inherits OpenCV's thread pool without its threads and hangs.
_PROCESSES = multiprocessing.get_context("spawn")


def make_scene(
    rng: np.random.Generator,
    size: int = 256,
    textures: Sequence[np.ndarray] | None = None,
    kind: str | None = None,
) -> Scene:
    """Draw one scene; the same generator state gives the same scene.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    size : int
        Side of the square picture in pixels, at least 32.
    textures : sequence of numpy.ndarray, optional
        (h, w, 3) uint8 RGB crops of photographs, used for about half of the surfaces of
        photograph-like scenes. Without them all textures are procedural.
    kind : str, optional
        ``"photo"``, ``"microscopy"`` or ``"medical"``; drawn (65, 22, 13 %) if not given.

    Returns
    -------
    Scene
        Always with at least one object.

    Raises
    ------
    InputError
        If the size or the kind cannot be used.
    """
    if size < 32:
        raise InputError(f"A scene of {size} pixels is too small; use at least 32.")
    if kind is not None and kind not in KINDS:
        raise InputError(f"Unknown kind of scene {kind!r}; choose one of {', '.join(KINDS)}.")
    chosen = kind if kind is not None else str(rng.choice(KINDS, p=_SHARES))
    smallest = max(round(_SMALLEST * size * size), 1)
    while True:  # a scene without a visible object (rare) is drawn again
        if chosen == "photo":
            rgb, ids, depth = photo(rng, size, textures)
        else:
            rgb, ids, depth = (microscopy if chosen == "microscopy" else medical)(rng, size)
        ids = renumber(ids, smallest)
        if ids.any():
            return Scene(rgb, ids, np.clip(depth, 0, 1).astype(np.float16), chosen)


@dataclass(frozen=True)
class SceneCache:
    """Scenes on disk, mapped into memory.

    Attributes
    ----------
    rgb : numpy.ndarray
        (N, S, S, 3) uint8.
    ids : numpy.ndarray
        (N, S, S) uint8 object numbers, 0 = background.
    depth : numpy.ndarray
        (N, S, S) uint16; divide by 65535 for [0, 1], 1 = nearest.
    kind : numpy.ndarray
        (N,) uint8 index into `KINDS`.
    """

    rgb: np.ndarray
    ids: np.ndarray
    depth: np.ndarray
    kind: np.ndarray

    def __len__(self) -> int:
        return len(self.kind)

    def scene(self, index: int) -> Scene:
        """Return one scene in the form that `make_scene` gives it (depth to within 1/65535)."""
        depth = self.depth[index].astype(np.float32) / _LARGEST_DEPTH
        return Scene(
            np.array(self.rgb[index]),
            self.ids[index].astype(np.int16),
            depth.astype(np.float16),
            KINDS[int(self.kind[index])],
        )


def load_cache(path: Path, *, writable: bool = False) -> SceneCache:
    """Map the scenes that `write_cache` wrote.

    Raises
    ------
    InputError
        If the folder does not hold a scene cache.
    """
    mode: Literal["r+", "r"] = "r+" if writable else "r"
    files = [Path(path) / f"{name}.npy" for name in ("rgb", "ids", "depth", "kind")]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InputError(f"{path} is not a scene cache: {', '.join(missing)} missing.")
    return SceneCache(*(np.load(file, mmap_mode=mode) for file in files))


def _fill(
    path: Path,
    first: int,
    step: int,
    seed: int,
    textures: Sequence[np.ndarray] | None,
    report: Callable[[], object],
) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the processes are the parallelism
    cache = load_cache(path, writable=True)
    for index in range(first, len(cache), step):
        scene = make_scene(np.random.default_rng([seed, index]), cache.rgb.shape[1], textures)
        cache.rgb[index] = scene.rgb
        cache.ids[index] = scene.ids
        cache.depth[index] = np.round(scene.depth.astype(np.float32) * _LARGEST_DEPTH)
        cache.kind[index] = KINDS.index(scene.kind)
        report()
    for array in (cache.rgb, cache.ids, cache.depth, cache.kind):
        if isinstance(array, np.memmap):
            array.flush()
    cv2.setNumThreads(threads)


class _Counter:
    """Counts finished scenes over all processes."""

    def __init__(self) -> None:
        self._count = _PROCESSES.Value("l", 0)

    def __call__(self) -> None:
        with self._count.get_lock():
            self._count.value += 1

    @property
    def value(self) -> int:
        """Scenes finished so far."""
        return self._count.value


def write_cache(
    path: Path,
    count: int,
    *,
    size: int = 256,
    seed: int = 0,
    textures: Sequence[np.ndarray] | None = None,
    workers: int = 2,
    progress: bool = True,
) -> None:
    """Write `count` scenes as memory-mappable arrays (see `SceneCache`) into the folder `path`.

    Parameters
    ----------
    path : Path
        Folder, made if missing; arrays already there are overwritten.
    count : int
        Number of scenes.
    size : int
        Side of a scene in pixels.
    seed : int
        Scene `i` depends only on (seed, i) and the textures, not on `workers`.
    textures : sequence of numpy.ndarray, optional
        See `make_scene`.
    workers : int
        Number of processes; 1 works in the calling process. More are started afresh, so a script
        that asks for them needs the usual ``if __name__ == "__main__":``.
    progress : bool
        Show a progress bar.

    Raises
    ------
    InputError
        If the count or the number of workers is below 1.
    OISError
        If a process failed.
    """
    if count < 1 or workers < 1:
        raise InputError("A scene cache needs at least one scene and one worker.")
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    layout = {
        "rgb": ((count, size, size, 3), np.uint8),
        "ids": ((count, size, size), np.uint8),
        "depth": ((count, size, size), np.uint16),
        "kind": ((count,), np.uint8),
    }
    for name, (shape, dtype) in layout.items():
        open_memmap(path / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
    with tqdm(total=count, desc="Making scenes", delay=1.0, disable=None if progress else True) as bar:
        if workers == 1:
            _fill(path, 0, 1, seed, textures, bar.update)
            return
        counter = _Counter()
        processes = [
            _PROCESSES.Process(target=_fill, args=(path, n, workers, seed, textures, counter)) for n in range(workers)
        ]
        for process in processes:
            process.start()
        for process in processes:
            while process.is_alive():
                process.join(timeout=0.5)
                bar.update(counter.value - bar.n)
    if any(process.exitcode for process in processes):
        raise OISError(f"Writing the scene cache in {path} failed in a worker process.")
