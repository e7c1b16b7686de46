"""JSON files of others: an object of bounded size, or one line that says why not."""

from __future__ import annotations

import json
from pathlib import Path

from unnoise.aliases import Record
from unnoise.errors import UserError

MOST_JSON_BYTES = 1 << 22


def read_json(path: Path) -> Record:
    """The JSON object in a file.

    Raises:
        UserError: where it is missing, larger than any configuration, or no JSON object.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing")
    if path.stat().st_size > MOST_JSON_BYTES:
        raise UserError(f"cannot read {path}: it is larger than any configuration")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold a JSON object")
    return found
