"""Results: one JSON object on standard output, or lines for people; everything else goes to standard error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unnoise.files import json_text


def show(result: Mapping[str, Any], as_json: bool, lines: list[str] | None = None) -> None:
    """Prints `result` as JSON, or `lines` (by default one 'key  value' line per entry)."""
    if as_json:
        print(json_text(result))
        return
    for line in lines if lines is not None else [f"{key:<18} {value}" for key, value in result.items()]:
        print(line)
