"""metrics.jsonl, the log of a training: one guarded reader and one writer.

A line is a JSON object with a `step`. What is no such line (half of one, from a process that died while writing it, or
damage) costs itself alone.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from unnoise.aliases import Spec
from unnoise.files import naming, open_to_append, write_atomic
from unnoise.io.json_file import json_or

METRICS_FILE = "metrics.jsonl"
Line = dict[str, Any]


def read_metrics(folder: Path) -> list[Line]:
    """The lines of a run's metrics.jsonl in order, [] where there is none."""
    return [line for _, line in _lines(folder)]


def drop_after(folder: Path, step: int) -> None:
    """Removes the lines after `step`, which a resumed run writes again, and what is no line."""
    file = folder / METRICS_FILE
    if file.exists():
        write_atomic(file, "".join(f"{text}\n" for text, line in _lines(folder) if line["step"] <= step))


class MetricsWriter:
    """Appends lines; the file comes into being with the first."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / METRICS_FILE
        self._file: Any = None

    def write(self, line: Spec) -> None:
        """Numbers that are not finite, which JSON does not have, become null."""
        with naming(self._path):
            if self._file is None:
                self._file = open_to_append(self._path)
            self._file.write(json.dumps({name: _finite(value) for name, value in line.items()}) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _lines(folder: Path) -> list[tuple[str, Line]]:
    file = folder / METRICS_FILE
    texts = file.read_text(errors="replace").split("\n") if file.is_file() else []
    parsed = [(text, parse_line(text)) for text in texts]
    return [(text, line) for text, line in parsed if line is not None]


def parse_line(text: str) -> Line | None:
    """The line, None where the text is none."""
    line = json_or(text, None)
    fits = isinstance(line, dict) and type(line.get("step")) is int
    return line if fits else None


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
