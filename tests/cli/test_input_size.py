"""The input size is pixels or a word."""

from __future__ import annotations

import click
import pytest

from napari_ois.cli.parts import InputSize


@pytest.mark.parametrize(("given", "meant"), [("512", 512), ("fast", "fast"), ("full", "full"), ("auto", None)])
def test_pixels_or_a_word(given, meant):
    assert InputSize().convert(given, None, None) == meant


@pytest.mark.parametrize("given", ["best", "-5", "1.5", ""])
def test_anything_else_is_refused_with_what_there_is(given):
    with pytest.raises(click.BadParameter, match="fast, balanced, full, auto, or pixels"):
        InputSize().convert(given, None, None)
