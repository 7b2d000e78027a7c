"""Rule: an image and its mask bear the same stem in two folders; whatever has no partner is named.

HQSeg-44K's 1,537 validation images are four such pairs of folders, DAVIS is one, and so is a plain
folder of `images` and `masks`. A depth image is looked for in `depth` beside the images' folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from napari_ois.errors import InputError
from napari_ois.evaluation.samples import Entry
from napari_ois.evaluation.targets import BinaryTarget, LabelTarget, ignored_ids, is_lossy, read_labels

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".npy")
HQSEG_VALIDATION = {
    "DIS5K-VD": ("DIS5K/DIS-VD/im", "DIS5K/DIS-VD/gt"),
    "ThinObject5K-TE": (
        "thin_object_detection/ThinObject5K/images_test",
        "thin_object_detection/ThinObject5K/masks_test",
    ),
    "COIFT": ("thin_object_detection/COIFT/images", "thin_object_detection/COIFT/masks"),
    "HRSOD": ("thin_object_detection/HRSOD/images", "thin_object_detection/HRSOD/masks_max255"),
}
"""Folders of images and masks of the validation split: 470 + 500 + 280 + 287 images."""

_SHOWN = 5


def list_hqseg(folder: Path) -> list[Entry]:
    """List HQSeg-44K's validation split, one object an image; a part of it is refused, saying what lacks."""
    lacking = [part for pair in HQSEG_VALIDATION.values() for part in pair if not (folder / part).is_dir()]
    if lacking:
        raise InputError(f"{folder} looks like HQSeg-44K, but lacks {', '.join(lacking)}.")
    entries = []
    for name, (images, masks) in HQSEG_VALIDATION.items():
        entries += _one_object_each(folder, images, masks, set_name=name)
    return entries


def list_davis(folder: Path) -> list[Entry]:
    """List `img` and `gt`: one object an image, all that is not black (DAVIS-345)."""
    return _one_object_each(folder, "img", "gt", set_name=folder.resolve().name)


def list_plain(folder: Path) -> list[Entry]:
    """List `images` and `masks`: label maps, every id but 0 and those of :func:`ignored_ids` is an object.

    Raises
    ------
    InputError
        When files are missing or damaged, a mask is no label map, or an image has no object.
    """
    pairs = _pair(folder, "images", "masks")
    depths = _depths(folder)
    check_files(pairs, folder, depths.values())
    lossy = [f"{mask.relative_to(folder)} (a JPEG, which changes ids)" for _, mask in pairs if is_lossy(mask)]
    refuse(lossy, folder)
    entries = []
    for image, mask in pairs:
        ids = np.unique(read_labels(mask))
        for label in ids[(ids != 0) & ~ignored_ids(ids)]:
            entries.append(_entry(folder, image, str(label), LabelTarget(mask, str(label)), depths))
    return entries


def _one_object_each(folder: Path, images: str, masks: str, *, set_name: str) -> list[Entry]:
    pairs = _pair(folder, images, masks)
    depths = _depths((folder / images).parent)
    check_files(pairs, folder, depths.values())
    return [_entry(folder, image, "1", BinaryTarget(mask), depths, set_name, "natural") for image, mask in pairs]


def _entry(
    folder: Path,
    image: Path,
    name: str,
    target: BinaryTarget | LabelTarget,
    depths: dict[str, Path],
    set_name: str = "",
    domain: str = "",
) -> Entry:
    return Entry(
        set=set_name or folder.resolve().name,
        domain=domain,
        image=image.relative_to(folder).as_posix(),
        path=image,
        object=name,
        target=target,
        depth=depths.get(image.stem),
    )


def _pair(folder: Path, images: str, masks: str) -> list[tuple[Path, Path]]:
    """Images with their masks, by name."""
    left, right = _by_stem(folder / images), _by_stem(folder / masks)
    alone = [left[stem] for stem in left if stem not in right] + [right[stem] for stem in right if stem not in left]
    refuse([f"{path.relative_to(folder)} (no partner)" for path in alone], folder)
    if not left:
        raise InputError(f"{folder / images} holds no image.")
    return [(left[stem], right[stem]) for stem in sorted(left)]


def _depths(folder: Path) -> dict[str, Path]:
    return _by_stem(folder / "depth") if (folder / "depth").is_dir() else {}


def _by_stem(folder: Path) -> dict[str, Path]:
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    found = {path.stem: path for path in files}
    if len(found) < len(files):
        twice = next(path for path in files if found[path.stem] != path)
        raise InputError(f"{folder} holds two files called {twice.stem}; keep one of them.")
    return found


def check_files(pairs: Sequence[tuple[Path, Path]], folder: Path, depths: Iterable[Path] = ()) -> None:
    """Refuse images and masks that are missing, whose header is damaged, or whose sizes differ.

    Pixels are not read, so a file that is cut short behind its header is found when its turn comes.

    Raises
    ------
    InputError
        One sentence that names the files.
    """
    sizes: dict[Path, tuple[int, int] | None] = {}
    for path in dict.fromkeys([*(path for pair in pairs for path in pair), *depths]):
        sizes[path] = image_size(path)
    wrong = {path: "damaged" if path.is_file() else "missing" for path, size in sizes.items() if size is None}
    for image, mask in pairs:
        if sizes[image] and sizes[mask] and sizes[image] != sizes[mask]:
            wrong[mask] = "another size than its image"
    refuse([f"{_within(path, folder)} ({what})" for path, what in wrong.items()], folder)


def refuse(problems: Sequence[str], folder: Path) -> None:
    """Name what is wrong in a folder, the first few by name; nothing where there is nothing."""
    if problems:
        rest = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        count = "1 file" if len(problems) == 1 else f"{len(problems)} files"
        raise InputError(
            f"{folder} cannot be measured because of {count}: {', '.join(problems[:_SHOWN])}{rest}; "
            "mend or remove them."
        )


def image_size(path: Path) -> tuple[int, int] | None:
    """Rows and columns as the file's header says; None if it is missing or damaged."""
    import tifffile
    from PIL import Image, UnidentifiedImageError

    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            with tifffile.TiffFile(path) as file:
                shape = file.pages[0].shape
        elif path.suffix.lower() == ".npy":
            shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
        else:
            with Image.open(path) as image:
                shape = (image.height, image.width)
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError, tifffile.TiffFileError):
        return None
    return (shape[0], shape[1]) if len(shape) > 1 else None


def _within(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)
