"""What the tasks of long work gave, kept as they end, so that work that was killed goes on where it stood."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from unnoise.aliases import Record
from unnoise.files import naming, write_atomic
from unnoise.io.json_file import json_or

CUT = object()
"""In place of a line that is not whole."""


class Journal:
    """The results of a row of tasks, in order, in a file with a line for each.

    A line that was cut short, and what comes after it, is not counted. Use it as a context in which results are added.

    Args:
        file: of JSON lines; the first says what the tasks are.
        about: what the tasks are; the lines of other tasks are dropped.

    Attributes:
        results: of the tasks that are done, as JSON gives them.
    """

    def __init__(self, file: Path, about: Record) -> None:
        self.file = file
        self._head = json.dumps(about)
        self.results = _stored(file, self._head)

    def __enter__(self) -> Journal:
        lines = [self._head, *(json.dumps(result) for result in self.results)]
        write_atomic(self.file, "\n".join(lines) + "\n")
        self._stream = self.file.open("a", buffering=1, encoding="utf-8")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    def add(self, result: Any) -> None:
        """The result of the next task."""
        with naming(self.file):
            self._stream.write(json.dumps(result) + "\n")
        self.results.append(result)


def _stored(file: Path, head: str) -> list[Any]:
    if not file.is_file():
        return []
    found: list[Any] = []
    with file.open(encoding="utf-8", errors="replace") as stream:
        if stream.readline() != head + "\n":
            return []
        for line in stream:
            result = json_or(line, CUT) if line.endswith("\n") else CUT
            if result is CUT:
                break
            found.append(result)
    return found
