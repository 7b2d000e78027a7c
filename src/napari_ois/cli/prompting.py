"""One rule: clicks, boxes and scribbles are options that mean in the order given what they mean in the viewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from napari_ois.annotation.prompts import Prompt

Place = tuple[float, float]


class Places(click.ParamType):
    """Places in the image, written ``ROW,COL ROW,COL ...``; of a box two of them, also ``ROW,COL,ROW,COL``."""

    name = "places"

    def __init__(self, count: int | None = None) -> None:
        self._count = count

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Place, ...]:
        """``"1,2 3,4"`` -> ((1.0, 2.0), (3.0, 4.0))."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = [float(part) for part in str(value).replace(",", " ").split()]
        except ValueError:
            numbers = []
        places = tuple(zip(numbers[::2], numbers[1::2], strict=False))
        if not places or len(numbers) % 2 or len(places) != (self._count or len(places)):
            form = "ROW,COL,ROW,COL" if self._count else '"ROW,COL ROW,COL ..."'
            self.fail(f'"{value}" is no list of places; write {form}.', param, ctx)
        return places


class RowColumn(Places):
    """A place in the image, written ROW,COL."""

    name = "row,column"

    def __init__(self) -> None:
        super().__init__(1)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """``"120,200"`` -> (120.0, 200.0)."""
        if isinstance(value, tuple):
            return value
        try:
            row, column = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f'"{value}" is no ROW,COL; write two numbers like 120,200.', param, ctx)
        return row, column


def prompt_options(command: Any) -> Any:
    """Options of every command that asks for one object."""
    line: dict[str, Any] = {"multiple": True, "type": Places(), "metavar": '"ROW,COL ROW,COL ..."'}
    for option in (
        click.option("--negative-scribble", help="A line off the object.", **line),
        click.option("--scribble", help="A line on the object.", **line),
        click.option(
            "--box", "-b", multiple=True, type=Places(2), metavar="ROW,COL,ROW,COL", help="Corners around the object."
        ),
        click.option("--negative", "-n", multiple=True, type=RowColumn(), metavar="ROW,COL", help="Off the object."),
        click.option("--positive", "-p", multiple=True, type=RowColumn(), metavar="ROW,COL", help="On the object."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Given:
    """What was given of the object, in the order given.

    Attributes
    ----------
    parts : tuple of (str, value)
        Names of :func:`prompt_options` and one value each.
    """

    parts: tuple[tuple[str, Any], ...]

    @classmethod
    def take(cls, order: list[str | None], options: dict[str, Any]) -> Given:
        """Take the values of :func:`prompt_options` out of a command's options; ``order`` says how they were mixed."""
        names = ("positive", "negative", "box", "scribble", "negative_scribble")
        left = {name: iter(options.pop(name)) for name in names}
        return cls(tuple((name, next(left[name])) for name in order if name in left))

    def prompt(self, shape: tuple[int, int]) -> Prompt:
        """What the network is asked, on an image of (rows, columns).

        Raises
        ------
        InputError
            If there is no positive click among it, or a click or box is outside of the image.
        """
        from napari_ois.annotation.prompts import Prompt
        from napari_ois.annotation.replay import answerable, played_clicks
        from napari_ois.segmentation.clicks import check_clicks

        prompt = Prompt()
        for name, value in self.parts:
            if name == "box":
                prompt = prompt.with_box(value, shape)
            elif "scribble" in name:
                prompt = prompt.with_scribble(value, shape, positive=name == "scribble")
            else:
                prompt = prompt.with_click(value[0], value[1], name == "positive")
        played = played_clicks(prompt.clicks, prompt.seed)
        if len(played) or not answerable(prompt.clicks, prompt.seed):
            check_clicks(played.points, played.labels, shape)
        return prompt
