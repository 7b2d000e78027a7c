"""One rule: look at one thing after the other and say in a line whether it is good.

What is optional and missing is good; what the package cannot do without is not.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_ois import __version__
from napari_ois.errors import OISError

QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
BROKEN_PYSIDE = ("6.12.0",)
"""Each event that napari filters gives up one reference to None too many; from Python 3.12 on nobody counts them."""

OLDEST_NAPARI = (0, 6, 6)
"""As in the extra "viewer"; without the extra, pip does not look."""


def _numbers(version: str) -> tuple[int, ...]:
    """The first numbers of a version, by which it is older or newer."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def examine(default_model: str) -> Iterator[tuple[bool, str]]:
    """(good, line) for each thing looked at; what is optional and missing is good."""
    yield (
        True,
        f"napari-ois {__version__}, Python {platform.python_version()}, {platform.platform()}",
    )
    for package in ("torch", "numpy", "scikit-image", "safetensors", "huggingface_hub"):
        version = _version(package)
        yield (
            version is not None,
            f"{package} {version or 'is not installed; install napari-ois again'}",
        )
    for package, extra in (("napari", "viewer"), ("transformers", "vit"), ("accelerate", "train")):
        hint = f'is not installed (optional: pip install "napari-ois[{extra}]")'
        yield True, f"{package} {_version(package) or hint}"
    if (napari := _version("napari")) and _numbers(napari) < OLDEST_NAPARI:
        yield False, f"napari {napari}: the plugin needs {'.'.join(map(str, OLDEST_NAPARI))} or newer"
    # Looked up, not imported: a binding can end the process where there is no display.
    found = [f"{name} {_version(name)}" for name in QT_BINDINGS if _version(name)]
    yield True, f"Qt: {', '.join(found) or 'no binding found (scripts need none)'}"
    if _version("PySide6") in BROKEN_PYSIDE and sys.version_info < (3, 12):
        yield False, "PySide6: this version ends napari after a while on Python before 3.12; install another one"

    import torch

    from napari_ois.checkpoints import list_models
    from napari_ois.segmentation.placement import available_devices, choose_device, choose_precision

    names = [f"{name} ({torch.cuda.get_device_name(name)})" if "cuda" in name else name for name in available_devices()]
    best = choose_device("auto")
    half = str(choose_precision("auto", best)).removeprefix("torch.")
    yield (
        True,
        f"devices: {', '.join(names)}; auto takes {best} in {half}; {torch.get_num_threads()} threads",
    )
    for info in list_models():
        yield _examine_weights(info, needed=info.name == default_model)
    yield _self_test(default_model)


def _examine_weights(info: Any, *, needed: bool) -> tuple[bool, str]:
    if not info.available or info.path is None or not info.sha256:
        unusable = not info.available and (needed or info.path is not None)  # what should be here, or is and is damaged
        return not unusable, f"weights of {info.name}: {info.note or 'none here'}"
    if not needed:  # nobody has published a hash for the user's own
        from napari_ois.checkpoints import load_model

        try:
            load_model(info.path)
        except OISError as error:
            return False, f"weights of {info.name}: {error}"
        return True, f"weights of {info.name}: can be loaded"
    with Path(info.path).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    same = digest == info.sha256
    return (
        same,
        f"weights of {info.name}: {'hash as expected' if same else 'damaged, install them again'}",
    )


def _self_test(model: str) -> tuple[bool, str]:
    """Embed a small picture of a disk and click on it: the easiest object that there is."""
    import numpy as np

    from napari_ois.segmentation.predictor import Predictor

    rows, columns = np.indices((96, 128))
    disk = (rows - 48) ** 2 + (columns - 60) ** 2 <= 24**2
    picture = np.where(disk[..., None], [220, 120, 60], [40, 60, 90]).astype(np.uint8)
    start = time.perf_counter()
    try:
        predictor = Predictor(model)
        predictor.set_image(picture)
        prediction = predictor.predict([(48, 60)], [1])
    except (OISError, RuntimeError) as error:
        return False, f"self-test: {str(error).splitlines()[0]}"
    seconds = time.perf_counter() - start
    if not np.isfinite(prediction.probability).all():
        return (
            False,
            f"self-test: the network gave values that are no numbers on {predictor.device}",
        )
    overlap = (prediction.mask & disk).sum() / max((prediction.mask | disk).sum(), 1)
    return (
        bool(overlap > 0.5),
        f"self-test: one click on a disk in {seconds:.1f} s, IoU {overlap:.2f}, on {predictor.device}",
    )
