"""Depth Anything V2's weights: whose they are, and where to find them here or on the hub.

The rule of this file: nothing is downloaded unless asked for, and the licence is said before that.
huggingface_hub does the work, with the user's own cache, proxies and tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_ois.errors import WeightsError

WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class DepthSource:
    """A repository of depth weights.

    Attributes
    ----------
    repository : str
        Its name on the hub.
    licence : str
        SPDX name of the weights' licence.
    original : str
        Name of the same weights in the authors' own layout.
    """

    repository: str
    licence: str
    original: str

    @property
    def short_name(self) -> str:
        """The repository's name without its owner; a local folder is looked for under it."""
        return self.repository.split("/")[-1]

    @property
    def statement(self) -> str:
        """One sentence on the licence, to be shown before a download."""
        if self.licence.startswith("CC-BY-NC"):
            terms = f"{self.licence}: not for commercial use, and so are networks trained from them"
        else:
            terms = f"{self.licence}: free for any use"
        return f"The weights of {self.repository} are under {terms}."


def _source(size: str, licence: str) -> DepthSource:
    return DepthSource(
        f"depth-anything/Depth-Anything-V2-{size}-hf",
        licence,
        f"depth_anything_v2_vit{size[0].lower()}.pth",
    )


DEPTH_SOURCES: dict[str, DepthSource] = {
    source.repository: source
    for source in (
        _source("Small", "Apache-2.0"),
        _source("Base", "CC-BY-NC-4.0"),
        _source("Large", "CC-BY-NC-4.0"),
    )
}


def find(
    source: DepthSource,
    *,
    folders: tuple[Path, ...] = (),
    revision: str | None = None,
    cache_dir: Path | None = None,
) -> Path | None:
    """Look for weights on this machine, without the network.

    Parameters
    ----------
    source : DepthSource
    folders : tuple of Path
        Looked into first: each, and its subfolder of the repository's name.
    revision : str, optional
        Branch, tag or commit, for the hub's cache; ``main`` by default.
    cache_dir : Path, optional
        The hub's cache, if not the user's usual one.

    Returns
    -------
    Path of the file, or None.
    """
    for folder in folders:
        for place in (folder / source.short_name, folder):
            for name in (WEIGHTS_FILE, source.original):
                # A bare model.safetensors says nothing of whose it is: its folder's name must.
                if name == WEIGHTS_FILE and place.name != source.short_name:
                    continue
                if (place / name).is_file():
                    return place / name
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(source.repository, WEIGHTS_FILE, revision=revision, cache_dir=cache_dir)
    return Path(cached) if isinstance(cached, str) else None


def fetch(
    source: DepthSource,
    *,
    show: Callable[[str], None],
    revision: str | None = None,
    offline: bool = False,
    cache_dir: Path | None = None,
) -> Path:
    """Take weights from the hub's cache, or else download them into it.

    Parameters
    ----------
    source : DepthSource
    show : callable
        Given the licence's sentence, before the download begins. It may raise to prevent that.
    revision, cache_dir
        See :func:`find`.
    offline : bool
        Never use the network; the environment's ``HF_HUB_OFFLINE`` does the same.

    Returns
    -------
    Path of the file.

    Raises
    ------
    WeightsError
        If it can be had neither here nor from the hub.
    """
    here = find(source, revision=revision, cache_dir=cache_dir)
    if here is not None:
        return here
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    show(source.statement)
    try:
        return Path(
            hf_hub_download(
                source.repository,
                WEIGHTS_FILE,
                revision=revision,
                cache_dir=cache_dir,
                local_files_only=offline,
            )
        )
    # Every failure of the hub's client (offline, no such revision, no connection) is one of these.
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        at = f" at revision {revision}" if revision else ""
        raise WeightsError(f"{source.repository}{at} could not be fetched ({reason}); {how_to_get(source)}") from error


def how_to_get(source: DepthSource, folder: Path | None = None) -> str:
    """Half a sentence that says how weights come onto this machine, connected or not."""
    place = f"{folder / source.short_name}" if folder else f"a folder named {source.short_name}"
    return (
        f"fetch them with `napari-ois models --fetch {source.repository}` "
        f"(licence {source.licence}), or, where there is no network, copy {WEIGHTS_FILE} of "
        f"{source.repository} into {place}."
    )
