"""From a folder in one of the usual layouts to a list of training images.

The rule of this file: it looks at names only and opens no picture, so that 44,000 images are listed in seconds;
:mod:`napari_ois.training.datasets` reads them. The layouts: MANIFEST.csv (of training, or of evaluation),
HQSeg-44K as its authors hand it out, ``im`` and ``gt``, and ``images`` and ``masks``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from napari_ois.errors import InputError
from napari_ois.evaluation.manifest import data_folder
from napari_ois.evaluation.targets import is_lossy
from napari_ois.training.datasets import TrainImage, read_manifest

logger = logging.getLogger(__name__)

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".webp", ".npy")

HQSEG44K = {
    "DIS5K-TR": ("DIS5K/DIS-TR/im", "DIS5K/DIS-TR/gt"),
    "ThinObject5K-TR": (
        "thin_object_detection/ThinObject5K/images_train",
        "thin_object_detection/ThinObject5K/masks_train",
    ),
    "FSS-1000": ("cascade_psp/fss_all", "cascade_psp/fss_all"),
    "DUTS-TR": ("cascade_psp/DUTS-TR", "cascade_psp/DUTS-TR"),
    "DUTS-TE": ("cascade_psp/DUTS-TE", "cascade_psp/DUTS-TE"),
    "ECSSD": ("cascade_psp/ecssd", "cascade_psp/ecssd"),
    "MSRA-10K": ("cascade_psp/MSRA_10K", "cascade_psp/MSRA_10K"),
}
"""Training sets of HQSeg-44K: folders of jpg images and of png masks, any value above 0 is the object."""

LAYOUTS = "MANIFEST.csv, images and masks, im and gt, or HQSeg-44K's DIS5K, cascade_psp and thin_object_detection"


def read_collection(folder: str | Path) -> list[TrainImage]:
    """List the images of a folder, whichever layout it has.

    Parameters
    ----------
    folder : str or Path
        Or the MANIFEST.csv in it.

    Returns
    -------
    list of TrainImage

    Raises
    ------
    InputError
        When the folder is missing or empty, or has none of the layouts, or an image lacks its mask.
    """
    folder = data_folder(folder)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; check the name.")
    if (folder / "MANIFEST.csv").is_file():
        return read_manifest(folder)
    if any((folder / top).is_dir() for top in ("DIS5K", "cascade_psp", "thin_object_detection")):
        return read_hqseg(folder)
    for pictures, masks, binary in (("im", "gt", True), ("images", "masks", False)):
        if (folder / pictures).is_dir() and (folder / masks).is_dir():
            return pair(folder / pictures, folder / masks, name=folder.resolve().name, binary=binary)
    raise InputError(f"{folder} has no layout that is known: it should hold {LAYOUTS}.")


def read_hqseg(folder: str | Path) -> list[TrainImage]:
    """List the training images of HQSeg-44K; sets that are not there are named in a warning.

    Raises
    ------
    InputError
        When none of the sets is there, or an image lacks its mask.
    """
    folder = Path(folder)
    items: list[TrainImage] = []
    missing = []
    for name, (pictures, masks) in HQSEG44K.items():
        if (folder / pictures).is_dir() and (folder / masks).is_dir():
            items += pair(folder / pictures, folder / masks, name=name, binary=True)
        else:
            missing.append(f"{name} ({pictures})")
    if not items:
        raise InputError(f"{folder} holds no training set of HQSeg-44K; missing: {', '.join(missing)}.")
    if missing:
        logger.warning("HQSeg-44K in %s is incomplete; missing: %s.", folder, ", ".join(missing))
    return items


def pair(pictures: Path, masks: Path, *, name: str, binary: bool) -> list[TrainImage]:
    """List the images of one folder with the masks of the same stem in another, or in the same one.

    Parameters
    ----------
    pictures, masks : Path
        The same folder for both: then images are jpg and masks png.
    name : str
        Of the set.
    binary : bool
        Whether any value above 0 is the one object; otherwise values are ids.

    Raises
    ------
    InputError
        When there is no image, one lacks its mask, or two files share a stem.
    """
    together = pictures == masks
    images = _by_stem(pictures, (".jpg", ".jpeg") if together else SUFFIXES)
    labels = _by_stem(masks, (".png",) if together else SUFFIXES)
    if not images:
        raise InputError(f"{pictures} holds no image ({', '.join(SUFFIXES)}).")
    lacking = sorted(images.keys() - labels.keys())
    if lacking:
        raise InputError(
            f"{len(lacking)} of the {len(images)} images in {pictures} have no mask of the same name in {masks}, "
            f"{images[lacking[0]].name} first."
        )
    lossy = [path.name for path in labels.values() if is_lossy(path)]
    if lossy and not binary:
        raise InputError(f"{masks / lossy[0]} is a JPEG, which changes the ids of objects; save masks as PNG or TIFF.")
    return [
        TrainImage(
            image=images[stem],
            mask=labels[stem],
            depth=None,
            depth_kind="",
            set=name,
            kind="single" if binary else "instances",
            union_ok=False,
            licence_class="unstated",
            width=0,
            height=0,
            mask_kind="binary" if binary else "ids",
        )
        for stem in sorted(images)
    ]


def _by_stem(folder: Path, suffixes: Iterable[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in found:
            raise InputError(f"{folder} holds both {found[path.stem].name} and {path.name}; keep one of them.")
        found[path.stem] = path
    return found
