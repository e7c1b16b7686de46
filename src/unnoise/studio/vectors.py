"""Rows of numbers that come in, for runs that are conditioned on them: an .npy file, or numbers as text."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np

from unnoise.data.fields import Vectors, read_array
from unnoise.errors import UserError
from unnoise.studio.uploads import keep, kept_file

VECTOR_BYTES = 1 << 22
NPY = b"\x93NUMPY"
SEPARATORS = re.compile(r"[\s,;]+")
WHERE = "what was given"


def decode_vectors(data: bytes) -> np.ndarray:
    """(N, features) float32: the array of an .npy file, a JSON list, or a row of numbers on every line of a text.

    Raises:
        UserError: for what is none of these, for rows of several lengths, and for numbers that are not finite.
    """
    rows = read_array(data) if data.startswith(NPY) else _rows_of_text(data)
    return Vectors().from_array(np.atleast_2d(rows), WHERE, (0, 0))


def keep_vectors(folder: Path, rows: np.ndarray) -> str:
    """Writes rows as an .npy file; its name."""
    stream = io.BytesIO()
    np.save(stream, rows, allow_pickle=False)
    return keep(folder, stream.getvalue(), ".npy")


def vector_file(folder: Path, name: str) -> Path:
    """The file of kept rows."""
    return kept_file(folder, name, ".npy", "vector")


def _rows_of_text(data: bytes) -> np.ndarray:
    try:
        text = data.decode()
        found = json.loads(text) if text.lstrip().startswith("[") else _lines(text)
        return np.array(found, np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise UserError(
            "a vector is numbers with commas or spaces between them, the same count on every line, or an .npy file"
        ) from None


def _lines(text: str) -> list[list[float]]:
    rows = [[float(word) for word in SEPARATORS.split(line.strip()) if word] for line in text.splitlines()]
    return [row for row in rows if row]
