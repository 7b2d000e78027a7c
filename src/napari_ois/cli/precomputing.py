"""One rule: what takes long for each slice of a stack can be done beforehand, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from napari_ois.cli.parts import compile_option, load_predictor, model_options, progress_bar, spoken_warnings
from napari_ois.errors import InputError


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--channel-axis", type=int, help="Axis that holds the channels, of an image of one plane.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to keep it; default: the user's cache.")
@click.option("--limit", type=click.FloatRange(min=0.01), default=8.0, show_default=True, help="GB kept there.")
@model_options
@compile_option
def precompute(
    image: Path, channel_axis: int | None, folder: Path | None, limit: float, model: str, device: str, **options: Any
) -> None:
    """Embed every plane of IMAGE and keep that on disk, for scripts with cache= and, of large models, for the viewer.

    The viewer looks there for models of over 20 million parameters; a small one it embeds at once. IMAGE is a file,
    or an OME-Zarr; planes are read one by one. A plane that is kept already takes no time, so an interrupted run goes
    on where it was. When the limit is reached, what was used longest ago is deleted.
    """
    from napari_ois.segmentation.embedding_cache import EmbeddingCache
    from napari_ois.segmentation.embedding_store import default_folder
    from napari_ois.segmentation.files import check_target
    from napari_ois.segmentation.image_files import open_file
    from napari_ois.segmentation.precompute import plane_readers
    from napari_ois.segmentation.precompute import precompute as embed_planes

    target = folder or default_folder()
    check_target(target)
    readers = plane_readers(open_file(image)[0][0], channel_axis)
    cache = EmbeddingCache(target, disk=int(limit * 1e9), memory=0)
    with spoken_warnings():
        predictor = load_predictor(model, device, **options)
        predictor.keep_embeddings(cache)
        with progress_bar(len(readers), "precompute") as step:
            if channel_axis is not None:
                predictor.set_image(readers[0](), channel_axis=channel_axis)
                step(1)
            else:
                for _ in embed_planes(predictor, readers):
                    step(1)
    assert cache.store is not None
    if cache.store.failed:
        raise InputError(f"Not every plane could be kept in {target}; make room there, or choose another --folder.")
    click.echo(
        f"{len(readers)} planes: {cache.misses} embedded, {cache.hits} were there. "
        f"{target} holds {cache.store.used / 1e6:.1f} MB."
    )
