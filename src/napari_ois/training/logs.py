"""What a training writes down as it goes: CSV always, TensorBoard where it is wanted.

The rule of this file: a row is a step and its figures; rows that a killed training wrote after its last
checkpoint are taken out again when it goes on, so that a log has each step once.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_ois.errors import InputError


class CsvLog:
    """A CSV file with a row for each call.

    Parameters
    ----------
    path : Path
        Made with the first row.
    fields : sequence of str
        Columns; "step" among them.
    """

    def __init__(self, path: Path, fields: Sequence[str]) -> None:
        self.path = path
        self.fields = list(fields)

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row."""
        fresh = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.fields)
            if fresh:
                writer.writeheader()
            writer.writerow({key: f"{row[key]:.5g}" if key != "step" else str(int(row[key])) for key in self.fields})

    def rows(self) -> list[dict[str, str]]:
        """All rows as they were written."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def cut(self, step: int) -> None:
        """Take out the rows after a step."""
        rows = self.rows()
        kept = [row for row in rows if float(row["step"]) <= step]
        if len(kept) == len(rows):
            return
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.fields, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)
        temporary.replace(self.path)


def open_board(folder: Path, step: int) -> Any:
    """Open a TensorBoard writer that forgets what was written after a step.

    Raises
    ------
    InputError
        If tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "The TensorBoard log needs tensorboard, which is not installed; run: pip install tensorboard."
        ) from error
    return SummaryWriter(str(folder), purge_step=step)


def show(board: Any, group: str, row: Mapping[str, float]) -> None:
    """Write a row's figures to a board (None = there is no board), named GROUP/FIGURE."""
    if board is None:
        return
    for name, value in row.items():
        if name != "step":
            board.add_scalar(f"{group}/{name}", value, int(row["step"]))
    board.flush()
