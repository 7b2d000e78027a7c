"""Which models there are, and what of them is on this machine.

The rule of this file: it lists, it does not load; neither torch nor the network (the internet) is touched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import platformdirs

from napari_ois.checkpoints.header import file_hash, read_metadata
from napari_ois.checkpoints.hub import DEPTH_SOURCES, DepthSource, find
from napari_ois.errors import WeightsError

EMBEDDED_FOLDER = Path(__file__).parent / "weights"

FOLDER_VARIABLE = "NAPARI_OIS_CHECKPOINTS"
"""Environment variable that moves the user's folder of checkpoints, for a shared disk of a cluster."""


@dataclass(frozen=True)
class ModelInfo:
    """A model and what of it is here.

    Attributes
    ----------
    name : str
        What ``load_model`` and ``Predictor`` take.
    preset : str
        The network it is for.
    parameters : int
        Of the whole network, frozen ones too.
    licence : str
        Of the weights.
    size_bytes : int
        Of the file; 0 = there is none.
    sha256 : str
        Of the file, as published (embedded) or as it is (the user's own); empty = there is none.
    path : Path or None
        The file.
    available : bool
        Whether weights for masks are here.
    depth_available : bool
        Whether it can at least estimate depth.
    note : str
        What is missing and how to get it; empty if nothing is.
    """

    name: str
    preset: str
    parameters: int
    licence: str
    size_bytes: int
    sha256: str
    path: Path | None
    available: bool
    depth_available: bool
    note: str

    @property
    def can_segment(self) -> bool:
        """Whether masks may be asked for: never from random weights."""
        return self.available


@dataclass(frozen=True)
class Known:
    """What is known of a preset without building it; a test holds it against the network."""

    parameters: int
    depth: DepthSource | None = None

    @property
    def embedded(self) -> bool:
        """Whether its weights come with the package."""
        return self.depth is None


def _vit_presets() -> Iterator[tuple[str, Known]]:
    for suffix in ("", "-2048"):
        for letter, parameters, source in zip(
            "sbl", (27_789_146, 109_403_674, 370_313_882), DEPTH_SOURCES.values(), strict=True
        ):
            yield f"ois-vit{letter}{suffix}", Known(parameters, source)


KNOWN: dict[str, Known] = {"ois-compact": Known(5_732_918), **dict(_vit_presets())}


def user_folder() -> Path:
    """The folder where the user's own checkpoints are looked for; it need not exist."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else Path(platformdirs.user_data_dir("napari-ois")) / "checkpoints"


def list_models() -> list[ModelInfo]:
    """List the models by name: the embedded one, the ViT presets, and the user's own checkpoints.

    Returns
    -------
    list of ModelInfo
    """
    infos = [embedded_info(n) if k.embedded else vit_info(n) for n, k in KNOWN.items()]
    for path in sorted(user_folder().glob("*.safetensors")):
        if path.stem not in KNOWN:
            infos.append(_listed(path))
    return infos


def embedded_info(name: str) -> ModelInfo:
    """Describe a model that comes with the package; without its file it is not available."""
    path = EMBEDDED_FOLDER / f"{name}.safetensors"
    card = read_card(path)
    here = path.is_file() and bool(card.get("sha256"))
    return ModelInfo(
        name=name,
        preset=name,
        parameters=KNOWN[name].parameters,
        licence=card.get("licence", "BSD-3-Clause"),
        size_bytes=path.stat().st_size if here else 0,
        sha256=card.get("sha256", "") if here else "",
        path=path if here else None,
        available=here,
        depth_available=here,
        note="" if here else f"The weights of {name} are not in this installation; install napari-ois again.",
    )


def is_path(name_or_path: str | Path) -> bool:
    """Whether a model is given by its file, and not by a name."""
    name = str(name_or_path)
    return isinstance(name_or_path, Path) or name.endswith(".safetensors") or "/" in name or "\\" in name


def check_model(name_or_path: str | Path) -> ModelInfo:
    """Describe a model, and refuse one that could not segment on this machine, without loading it.

    Raises
    ------
    WeightsError
        If there is no such model or file, or it has no weights for masks here.
    """
    if is_path(name_or_path):
        info = file_info(Path(name_or_path).expanduser())
    elif str(name_or_path) in KNOWN:
        name = str(name_or_path)
        info = embedded_info(name) if KNOWN[name].embedded else vit_info(name)
    elif (own := user_folder() / f"{name_or_path}.safetensors").is_file():
        info = file_info(own)
    else:
        raise unknown_model(str(name_or_path))
    if not info.available:
        raise WeightsError(info.note)
    return info


def unknown_model(name: str) -> WeightsError:
    """What to say of a name that no model has."""
    names = ", ".join(known.name for known in list_models())
    return WeightsError(f"There is no model called {name!r}; choose one of {names}, or give the path of a checkpoint.")


def vit_info(name: str) -> ModelInfo:
    """Describe a ViT preset: trained weights in the user's folder, else its depth half at most."""
    known = KNOWN[name]
    assert known.depth is not None
    path = trained_file(name)
    if path is not None:
        return _listed(path, name=name, preset=name)
    depth = find(known.depth, folders=(user_folder(),)) is not None
    return ModelInfo(
        name=name,
        preset=name,
        parameters=known.parameters,
        licence=known.depth.licence,
        size_bytes=0,
        sha256="",
        path=None,
        available=False,
        depth_available=depth,
        note=vit_note(name, depth=depth),
    )


def vit_note(name: str, *, depth: bool) -> str:
    """Say what a ViT preset without trained weights can do, and what to do about it."""
    family = family_of(name)
    has = "estimates depth, but has no weights for masks" if depth else "has no weights here"
    note = (
        f"{name} {has}: train it with `napari-ois train --preset {family}`, or put trained weights at "
        f"{user_folder() / family}.safetensors."
    )
    if find_spec("transformers") is None:
        note += ' It also needs: pip install "napari-ois[vit]".'
    return note


def family_of(name: str) -> str:
    """Name of the preset whose weights this one shares: input sizes differ, parameters do not."""
    return name.removesuffix("-2048")


def trained_file(name: str) -> Path | None:
    """The user's own checkpoint of that name, or of the same network for another input size."""
    for stem in (name, family_of(name)):
        path = user_folder() / f"{stem}.safetensors"
        if path.is_file():
            return path
    return None


def file_info(path: Path, *, name: str | None = None, preset: str | None = None) -> ModelInfo:
    """Describe a checkpoint file from its header; WeightsError if it is none."""
    metadata = read_metadata(path)
    preset = preset or metadata["preset"]
    known = KNOWN.get(preset)
    licence = "" if known is None or known.depth is None else known.depth.licence
    return ModelInfo(
        name=name or path.stem,
        preset=preset,
        parameters=known.parameters if known else 0,
        licence=metadata.get("licence") or licence or "not stated",
        size_bytes=path.stat().st_size,
        sha256=file_hash(path),
        path=path,
        available=known is not None,
        depth_available=known is not None,
        note="" if known else f"{path} is for a network that this version does not know; update napari-ois.",
    )


def read_card(path: Path) -> dict[str, Any]:
    """Read the small JSON file beside an embedded checkpoint; empty where there is none."""
    sidecar = path.with_suffix(".json")
    return json.loads(sidecar.read_text(encoding="utf-8")) if sidecar.is_file() else {}


def _listed(path: Path, *, name: str | None = None, preset: str | None = None) -> ModelInfo:
    """Describe a file that may be damaged: then it is not available, and the note says why."""
    try:
        return file_info(path, name=name, preset=preset)
    except WeightsError as error:
        return ModelInfo(
            name=name or path.stem,
            preset=preset or "",
            parameters=KNOWN[preset].parameters if preset else 0,
            licence="",
            size_bytes=0,
            sha256="",
            path=path,
            available=False,
            depth_available=False,
            note=str(error),
        )
