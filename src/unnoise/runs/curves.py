"""Reading metrics.jsonl without torch: the newest values for a card, curves for a page, new lines for a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from unnoise.aliases import Record
from unnoise.runs.metrics_file import parse_line

TAIL = 1 << 14
"""Bytes read from the end: some eighty lines."""
MOST = 1 << 26
"""Bytes read for curves."""
HISTOGRAM = ("class_fractions", "class_fractions_data")
"""Of a line that counts the classes among samples (`training.variety`)."""
NO_CURVES = ("step", "time", *HISTOGRAM)

Curve = list[tuple[float, float]]


def newest(file: Path) -> Record:
    """The last value of every key, from the end of the file."""
    values: Record = {}
    for line in read_from(file, -TAIL)[0]:
        values |= line
    return values


def head(file: Path) -> Record:
    """The first line; {} where there is none."""
    try:
        with file.open("rb") as stream:
            return parse_line(stream.readline(TAIL).decode(errors="replace")) or {}
    except OSError:
        return {}


def read_from(file: Path, start: int) -> tuple[list[dict[str, Any]], int]:
    """The whole lines from byte `start` on, counted from the end where negative, and where the next one begins."""
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, 2)
            begin = max(0, size + start) if start < 0 else start
            if begin > size:  # a resumed run wrote the file anew
                begin = 0
            stream.seek(begin)
            data = stream.read(MOST)
    except OSError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    texts = whole.decode(errors="replace").split("\n")
    return [line for line in map(parse_line, texts) if line is not None], begin + len(whole)


def curves(file: Path, points: int) -> tuple[dict[str, Curve], list[Record], int]:
    """Key -> (step, value), averaged to at most `points`; the histograms of classes; and where the next line begins."""
    lines, offset = read_from(file, 0)
    histograms = [{key: line[key] for key in ("step", *HISTOGRAM)} for line in lines if _counts_classes(line)]
    return curves_of(lines, points), histograms, offset


def curves_of(lines: Iterable[Record], points: int) -> dict[str, Curve]:
    """Key -> (step, value) of lines, averaged to at most `points`."""
    found: dict[str, Curve] = {}
    for line in lines:
        for key, value in numbers(line):
            found.setdefault(key, []).append((line["step"], value))
    return {key: list(_thinned(curve, points)) for key, curve in found.items()}


def _counts_classes(line: Record) -> bool:
    return all(isinstance(line.get(key), list) for key in HISTOGRAM)


def numbers(line: Record) -> Iterator[tuple[str, float]]:
    """What a line measures; a table of numbers, or a list of them, gives one value per entry: 'key.entry'."""
    for key, value in line.items():
        if key in NO_CURVES:
            continue
        yield from ((name, float(found)) for name, found in _entries(key, value) if _is_number(found))


def _entries(key: str, value: object) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"{key}.{name}", found) for name, found in value.items()]
    if isinstance(value, list):
        return [(f"{key}.{index}", found) for index, found in enumerate(value, 1)]
    return [(key, value)]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _thinned(curve: Curve, points: int) -> Iterable[tuple[float, float]]:
    size = max(1, -(-len(curve) // max(1, points)))
    for begin in range(0, len(curve), size):
        part = curve[begin : begin + size]
        yield part[-1][0], sum(value for _, value in part) / len(part)
