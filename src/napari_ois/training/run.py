"""From folders to a trained network: pack the images, make the scenes, train.

The rule of this file: what is already there is used again, so the same call starts a training, goes on with
one that was stopped, and does nothing to one that is finished.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_ois.errors import InputError
from napari_ois.training.packing import Pack, load_pack, pack
from napari_ois.training.recipe import Recipe
from napari_ois.training.scenes import load_cache, write_cache
from napari_ois.training.trainer import Trainer

logger = logging.getLogger(__name__)

TEXTURES = 240
_TEXTURE_SIDE = 128
_TEXTURE_SEED = 5
_SCENE_SEED = 11
_NOT_SURFACES = frozenset({"la_mri", "busi", "dsb2018", "em_vnc", "pyradiomics", "totalseg", "omnipose7"})
"""Sets whose pictures are no photographs of surfaces."""


def train(
    recipe: Recipe,
    out: Path,
    *,
    data: Path | None = None,
    scenes: int = 3600,
    cache: Path | None = None,
    device: str = "cpu",
    seconds: float | None = None,
    workers: int = 1,
    depth_weights: Path | None = None,
    start: str | Path | None = None,
) -> Trainer:
    """Prepare data and train, or go on with a training.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        Folder of checkpoints and the log.
    data : Path, optional
        Collection of real images with a ``MANIFEST.csv``; without one, made scenes only.
    scenes : int
        Number of made scenes; 0 = real images only.
    cache : Path, optional
        Folder for packed images and scenes; ``out / "cache"`` if not given.
    device : str
    seconds : float, optional
        Stop after this time, with a checkpoint to go on from.
    workers : int
        Processes that prepare data.
    depth_weights : Path, optional
        ViT presets: file or folder of Depth Anything V2 weights to start from.
    start : str or Path, optional
        Model or checkpoint to start from.

    Returns
    -------
    Trainer

    Raises
    ------
    InputError
        If there is nothing to learn from, or the data are damaged.
    """
    if data is None and scenes < 1:
        raise InputError("Nothing to learn from: give a folder of images, or a number of scenes.")
    cache = Path(out) / "cache" if cache is None else Path(cache)
    pack_folder = None if data is None else packed_images(Path(data), cache / "real")
    scene_folder = None
    if scenes:
        textures = () if pack_folder is None else surface_textures(load_pack(pack_folder))
        scene_folder = made_scenes(cache / "scenes", scenes, textures, workers=max(1, workers))
    trainer = Trainer(
        recipe,
        Path(out),
        pack=pack_folder,
        scenes=scene_folder,
        device=device,
        depth_weights=depth_weights,
        start=start,
    )
    trainer.run(seconds=seconds, workers=workers)
    return trainer


def packed_images(data: Path, folder: Path) -> Path:
    """Pack a collection unless it has been packed there before."""
    if not (folder / "index.json").exists():
        logger.info("Packing the images of %s", data)
        pack(data, folder)
    return folder


def made_scenes(folder: Path, count: int, textures: Sequence[np.ndarray], *, workers: int = 2) -> Path:
    """Make scenes unless as many are there."""
    try:
        if len(load_cache(folder)) == count and (folder / "complete").exists():
            return folder
    except InputError:
        logger.debug("No scenes in %s yet", folder)
    write_cache(folder, count, size=256, seed=_SCENE_SEED, textures=textures, workers=workers)
    (folder / "complete").touch()
    return folder


def surface_textures(images: Pack) -> list[np.ndarray]:
    """Cut square pieces of photographs, (128, 128, 3) uint8 at most, to cover made objects with."""
    rng = np.random.default_rng(_TEXTURE_SEED)
    usable = [i for i, entry in enumerate(images.images) if entry.set not in _NOT_SURFACES]
    if not usable:
        return []
    pieces = []
    for index in rng.choice(usable, TEXTURES):
        rgb, _, _ = images.image(int(index))
        side = min(_TEXTURE_SIDE, *rgb.shape[:2])
        row = int(rng.integers(rgb.shape[0] - side + 1))
        column = int(rng.integers(rgb.shape[1] - side + 1))
        pieces.append(np.ascontiguousarray(rgb[row : row + side, column : column + side]))
    return pieces
