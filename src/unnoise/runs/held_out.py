"""Which images a run was not trained on, kept in its folder: what measures the run measures on these."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.data.buckets import AnyImages
from unnoise.errors import UserError
from unnoise.files import json_text, write_atomic
from unnoise.io.json_file import read_json

HELD_OUT_FILE = "held_out.json"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """rows (n,): of the held-out images, rising. fingerprint: of the set. note: how they were chosen."""

    rows: np.ndarray
    fingerprint: str
    note: str = ""

    def of(self, images: AnyImages) -> bool:
        """Whether these are rows of the set."""
        return images.fingerprint == self.fingerprint

    def training_rows(self, count: int) -> np.ndarray:
        """The other rows, rising, of a set of `count` images."""
        return np.setdiff1d(np.arange(count), self.rows)

    def write(self, folder: Path) -> None:
        """Into the folder of a run."""
        record = {"fingerprint": self.fingerprint, "note": self.note, "rows": self.rows.tolist()}
        write_atomic(folder / HELD_OUT_FILE, json_text(record))


def read_held_out(folder: Path) -> HeldOut | None:
    """What a run holds out; None where it has nothing of its own to hold out.

    Raises:
        UserError: for a file that no training wrote.
    """
    file = folder / HELD_OUT_FILE
    if not file.is_file():
        return None
    found = read_json(file)
    rows, fingerprint, note = found.get("rows"), found.get("fingerprint"), found.get("note", "")
    if not (_are_rows(rows) and isinstance(fingerprint, str) and isinstance(note, str)):
        raise UserError(f"{file} does not list the rows of held-out images; remove it, or train again")
    return HeldOut(np.array(rows, np.int64), fingerprint, note)


def _are_rows(rows: Any) -> bool:
    whole = isinstance(rows, list) and len(rows) > 0 and all(type(row) is int and 0 <= row < 2**40 for row in rows)
    return whole and sorted(set(rows)) == rows
