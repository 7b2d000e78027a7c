"""One rule: where order comes from is one choice on the command line, and what does not fit it is refused.

Used by every command that segments; a stack becomes the image that its source of order makes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_ois.cli.parts import progress_bar
from napari_ois.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_ois.segmentation.order_sources import OrderSource
    from napari_ois.segmentation.stack_depth import DepthMap

CHOICES = ("depth", "depth_from", "depth_model", "no_order")

BELONGS_TO = {
    "nearer": "depth",
    "unknown": "depth",
    "axis": "depth_from",
    "spacing": "depth_from",
    "threshold": "depth_from",
    "first": "depth_from",
}


def order_options(command: Any) -> Any:
    """Options that choose a source of order; hand them to :func:`chosen_source` as they come."""
    for option in (
        click.option("--no-order", is_flag=True, default=None, help="Switch order off."),
        click.option("--depth-model", metavar="NAME", help="Let another model estimate depth, such as ois-vits."),
        click.option("--first", type=click.Choice(["near", "far"]), help="What the stack's first plane is.  [near]"),
        click.option("--threshold", type=float, help="Signal (max, min) or matter (surface) begins here."),
        click.option("--spacing", type=float, nargs=3, help="Of the stack's three axes, such as 2 0.5 0.5."),
        click.option("--axis", type=int, help="Of the stack, to look along.  [0]"),
        click.option(
            "--depth-from",
            type=click.Choice(["focus", "max", "min", "surface"]),
            help="IMAGE is a stack: segment its projection, and take order from where things lie in it.",
        ),
        click.option("--unknown", type=float, metavar="VALUE", help="Value in the depth image that means unknown."),
        click.option("--nearer", type=click.Choice(["larger", "smaller"]), help="Which depth is nearer.  [larger]"),
        click.option("--depth", type=click.Path(path_type=Path), help="Depth image to use; larger = nearer."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, eq=False)
class OrderedImage:
    """An image to segment and its order.

    Attributes
    ----------
    pixels : array, or list of arrays
        As read, or made from a stack; of a large image what reads it, of a pyramid all levels.
    channel_axis : int or None
        Of ``pixels``.
    order : DepthMap
        Of a large image its maps read what is sliced.
    """

    pixels: Any
    channel_axis: int | None
    order: DepthMap


def chosen_source(order: dict[str, Any], channel_axis: int | None, device: str, precision: str) -> OrderSource:
    """The source of order that the options mean.

    Parameters
    ----------
    order : dict
        Values of :func:`order_options` by name; None = not given.
    channel_axis : int or None
        Of the image or stack.
    device, precision : str
        For another model's depth.

    Raises
    ------
    InputError
        If options do not go together, or the depth image cannot be read.
    """
    given = [name for name in CHOICES if order[name] is not None]
    if len(given) > 1:
        raise InputError(f"{_flag(given[0])} and {_flag(given[1])} are two sources of order; give one of them.")
    for name, choice in BELONGS_TO.items():
        if order[name] is not None and order[choice] is None:
            raise InputError(f"{_flag(name)} says how to read {_flag(choice)}, which is not given; give both.")
    if order["depth_from"] == "focus" and order["threshold"] is not None:
        raise InputError("--threshold means nothing to --depth-from focus, which compares sharpness; leave it out.")
    from napari_ois.segmentation.image_files import open_file
    from napari_ois.segmentation.order_sources import Estimated, Given, NoOrder

    if order["depth"] is not None:
        return Given(open_file(order["depth"])[0][0], order["nearer"] or "larger", order["unknown"], channel_axis)
    if order["depth_from"] is not None:
        return _stack_source(order, channel_axis)
    if order["no_order"]:
        return NoOrder(channel_axis)
    return Estimated(order["depth_model"], device, precision, channel_axis=channel_axis)


def read_ordered(
    image: Path,
    source: OrderSource,
    axis: int,
    channel_axis: int | None,
    check: Callable[[tuple[int, int]], object],
    plane: Sequence[int] | None = None,
) -> OrderedImage:
    """Read an image or a stack and find its order; a large image is opened only.

    Parameters
    ----------
    image : Path
    source : OrderSource
    axis : int
        Of a stack, that the source looks along.
    channel_axis : int or None
        Of the file.
    check : callable
        Given the image's rows and columns as soon as they are known, before anything takes long.
    plane : sequence of int, optional
        Which plane of the file; see :func:`napari_ois.segmentation.image_files.open_image`.

    Raises
    ------
    InputError
        If the image, the stack or the source cannot be used.
    """
    from napari_ois.segmentation.colour import Picture
    from napari_ois.segmentation.image_files import open_image

    if not source.needs_stack:
        opened = open_image(image, plane, channel_axis)
        check(opened.shape)
        if opened.large:
            from napari_ois.segmentation.lazy_order import order_of_large

            return OrderedImage(opened.pixels, opened.channel_axis, order_of_large(source, opened.shape))
        Picture.of(opened.pixels, opened.channel_axis)  # says what is wrong with it, before a model is loaded
        own = replace(source, channel_axis=opened.channel_axis)  # type: ignore[type-var]
        return OrderedImage(opened.pixels, opened.channel_axis, own.compute(opened.pixels))
    if plane is not None:
        raise InputError("--depth-from takes the stack, and --plane one plane of it; give one of them.")
    from napari_ois.segmentation.stack_files import open_stack
    from napari_ois.segmentation.stack_planes import StackPlanes

    stack = open_stack(image, axis)
    check(StackPlanes.of(stack, axis, channel_axis).shape)
    with progress_bar(None, "planes") as step:
        order = source.compute(stack, progress=lambda done, total: step(1))
    assert order.image is not None  # sources that need a stack make one
    # Channels come last; three or four without a word from the user are colour.
    behind = -1 if channel_axis is not None and order.image.ndim == 3 else None
    Picture.of(order.image, behind)
    return OrderedImage(order.image, behind, order)


def _stack_source(order: dict[str, Any], channel_axis: int | None) -> OrderSource:
    from napari_ois.segmentation.stack_sources import Focus, Projection, Surface

    common: dict[str, Any] = {
        "axis": order["axis"] or 0,
        "first": order["first"] or "near",
        "spacing": order["spacing"],
        "channel_axis": channel_axis,
    }
    kind = order["depth_from"]
    if kind == "focus":
        return Focus(**common)
    if kind == "surface":
        return Surface(**common, threshold=order["threshold"])
    return Projection(**common, threshold=order["threshold"], extreme=kind)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
