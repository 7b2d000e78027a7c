"""One rule: a command reads its arguments, calls one floor below, and says in words what came out.

Bad input ends with one sentence on stderr and exit code 2, and nothing half written. Whatever is
slow to import is imported inside the command that needs it, so that ``--help`` answers at once.
Segmenting, measuring and training have files of their own.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import click

from napari_ois import __version__
from napari_ois.cli.batching import batch
from napari_ois.cli.evaluating import evaluate
from napari_ois.cli.everything import everything
from napari_ois.cli.inspecting import inspect
from napari_ois.cli.parts import DEFAULT_MODEL, SentenceGroup
from napari_ois.cli.precomputing import precompute
from napari_ois.cli.propagating import propagate
from napari_ois.cli.segmenting import segment
from napari_ois.cli.sessions import export, replay
from napari_ois.cli.teaching import depth_accuracy, finetune, order_control, train
from napari_ois.errors import InputError


@click.group(cls=SentenceGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="napari-ois")
def main() -> None:
    """Order-aware interactive segmentation: clicks in, masks, depth and order maps out."""


main.add_command(segment)
main.add_command(inspect)
main.add_command(propagate)
main.add_command(everything)
main.add_command(batch)
main.add_command(evaluate)
main.add_command(order_control)
main.add_command(depth_accuracy)
main.add_command(train)
main.add_command(finetune)
main.add_command(precompute)
main.add_command(replay)
main.add_command(export)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="A list of objects for programs.")
@click.option("--fetch", metavar="NAME", help="Download the depth weights of a ViT model from the hub.")
@click.option("--revision", help="Branch, tag or commit to fetch.")
def models(as_json: bool, fetch: str | None, revision: str | None) -> None:
    """List the models: what is here, parameters, licence, size, hash."""
    from napari_ois.checkpoints import fetch_depth_weights, list_models, user_folder

    if fetch is not None:
        # The licence is shown before anything is downloaded.
        path = fetch_depth_weights(fetch, revision=revision, show=lambda text: click.echo(text, err=True))
        click.echo(str(path))
        return
    infos = list_models()
    if as_json:
        click.echo(json.dumps([_as_record(info) for info in infos], indent=2))
        return
    for info in infos:
        size = f"{info.size_bytes / 1e6:.1f} MB" if info.size_bytes else "size unknown"
        state = "here" if info.available else "no weights here"
        click.echo(f"{info.name}: {info.parameters / 1e6:.2f} M parameters, {info.licence}, {size}, {state}")
        if info.sha256:
            click.echo(f"    sha256 {info.sha256}")
        if info.note:
            click.echo(f"    {info.note}")
    click.echo(f"Checkpoints of your own are listed from {user_folder()}")


@main.command()
def doctor() -> None:
    """Say what is found here and test the model on a small image; exit code 1 if that fails."""
    from napari_ois.cli.checkup import examine

    failed = False
    for good, line in examine(DEFAULT_MODEL):
        failed |= not good
        click.echo(f"[{'ok' if good else 'FAILED'}] {line}")
    if failed:
        sys.exit(1)


@main.command()
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder for the screenshot and maps.")
@click.option("--exit", "exit_", is_flag=True, help="Close the viewer when all is written.")
def demo(output: Path | None, exit_: bool) -> None:
    """Open napari on a real image with the widget docked and a first click made."""
    missing = [name for name in ("napari", "qtpy") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f'The demo needs {missing[0]}, which is not installed; run: pip install "napari-ois[viewer]".')
    from napari_ois._napari.demo import run_demo

    sys.exit(run_demo(output, exit_))


def _as_record(info: Any) -> dict[str, Any]:
    return {
        "name": info.name,
        "preset": info.preset,
        "parameters": info.parameters,
        "licence": info.licence,
        "size_bytes": info.size_bytes,
        "sha256": info.sha256,
        "path": None if info.path is None else str(info.path),
        "available": info.available,
        "note": info.note,
    }
