"""Parquet and Arrow files as a set of images: one row about one image, as Hugging Face's datasets have them.

The pictures are in the column that holds them as bytes, alone or beside a path; `label`, `text` or `caption`, and
`vector` are read where they are there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.aliases import Value
from unnoise.data.fields import FIELDS
from unnoise.data.images import Images
from unnoise.data.listing import Listing
from unnoise.data.pack import Files
from unnoise.data.settings import Settings
from unnoise.errors import UserError
from unnoise.progress import progress
from unnoise.sources.columns import lost_rows, stored
from unnoise.sources.labels import class_table
from unnoise.sources.shard_set import chosen_split
from unnoise.sources.table_files import ARROW, BYTES, PARQUET, Cells, TableFile, read_head, values

ENDINGS = (PARQUET, ARROW)
PICTURES = ("binary", "large_binary")
LABELS = "labels"
LIKELY = ("image", "img", "picture")
"""What a column of pictures is called, where several hold bytes."""


class Packed(Files):
    """Pictures that are read in large parts, and so in order only."""

    def stream(self, source: str, content: str, settings: Settings) -> Images:
        """Refused: any order would read a whole row group for each picture."""
        raise UserError(
            f"{source} is read a row group at a time, so it is packed: leave data.stream out, or use shards"
        )


@dataclass(frozen=True)
class Tables:
    """Files of one table, in order. root: what the user called them."""

    root: str
    paths: tuple[str, ...]

    def content(self, split: str, shown: bool) -> Files:
        """The pictures of a split, with what the table says of them.

        Raises:
            NoSplit: where there are no splits and 'test' is asked for.
            UserError: where pyarrow is missing, no column holds pictures, or the files have different columns.
        """
        heads = [read_head(Path(path)) for path in self.paths]
        names = self._names()
        for head, name in zip(heads, names, strict=True):
            if head.columns != heads[0].columns:
                raise UserError(f"{self.root}: {name} has other columns than {names[0]}; name one of the tables")
        chosen = chosen_split(names, split, self.root)
        column = picture_column(heads[0].columns, self.root)
        listing = self._listing(heads, names, chosen, column, shown)
        return Files(listing) if self.paths[0].lower().endswith(ARROW) else Packed(listing)

    def _names(self) -> list[str]:
        base = posixpath.commonpath([posixpath.dirname(path) for path in self.paths])
        return [posixpath.relpath(path, base) for path in self.paths]

    def _listing(
        self, heads: Sequence[TableFile], names: Sequence[str], chosen: Sequence[int], column: str, shown: bool
    ) -> Listing:
        files = tuple(heads[number] for number in chosen)
        own = [f"{names[n]}/{row}" for n in chosen for row in range(sum(heads[n].groups))]
        if not own:
            raise UserError(f"{self.root} holds no rows")
        columns: dict[str, list[Value]] = {}
        classes: tuple[str, ...] = ()
        with progress(f"reading {self.root}", len(heads), shown, "tables") as advance:
            for name, key in value_columns(heads[0].columns).items():
                # labels of all splits are read, so that a number means one class in each
                read = {n: values(head, key) for n, head in enumerate(heads) if n in chosen or name == LABELS}
                if name == LABELS:
                    read, classes = numbered(read, heads[0].features.get(key))
                columns[name] = [*chain.from_iterable(read[number] for number in chosen)]
            advance(len(heads))
        columns = {name: column for name, column in columns.items() if any(value is not None for value in column)}
        problems = {row: reason for name in columns for row, reason in _unusable(name, columns[name]).items()}
        lost = {**lost_rows(columns), **problems}
        listing = Listing(
            names=tuple(own),
            files=Cells.of(files, column, own),
            fields={name: stored(FIELDS[name], column) for name, column in columns.items()},
            classes=classes if LABELS in columns else (),
            shards=tuple(np.cumsum([0, *(sum(file.groups) for file in files[:-1])]).tolist()),
        )
        return listing.without(lost) if lost else listing


def picture_column(columns: Mapping[str, str], root: str) -> str:
    """The column that holds pictures: a struct with `bytes`, as Hugging Face's Image is stored, or bytes alone."""
    holding = [name for name, kind in columns.items() if kind in PICTURES or _is_struct(kind)]
    likely = [name for name in holding if name in LIKELY] or holding
    if len(likely) != 1:
        listed = ", ".join(f"{name} ({kind})" for name, kind in columns.items())
        raise UserError(f"{root} needs one column of pictures, called {LIKELY[0]}; its columns are {listed or 'none'}")
    return likely[0]


def _is_struct(kind: str) -> bool:
    return kind.startswith("struct<") and any(f"{BYTES}: {picture}" in kind for picture in PICTURES)


def value_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """field -> the column that holds its values; fields that lie on the pixels are not read from tables."""
    found: dict[str, str] = {}
    for field in FIELDS.values():
        keys = () if field.spatial else (*field.metadata_keys, *field.array_keys)
        key = next((key for key in keys if key in columns), None)
        if key is not None:
            found[field.name] = key
    return found


def numbered(read: Mapping[int, list[Value]], feature: Any) -> tuple[dict[int, list[Value]], tuple[str, ...]]:
    """Class numbers for the labels of several files, and the names of the classes.

    feature: what Hugging Face's datasets say of the column; a ClassLabel has names, and -1 for 'no label'.
    """
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        allowed = range(len(names))
        by_file = {n: [label if label in allowed else None for label in labels] for n, labels in read.items()}
        return by_file, tuple(names)
    kept = {n: [label if isinstance(label, (str, int)) else None for label in labels] for n, labels in read.items()}
    known = sorted({label for labels in kept.values() for label in labels if label is not None}, key=str)
    if not known:
        return {n: [None] * len(labels) for n, labels in kept.items()}, ()
    numbers, classes = class_table(known)
    number = dict(zip(known, numbers.tolist(), strict=True))
    return {n: [None if label is None else number[label] for label in labels] for n, labels in kept.items()}, classes


def _unusable(name: str, column: list[Value]) -> dict[int, str]:
    """Rows whose value is none of its field, and why. Their values in `column` become None."""
    reasons: dict[int, str] = {}
    if name == LABELS:
        return reasons
    for row, value in enumerate(column):
        if value is None:
            continue
        try:
            found = FIELDS[name].from_metadata(value)
            column[row] = found.tolist() if isinstance(found, np.ndarray) else found
        except UserError as error:
            column[row], reasons[row] = None, str(error)
    return reasons
