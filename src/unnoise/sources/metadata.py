"""metadata.jsonl and metadata.csv, as Hugging Face imagefolders have them: one row about one image."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from unnoise.aliases import Record, Value
from unnoise.data.fields import FIELDS
from unnoise.errors import UserError
from unnoise.io.json_file import json_or
from unnoise.io.tree import Broken, Tree

MAX_METADATA = 1 << 28  # bytes of one metadata file


@dataclass
class Metadata:
    """What the metadata files of a tree hold: field -> image name -> value, and the rows that cannot be used."""

    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)


def read_metadata(tree: Tree) -> Metadata:
    """Reads every metadata file of the tree; `file_name` is relative to the folder it lies in."""
    found = Metadata()
    for name in tree.files:
        rows = FILES.get(name.rpartition("/")[2])
        if rows is not None:
            _read_file(tree, name, rows, found)
    return found


def _read_file(tree: Tree, name: str, rows: Any, found: Metadata) -> None:
    try:
        text = _text(tree, name)
    except (UserError, OSError) as error:
        found.broken.append(Broken(name, str(error)))
        return
    for number, row in rows(text):
        try:
            _read_row(tree, posixpath.dirname(name), row, found)
        except UserError as error:
            found.broken.append(Broken(f"{name}:{number}", str(error)))


def _text(tree: Tree, name: str) -> str:
    data = tree.read(name)
    if len(data) > MAX_METADATA:
        raise UserError(f"{len(data)} bytes, more than the limit of {MAX_METADATA}")
    return data.decode("utf-8-sig", "replace")


def _read_row(tree: Tree, folder: str, row: Any, found: Metadata) -> None:
    if isinstance(row, UserError):
        raise row
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
        raise UserError("no file_name")
    image = posixpath.normpath(posixpath.join(folder, row["file_name"]))
    if image not in tree.files:
        raise UserError(f"there is no file {row['file_name']!r}")
    for name, value in values_of(row).items():
        found.values.setdefault(name, {})[image] = value


def values_of(row: Record) -> Record:
    """field -> value, of those that a row of metadata gives. Raises UserError for what is no value of its field."""
    given: Record = {}
    for kind in FIELDS.values():
        key = next((key for key in kind.metadata_keys if row.get(key) is not None), None)
        if key is not None:
            given[kind.name] = kind.from_metadata(row[key])
    return given


def json_rows(text: str) -> Iterator[tuple[int, Value]]:
    """(line number, object, or the UserError that stands for it) of every line that is not blank."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, json_or(line, UserError("not JSON"))


def csv_rows(text: str) -> Iterator[tuple[int, Value]]:
    """(line number, column -> value, or the UserError that stands for it); numbers and lists are read as JSON."""
    reader = csv.DictReader(io.StringIO(text.replace("\x00", "\ufffd"), newline=""))
    rows = iter(reader)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, UserError(f"not CSV: {error}")
            continue
        yield reader.line_num, {key: _csv_value(key, value) for key, value in row.items() if value not in (None, "")}


def _csv_value(key: Any, value: Value) -> Value:
    if key == "file_name" or not isinstance(value, str):
        return value
    typed = any(key in kind.metadata_keys and kind.dtype is not None for kind in FIELDS.values())
    return json_or(value, value) if typed else value


FILES = {"metadata.jsonl": json_rows, "metadata.csv": csv_rows}
