"""Rule: images are decoded and shrunk once, here; training reads flat, memory-mapped pixels.

A pack is a folder: `rgb.npy` (pixels, 3) uint8, `ids.npy` (pixels,) uint16, `depth.npy` (pixels
with depth,) uint16 and `index.json`, written last, so that a pack without it is an unfinished one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from napari_ois.errors import InputError
from napari_ois.training.datasets import IGNORE_ID, licensed, read_image, read_manifest
from napari_ois.training.windows import NoObject

_FORMAT = 2  # of 1, grey images lie there as filed, and not as the network sees them
MIN_AREA = 24
"""Smallest object, in pixels of the pack, for whose sake an image is drawn."""


@dataclass(frozen=True)
class PackedImage:
    """Where one image lies in the flat arrays, and what it holds.

    Attributes
    ----------
    offset, depth_offset : int
        First pixel in `rgb`/`ids` and in `depth`; `depth_offset` is -1 without depth.
    height, width : int
        Size in pixels, in the pack.
    areas : dict of int to int
        Pixels of each object id, in the pack; ignore and background are left out.
    """

    name: str
    offset: int
    height: int
    width: int
    depth_offset: int
    set: str
    kind: str
    union_ok: bool
    licence_class: str
    areas: dict[int, int]

    @property
    def has_depth(self) -> bool:
        """Whether the image came with depth."""
        return self.depth_offset >= 0


class Pack:
    """A packed collection, memory-mapped.

    Parameters
    ----------
    rgb : (pixels, 3) uint8
    ids : (pixels,) uint16
    depth : (pixels with depth,) uint16
    images : list of PackedImage
    source : str
        What it was packed from, see :func:`source_of`; empty where nobody knows.
    """

    def __init__(
        self, rgb: np.ndarray, ids: np.ndarray, depth: np.ndarray, images: list[PackedImage], source: str = ""
    ) -> None:
        self.rgb, self.ids, self.depth, self.images, self.source = rgb, ids, depth, images, source
        self._drawable = np.array([max(e.areas.values(), default=0) >= MIN_AREA for e in images], bool)
        self.weights = self._set_balanced(self._drawable)
        self._cumulative = np.cumsum(self.weights)

    def __len__(self) -> int:
        return len(self.images)

    def image(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Views (no copies) of image `i`.

        Returns
        -------
        rgb : (H, W, 3) uint8
        ids : (H, W) uint16, 65535 ignore
        depth : (H, W) uint16 or None, 0 unknown, larger = nearer
        """
        entry = self.images[i]
        shape = (entry.height, entry.width)
        pixels = slice(entry.offset, entry.offset + entry.height * entry.width)
        rgb = self.rgb[pixels].reshape(*shape, 3)
        ids = self.ids[pixels].reshape(shape)
        if not entry.has_depth:
            return rgb, ids, None
        start = entry.depth_offset
        return rgb, ids, self.depth[start : start + entry.height * entry.width].reshape(shape)

    def draw(self, rng: np.random.Generator) -> int:
        """Draw an image with objects: a set by the root of its size, then one of its images."""
        if not len(self._cumulative) or self._cumulative[-1] <= 0:
            raise NoObject("The pack holds no image with an object to learn from.")
        at = np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1], side="right")
        return int(min(at, len(self) - 1))

    def subset(self, keep: np.ndarray) -> Pack:
        """The same pixels with only some images.

        Parameters
        ----------
        keep : (images,) bool
        """
        chosen = [e for e, kept in zip(self.images, keep, strict=True) if kept]
        return Pack(self.rgb, self.ids, self.depth, chosen, self.source)

    def licensed(self, classes: Sequence[str]) -> Pack:
        """Only images of these licence classes; see :func:`napari_ois.training.datasets.licensed`."""
        return self.subset(np.array(licensed(self.images, classes), bool))

    def _set_balanced(self, usable: np.ndarray) -> np.ndarray:
        names = np.array([entry.set for entry in self.images], dtype=object)
        weights = np.zeros(len(self.images))
        for name in set(names[usable]):
            members = usable & (names == name)
            # sqrt(n) for the set, spread evenly over its n images
            weights[members] = 1.0 / np.sqrt(members.sum())
        return weights


def pack(folder: str | Path, out: str | Path, *, longest: int = 320, progress: bool = True) -> Pack:
    """Decode and shrink a collection into one pack.

    Parameters
    ----------
    folder : str or Path
        Collection with a MANIFEST.csv.
    out : str or Path
        Folder of the pack; made if missing, an older pack in it is replaced.
    longest : int
        Longest side in pixels; larger images are shrunk, smaller ones are kept.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Pack
        The finished pack, opened.

    Raises
    ------
    InputError
        When a file of the collection is missing or damaged.
    """
    items = read_manifest(folder)
    source = source_of(folder)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.json").unlink(missing_ok=True)
    sizes = [packed_size(item.height, item.width, longest) for item in items]
    pixels = [height * width for height, width in sizes]
    total = sum(pixels)
    with_depth = sum(n for n, item in zip(pixels, items, strict=True) if item.depth is not None)
    # a memory map cannot be empty, hence at least one pixel
    rgb = _create(out / "rgb.npy", (max(total, 1), 3), np.uint8)
    ids = _create(out / "ids.npy", (max(total, 1),), np.uint16)
    depth = _create(out / "depth.npy", (max(with_depth, 1),), np.uint16)
    entries: list[dict[str, object]] = []
    at = depth_at = 0
    bar = tqdm(items, desc="Packing images", delay=1.0, disable=None if progress else True)
    for item, (height, width) in zip(bar, sizes, strict=True):
        image, labels, near = read_image(item)
        if (height, width) != labels.shape:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            labels = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        stop = at + height * width
        rgb[at:stop] = image.reshape(-1, 3)
        ids[at:stop] = labels.ravel()
        if near is not None:
            if near.shape != (height, width):
                near = cv2.resize(near, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
            depth[depth_at : depth_at + height * width] = near.ravel()
        present, counts = np.unique(labels, return_counts=True)
        areas = {str(i): int(n) for i, n in zip(present, counts, strict=True) if 0 < i < IGNORE_ID}
        entries.append(
            {
                "name": item.image.relative_to(folder).as_posix(),
                "offset": at,
                "height": height,
                "width": width,
                "depth_offset": -1 if near is None else depth_at,
                "set": item.set,
                "kind": item.kind,
                "union_ok": item.union_ok,
                "licence_class": item.licence_class,
                "areas": areas,
            }
        )
        at = stop
        depth_at += 0 if near is None else height * width
    for array in (rgb, ids, depth):
        array.flush()
    index = json.dumps({"format": _FORMAT, "source": source, "images": entries})
    (out / "index.json").write_text(index, encoding="utf-8")
    return load_pack(out)


def load_pack(path: str | Path) -> Pack:
    """Open a pack without reading its pixels.

    Raises
    ------
    InputError
        When a file is missing or damaged, or the pack was never finished.
    """
    path = Path(path)
    for name in ("index.json", "rgb.npy", "ids.npy", "depth.npy"):
        if not (path / name).is_file():
            raise InputError(f"{path / name} is missing; pack the collection again.")
    try:
        index = json.loads((path / "index.json").read_text(encoding="utf-8"))
        images = [_entry(fields) for fields in index["images"]]
        arrays = [np.load(path / f"{name}.npy", mmap_mode="r") for name in ("rgb", "ids", "depth")]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"The pack {path} is damaged ({error}); pack the collection again.") from error
    if index.get("format") != _FORMAT:
        raise InputError(f"The pack {path} has another format; delete it, and the collection is packed again.")
    # plain views of the map: slicing a memmap object costs several times more
    rgb, ids, depth = (array.view(np.ndarray) for array in arrays)
    return Pack(rgb, ids, depth, images, index.get("source", ""))


def source_of(folder: str | Path) -> str:
    """A collection by its place and by what its manifest says, as a pack of it notes them."""
    folder = Path(folder).resolve()
    return f"{folder} {hashlib.sha256((folder / 'MANIFEST.csv').read_bytes()).hexdigest()}"


def packed_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """Size (rows, columns) that an image has in a pack: never larger than it was."""
    ratio = min(1.0, longest / max(height, width))
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def _create(path: Path, shape: tuple[int, ...], dtype: type) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _entry(fields: dict) -> PackedImage:
    return PackedImage(**{**fields, "areas": {int(k): int(v) for k, v in fields["areas"].items()}})
