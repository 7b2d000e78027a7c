"""The errors that users meet: each message is one sentence that says what was wrong and what to do.

The command line prints the sentence and exits with code 2; the viewer shows it as a notification. Anything
that is not an :class:`OISError` is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class OISError(Exception):
    """Base of every error that a user can cause and mend."""


class InputError(OISError, ValueError):
    """An image, a click or an option that cannot be used as given."""


class WeightsError(OISError, RuntimeError):
    """Weights that are missing, damaged, or made for another network."""


@contextmanager
def reading_table(path: Path) -> Iterator[None]:
    """Say in a sentence that a CSV file cannot be read, whatever its bytes are.

    Raises
    ------
    InputError
        In place of what the reader raised.
    """
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table ({error}); save it as CSV in UTF-8.") from error


class Interrupted(Exception):
    """No error: whoever asked wants no answer any more; there is no result, and nothing is left behind."""
