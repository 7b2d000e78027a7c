"""One rule: what several commands share - how errors are said, options, progress.

Nothing slow is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from napari_ois.errors import OISError

if TYPE_CHECKING:
    from napari_ois.checkpoints.registry import ModelInfo
    from napari_ois.segmentation.predictor import Predictor

DEFAULT_MODEL = "ois-compact"


class Refusal(click.ClickException):
    """One sentence on stderr, exit code 2."""

    exit_code = 2


class SentenceGroup(click.Group):
    """Turns every error that a user can mend into one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a user's error becomes a refusal."""
        try:
            return super().invoke(ctx)
        except OISError as error:
            raise Refusal(str(error)) from error
        except click.UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # its message is the whole help
                raise
            raise Refusal(error.format_message()) from error


class InOrder(click.Command):
    """Remembers in which order options came: clicks have one across their two options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and note the options' order in ``ctx.meta["order"]``."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta["order"] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


class InputSize(click.ParamType):
    """Pixels, or a word for them."""

    name = "pixels"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str | None:
        """``"512"`` -> 512, ``"fast"`` -> ``"fast"``, ``"auto"`` -> None."""
        from napari_ois.segmentation.quality import QUALITIES

        if isinstance(value, int) or value in QUALITIES:
            return value
        if value == "auto":
            return None
        if not str(value).isdecimal():
            self.fail(f'"{value}" is no input size; give {", ".join(QUALITIES)}, auto, or pixels.', param, ctx)
        return int(value)


class PlaneIndex(click.ParamType):
    """Which plane of a file, written ``3`` or ``0,3``."""

    name = "index"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """``"0,3"`` -> (0, 3)."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f'"{value}" is no plane; write its index, such as 3 or 0,3.', param, ctx)


def plane_option(command: Any) -> Any:
    """Option of every command that takes one plane of a file with several."""
    return click.option("--plane", type=PlaneIndex(), help="Of a stack or OME-Zarr: the plane's index, such as 0,3.")(
        command
    )


def model_options(command: Any) -> Any:
    """Options of every command that runs a model."""
    for option in (
        click.option(
            "--input-size",
            type=InputSize(),
            help="Longest side of the network's input: auto, fast, balanced, full, or pixels.",
        ),
        click.option("--precision", default="auto", show_default=True, help="auto, fp32, half, bf16, fp16."),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."),
        click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name or checkpoint file."),
    ):
        command = option(command)
    return command


def compile_option(command: Any) -> Any:
    """Option of every command that loads one model, and answers with it."""
    return click.option(
        "--compile",
        "compiled",
        is_flag=True,
        help="Compile the network: takes minutes, answers faster afterwards; for many images or clicks.",
    )(command)


def check_answering(
    model: str, precision: str, input_size: int | str | None, device: str, *, here: bool
) -> ModelInfo | None:
    """Refuse a model and settings that would fail for each image, before any is begun.

    Parameters
    ----------
    model, precision, input_size, device
        Values of :func:`model_options`.
    here : bool
        Whether this machine's models and devices are those that answer.

    Returns
    -------
    ModelInfo, or None where another machine's answers.
    """
    from napari_ois.checkpoints.registry import check_model
    from napari_ois.segmentation.placement import check_precision, place
    from napari_ois.segmentation.quality import checked_input_size

    check_precision(precision)
    if isinstance(input_size, int):
        checked_input_size(input_size)
    if not here:
        return None
    place(device, precision)
    return check_model(model)


def load_predictor(
    model: str, device: str, precision: str, input_size: int | str | None, compiled: bool = False
) -> Predictor:
    """Make a predictor from the options of :func:`model_options` and :func:`compile_option`."""
    from napari_ois.segmentation.predictor import Predictor

    return Predictor(model, device=device, precision=precision, input_size=input_size, compiled=compiled)


@contextmanager
def progress_bar(total: int | None, name: str) -> Iterator[Any]:
    """A bar on stderr for what takes over a second; none where stderr is no terminal."""
    from tqdm import tqdm

    with tqdm(total=total, desc=name, delay=1.0, disable=None, leave=False) as bar:
        yield bar.update


@contextmanager
def spoken_warnings() -> Iterator[None]:
    """Say our own warnings (a fallback for lack of memory) in one line on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, RuntimeWarning):
            click.echo(f"Warning: {warning.message}", err=True)
