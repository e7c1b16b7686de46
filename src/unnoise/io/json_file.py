"""JSON of others: one parser for texts, and for files an object of bounded size, or one line that says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from unnoise.aliases import Record, Value
from unnoise.errors import UserError

T = TypeVar("T")

MOST_JSON_BYTES = 1 << 22
"""Of a description,"""
MOST_RESULT_BYTES = 1 << 28
"""and of results that unnoise wrote."""


def parse_json(text: str | bytes, what: str) -> Value:
    """The value that a text describes.

    Args:
        text: JSON, in UTF-8 where it is bytes.
        what: it is, for the message.

    Raises:
        UserError: where it is not JSON, or nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} is not valid JSON: {error}") from error


def json_or(text: str | bytes, otherwise: T) -> Value | T:
    """The value that a text describes, or what stands for a text that is not JSON."""
    try:
        return parse_json(text, "it")
    except UserError:
        return otherwise


def read_json(path: Path, most: int = MOST_JSON_BYTES) -> Record:
    """The JSON object in a file of at most so many bytes.

    Raises:
        UserError: where it is missing, larger, or no JSON object.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing")
    if path.stat().st_size > most:
        raise UserError(f"cannot read {path}: it is larger than {most >> 20} MiB")
    found = parse_json(path.read_bytes(), str(path))
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold a JSON object")
    return found


def found_json(path: Path, most: int = MOST_JSON_BYTES) -> Record | None:
    """The same, for what is shown where it is there: None where it cannot be read."""
    try:
        return read_json(path, most)
    except (UserError, OSError):
        return None
