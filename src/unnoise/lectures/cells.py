"""Experiments of many trainings: each cell is kept when it is done, so a stopped experiment goes on where it was."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.files import json_text, write_atomic
from unnoise.io.json_file import MOST_RESULT_BYTES, read_json

SAMPLES = "samples.npy"


class Cells:
    """Results by name, each in a file of its own.

    Args:
        folder: where they are kept.
        settings: what all of them were made with.

    Raises:
        UserError: where the folder holds results that were made with other settings.
    """

    def __init__(self, folder: Path, settings: Record) -> None:
        self.folder = folder
        file = folder / "settings.json"
        if file.is_file() and read_json(file) != settings:
            raise UserError(
                f"{folder} holds cells of this experiment with other settings: {file.read_text().strip()}; "
                "give the same ones to go on, or another --out"
            )
        write_atomic(file, json_text(settings))

    def place(self, name: str) -> Path:
        """The folder of a cell."""
        return self.folder / name.replace(" ", "-")

    def once(self, name: str, compute: Callable[[Path], Record]) -> Record:
        """The result of this name: the kept one, or what `compute` makes, given the cell's folder."""
        kept = self.place(name) / "cell.json"
        if not kept.is_file():
            write_atomic(kept, json_text(compute(kept.parent)))
        return read_json(kept, MOST_RESULT_BYTES)

    def keep(self, folder: Path, images: np.ndarray) -> None:
        """Images for the figure, in a cell's folder."""
        stream = io.BytesIO()
        np.save(stream, images)
        write_atomic(folder / SAMPLES, stream.getvalue())

    def kept(self, name: str) -> np.ndarray:
        """The images of a cell."""
        return np.load(self.place(name) / SAMPLES)
