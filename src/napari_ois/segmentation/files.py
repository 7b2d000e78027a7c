"""One rule: images are read, and results written, whole or not at all.

Results are first written into a hidden folder, in the target or beside one that is yet to be made, and moved when
all of them are there.
"""

from __future__ import annotations

import csv
import os
import shutil
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_ois.errors import InputError
from napari_ois.segmentation.ome_zarr import is_zarr, open_zarr
from napari_ois.segmentation.overview import draw_overview
from napari_ois.segmentation.prediction import Prediction

UNREADABLE = (OSError, ValueError, EOFError, IndexError, RuntimeError, zlib.error, tifffile.TiffFileError)
"""What the readers raise at a damaged file, or one that they do not know; RuntimeError is that of zarr's codecs."""

_AS = {"CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "LA": "L", "La": "L", "PA": "RGBA"}
"""Modes of pictures that other programs take for something else, and what they are read as."""


def read_image(path: str | Path) -> NDArray[Any]:
    """Read one image file: TIFF, NumPy ``.npy``, or what scikit-image reads (PNG, JPEG and others).

    Raises
    ------
    InputError
        If there is no such file or it cannot be read as an image.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder, where one file is taken; give a file.")
    if not os.path.isfile(path):  # and not Path.is_file, which fails below a folder that may not be entered
        raise InputError(f"There is no file {path} that may be read; check the name.")
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            return tifffile.imread(path)
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        return _read_picture(path)
    except (*UNREADABLE, SyntaxError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} cannot be read as an image ({reason}).") from error


def _read_picture(path: Path) -> NDArray[Any]:
    """PNG, JPEG and others as grey, RGB or RGBA: four inks are no RGBA, and grey with alpha is grey."""
    from PIL import Image, UnidentifiedImageError
    from skimage.io import imread

    try:
        with Image.open(path) as picture:
            if picture.mode in _AS:
                return np.asarray(picture.convert(_AS[picture.mode]))
    except UnidentifiedImageError:
        pass  # scikit-image may know it
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} is too large for its format ({error}); save it as a tiled TIFF or OME-Zarr."
        ) from error
    return np.asarray(imread(path))


def read_ids(path: str | Path) -> NDArray[Any]:
    """:func:`read_image` of ids: of a picture with a palette the indices, not the colours that they stand for."""
    if is_zarr(Path(path)):
        return np.asarray(open_zarr(Path(path))[0])
    ids = read_image(path)
    if ids.ndim == 3 and Path(path).suffix.lower() in (".png", ".bmp"):
        from PIL import Image

        with Image.open(path) as picture:
            if picture.mode == "P":
                return np.asarray(picture)
    return ids


def check_target(target: str | Path) -> None:
    """Refuse a folder that cannot be written, before the work is done; writes and makes nothing.

    Raises
    ------
    InputError
        If the target, or the nearest folder above it that exists, is a file or may not be written.
    """
    target = Path(target).absolute()
    # os.path says no below a folder that may not be entered, where Path.exists fails
    nearest = next(path for path in (target, *target.parents) if os.path.exists(path))
    if not nearest.is_dir():
        raise InputError(f"{nearest} is a file; give a folder to write into.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{nearest} may not be written; choose another folder.")


def check_inputs(target: str | Path, inputs: Iterable[str | Path | None], names: Sequence[str]) -> None:
    """Refuse to write results over what they are made from.

    Parameters
    ----------
    target : path
        Folder of the results.
    inputs : iterable of path or None
    names : sequence of str
        Patterns of the names of files that are written into the folder, or removed from it.

    Raises
    ------
    InputError
        If an input lies in the folder under such a name.
    """
    folder = Path(target).resolve()
    for path in inputs:
        if path is None or (file := Path(path).resolve()).parent != folder:
            continue
        if any(fnmatch(file.name.casefold(), pattern.casefold()) for pattern in names):
            raise InputError(f"The results would take the place of {path}; choose another folder than {target}.")


@contextmanager
def whole_folder(target: str | Path, stale: Sequence[str] = ()) -> Iterator[Path]:
    """Give an empty folder to write into; move its files into ``target`` when the block ends well.

    Files of the same name in ``target`` are replaced, others stay. After an error nothing is left
    behind.

    Parameters
    ----------
    target : path
    stale : sequence of str
        Patterns of names: files of an earlier run that would contradict this one, and go where it wrote none.

    Raises
    ------
    InputError
        If the target cannot be written.
    """
    target = Path(target)
    check_target(target)
    # Inside of a folder that is there: what lies beside it may be another disk, or not ours to write.
    home = target if target.is_dir() else target.parent
    staging = home / f".{target.name}-{uuid.uuid4().hex[:8]}"
    try:
        staging.mkdir(parents=True)
        yield staging
        if target.is_dir():
            written = sorted(file.name for file in staging.iterdir())
            for name in written:
                (staging / name).replace(target / name)
            for old in (file for pattern in stale for file in target.glob(pattern)):
                if old.name not in written:
                    old.unlink()
        else:
            staging.rename(target)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_prediction(folder: str | Path, plane: NDArray[np.float32], prediction: Prediction) -> list[Path]:
    """Write a prediction as files that any image program reads.

    ``mask.tif`` (uint8, 0 and 255), ``probability.tif``, ``depth.tif``, ``order_positive.tif`` and
    ``order_negative_01.tif``, ... (float32), ``clicks.csv`` (row, column, label: 1 positive,
    0 negative) and ``overview.png``.
    Order maps of negative clicks of an earlier run in the same folder are removed.

    Parameters
    ----------
    folder : path
        Made where it does not exist.
    plane : (H, W, 3) float32 in [0, 1]
        The image where the prediction lies, for the overview: of an ordinary one all of it, as
        :func:`napari_ois.segmentation.colour.to_plane` gives it.
    prediction : Prediction

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    from PIL import Image

    folder = Path(folder)
    maps: dict[str, NDArray[Any]] = {
        "mask": prediction.mask.astype(np.uint8) * 255,
        "probability": prediction.probability,
        "depth": prediction.depth,
        "order_positive": prediction.positive_order_map,
    }
    for number, negative in enumerate(prediction.negative_order_maps, start=1):
        maps[f"order_negative_{number:02d}"] = negative
    with whole_folder(folder, stale=("order_negative_*.tif",)) as staging:
        for name, values in maps.items():
            tifffile.imwrite(staging / f"{name}.tif", values, compression="zlib")
        with (staging / "clicks.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["row", "column", "label"])
            for (row, column), label in zip(prediction.points, prediction.labels, strict=True):
                writer.writerow([float(row), float(column), int(label)])
        Image.fromarray(draw_overview(plane, prediction)).save(staging / "overview.png")
        return sorted(folder / file.name for file in staging.iterdir())
