"""From folders to a trained network: pack the images, make the scenes, train.

The rule of this file: what is already there is used again, so the same call starts a training, goes on with
one that was stopped, and does nothing to one that is finished. What was prepared from other data is refused.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from napari_ois.errors import InputError
from napari_ois.evaluation.manifest import data_folder
from napari_ois.training.batches import ImageSource
from napari_ois.training.datasets import licensed
from napari_ois.training.dev import dev_images, object_ids
from napari_ois.training.folders import read_collection
from napari_ois.training.memory import kept_memory
from napari_ois.training.packing import Pack, load_pack, pack, source_of
from napari_ois.training.recipe import Recipe
from napari_ois.training.scenes import load_cache, write_cache
from napari_ois.training.sources import Files
from napari_ois.training.team import join_team
from napari_ois.training.trainer import Trainer
from napari_ois.training.windows import MIN_POSITIVE

logger = logging.getLogger(__name__)

PACKED_SIDE = 320
"""Longest side of packed images: enough for the compact preset's windows, a third of what the ViT presets see."""
SHARP_SIDE = 640
"""The same for windows that lie inside the picture: close ones are then as sharp as close-ups are in use."""

TEXTURES = 240
_TEXTURE_SIDE = 128
_LOOKED_AT = 50
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
    precision: str = "fp32",
    accumulate: int = 1,
    dev: Path | None = None,
    dev_every: int = 1000,
    tensorboard: bool = False,
) -> Trainer:
    """Prepare data and train, or go on with a training.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        Folder of checkpoints and the log.
    data : Path, optional
        Real images in any layout of :func:`napari_ois.training.folders.read_collection`; without them, made
        scenes only.
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
    precision, accumulate, tensorboard
        See :class:`Trainer`.
    dev : Path, optional
        Folder of images to measure on, every ``dev_every`` steps and at the end.

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
    measured = None if dev is None else dev_images(dev)
    team = join_team(device)
    # The first device prepares what the others then find.
    if not team.leads:
        team.wait()
    real = None if data is None else real_images(data_folder(data), cache / "real", recipe)
    scene_folder = None
    if scenes:
        textures = surface_textures(load_pack(real).licensed(recipe.licences)) if isinstance(real, Path) else ()
        # their surfaces are cut out of the photographs
        sharp = (str(SHARP_SIDE),) if textures and recipe.aspects else ()
        place = cache / "-".join(("scenes", *recipe.licences, *sharp))
        scene_folder = made_scenes(place, scenes, textures, workers=max(1, workers))
    if team.leads:
        team.wait()
    trainer = Trainer(
        recipe,
        Path(out),
        pack=real,
        scenes=scene_folder,
        device=device,
        depth_weights=depth_weights,
        start=start,
        precision=precision,
        accumulate=accumulate,
        dev=measured,
        dev_every=dev_every,
        tensorboard=tensorboard,
    )
    with kept_memory():
        trainer.run(seconds=seconds, workers=workers)
    return trainer


def real_images(data: Path, folder: Path, recipe: Recipe) -> Path | ImageSource:
    """Pack a collection where a pack is sharp enough and made for it; otherwise its files are read when drawn.

    Parameters
    ----------
    data : Path
        The collection.
    folder : Path
        Of the pack; sharper ones have a folder beside it.
    recipe : Recipe
        Its windows say how sharp images must be.
    """
    sides = [side for phase in recipe.phases for side, _ in ((phase.size, phase.images), *phase.turns)]
    if max(sides) <= PACKED_SIDE and (data / "MANIFEST.csv").is_file():
        if recipe.aspects:
            return packed_images(data, folder.with_name(f"{folder.name}-{SHARP_SIDE}"), SHARP_SIDE)
        return packed_images(data, folder)
    items = read_collection(data)
    items = list(compress(items, licensed(items, recipe.licences)))
    # half as much again: windows are cut at several scales
    files = Files(items, longest=max(sides) if recipe.view == "whole" else 3 * max(sides) // 2)
    _check_shown(files)
    return files


def _check_shown(files: Files) -> None:
    """Refuse images of which none, of some that are looked at, shows an object at the size that is trained at."""
    looked = np.unique(np.linspace(0, len(files) - 1, _LOOKED_AT).round().astype(int))
    if not any(len(object_ids(files.image(int(i))[1])) for i in looked):
        raise InputError(
            f"None of {len(looked)} images that were looked at shows an object of {MIN_POSITIVE} pixels or more when "
            f"it is shrunk to {files.longest} pixels; cut the images into parts, or label some objects."
        )


def packed_images(data: Path, folder: Path, longest: int = PACKED_SIDE) -> Path:
    """Pack a collection unless it has been packed there before; InputError where another one has."""
    if not (folder / "index.json").exists():
        logger.info("Packing the images of %s", data)
        pack(data, folder, longest=longest)
    elif load_pack(folder).source not in ("", source_of(data)):
        raise InputError(
            f"{folder} holds images of another collection, or of another state of {data}; name another cache, "
            "or delete that folder."
        )
    return folder


def made_scenes(folder: Path, count: int, textures: Sequence[np.ndarray], *, workers: int = 2) -> Path:
    """Make scenes unless as many are there; InputError where those there have other textures."""
    complete, own = folder / "complete", _fingerprint(textures)
    # before fingerprints the file was empty
    if complete.exists() and complete.read_text(encoding="utf-8") not in ("", own):
        raise InputError(
            f"The scenes in {folder} are covered with pieces of other photographs; name another cache, or delete "
            "that folder."
        )
    try:
        if len(load_cache(folder)) == count and complete.exists():
            return folder
    except InputError:
        logger.debug("No scenes in %s yet", folder)
    complete.unlink(missing_ok=True)  # an older one would vouch for scenes that a stop leaves half made
    write_cache(folder, count, size=256, seed=_SCENE_SEED, textures=textures, workers=workers)
    complete.write_text(own, encoding="utf-8")
    return folder


def _fingerprint(textures: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for texture in textures:
        digest.update(texture.tobytes())
    return digest.hexdigest()


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
