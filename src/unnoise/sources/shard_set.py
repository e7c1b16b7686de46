"""A set of tar shards: which files they are, and the listing of all their pictures in columns."""

from __future__ import annotations

import glob
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.aliases import Value
from unnoise.data.cache import SHARDS
from unnoise.data.fields import FIELDS
from unnoise.data.listing import Listing
from unnoise.data.pack import some
from unnoise.data.pool import Workers
from unnoise.errors import NoSplit, UserError
from unnoise.io.file_refs import FileRefs
from unnoise.io.tree import FileRef, Slice
from unnoise.progress import progress
from unnoise.sources.columns import lost_rows, stored
from unnoise.sources.labels import class_table
from unnoise.sources.shards import ENDING, ShardIndex, broken_of, indexed, make_index
from unnoise.sources.splits import TEST_NAMES, TRAIN_NAMES

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}", re.ASCII)
CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")
MAGIC = re.compile(r"[*?\[{]")
MAX_SHARDS = 1_000_000
LABELS = "labels"


@dataclass(frozen=True)
class Shards:
    """Shard files, in order. root: what the user called them; stamps: change whenever a file does."""

    root: str
    paths: tuple[str, ...]
    stamps: tuple[list[int], ...]

    def listing(self, split: str, cache: Path, shown: bool) -> Listing:
        """The pictures of a split. Indexes are made in worker processes where the cache has none.

        Raises:
            NoSplit: where there are no splits and 'test' is asked for.
            UserError: where there are no pictures.
        """
        folder = cache / SHARDS
        tasks = [(path, stamp, str(folder)) for path, stamp in zip(self.paths, self.stamps, strict=True)]
        folder.mkdir(parents=True, exist_ok=True)
        with Workers() as workers, progress(f"indexing {self.root}", len(tasks), shown, "shards") as advance:
            for _ in workers.map(make_index, tasks, len(tasks)):
                advance(1)
        names = self._names()
        chosen = chosen_split(names, split, self.root)
        indexes = [indexed(*task) for task in tasks]
        return _listing(self, names, indexes, chosen)

    def _names(self) -> list[str]:
        """What each shard is called, as short as tells it from the others."""
        base = posixpath.commonpath([posixpath.dirname(path) for path in self.paths])
        return [posixpath.relpath(path, base) for path in self.paths]


@dataclass(frozen=True)
class ShardFiles(FileRefs):
    """The places of files in shards, in columns: a million take megabytes.

    paths: of the shards; shard, offset, size: (N,) of each file.
    """

    paths: tuple[str, ...]
    names: Sequence[str]
    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray

    def __len__(self) -> int:
        return len(self.shard)

    def ref(self, row: int) -> FileRef:
        offset, size = int(self.offset[row]), int(self.size[row])
        return Slice(self.paths[int(self.shard[row])], offset, size, self.names[row])


def is_pattern(source: str | Path) -> bool:
    """Whether a source names several shards: 'shards-{000..099}.tar', 'shards-*.tar'."""
    return str(source).endswith(ENDING) and MAGIC.search(str(source)) is not None


def matching(pattern: str) -> list[str]:
    """The files that a pattern names, in order; UserError where there are none."""
    found: set[str] = set()
    for one in braced(pattern):
        paths = glob.glob(one) if glob.has_magic(one) else [one] if Path(one).is_file() else []
        if not paths:
            raise UserError(f"no file is called {one}")
        found.update(paths)
    return sorted(found)


def braced(pattern: str) -> list[str]:
    """A pattern with {000..099} and {a,b} written out, as a shell does it."""
    parts: list[list[str]] = []
    rest = pattern
    while rest:
        ranged, choice = RANGE.search(rest), CHOICE.search(rest)
        first = min((found for found in (ranged, choice) if found), key=lambda found: found.start(), default=None)
        if first is None:
            parts.append([rest])
            break
        parts += [[rest[: first.start()]], _numbers(first) if first is ranged else first[1].split(",")]
        if np.prod([float(len(part)) for part in parts]) > MAX_SHARDS:
            raise UserError(f"{pattern} names more than {MAX_SHARDS:,} shards")
        rest = rest[first.end() :]
    return ["".join(chosen) for chosen in product(*parts)]


def _numbers(found: re.Match[str]) -> list[str]:
    first, last, width = int(found[1]), int(found[2]), len(found[1])
    if last - first > MAX_SHARDS:
        raise UserError(f"{found[0]} names more than {MAX_SHARDS:,} shards")
    return [f"{number:0{width}d}" for number in range(first, last + 1)]


def chosen_split(names: Sequence[str], split: str, root: str) -> list[int]:
    """Which files are of a split: those in a folder called so, or whose names begin so, as 'train-000.tar' does.

    Raises NoSplit where a split is asked for that is not there.
    """
    found = [_split_of(name) for name in names]
    if "test" not in found:
        if split == "test":
            raise NoSplit(f"{root} has no split of its own, so no 'test'; open it with split='train'")
        return list(range(len(names)))
    chosen = [number for number, of in enumerate(found) if of == split]
    if not chosen:
        raise NoSplit(f"{root} has no files of the split {split!r}")
    return chosen


def _split_of(name: str) -> str | None:
    """'train' or 'test', by a folder or the beginning of the name."""
    words = [part.lower() for part in posixpath.dirname(name).split("/")]
    words.append(re.split(r"[^a-z]", posixpath.basename(name).lower(), maxsplit=1)[0])
    if any(word in TEST_NAMES for word in words):
        return "test"
    return "train" if any(word in TRAIN_NAMES for word in words) else None


def _listing(shards: Shards, names: list[str], indexes: list[ShardIndex], chosen: list[int]) -> Listing:
    numbers, classes = _numbered(indexes)
    parts = [indexes[number] for number in chosen]
    broken = [item for number in chosen for item in broken_of(indexes[number], names[number])]
    own = [f"{names[number]}/{name}" for number in chosen for name in indexes[number].names]
    if not own:
        raise UserError(f"{shards.root} holds no samples with a picture: {some(broken) or 'it is empty'}")
    counts = [len(part.names) for part in parts]
    shard = np.repeat(np.array(chosen, np.int64), counts)
    values = _columns([part.values for part in parts], counts)
    beside = _columns([part.beside for part in parts], counts)
    if LABELS in values:
        values[LABELS] = [None if label is None else numbers[label] for label in values[LABELS]]
    lost = lost_rows({**values, **beside})
    listing = Listing(
        names=tuple(own),
        files=_files(shards, own, shard, [place for part in parts for place in part.places]),
        fields={name: stored(FIELDS[name], column) for name, column in values.items()},
        beside={name: _files(shards, own, shard, [at or (0, 0) for at in column]) for name, column in beside.items()},
        classes=classes if LABELS in values else (),
        broken=tuple(broken),
        shards=tuple(np.cumsum([0, *counts[:-1]]).tolist()),
    )
    return listing.without(lost) if lost else listing


def _columns(parts: Sequence[dict[str, list[Any]]], counts: Sequence[int]) -> dict[str, list[Any]]:
    """The columns of several shards one behind the other, with None where a shard has no such column."""
    names = dict.fromkeys(name for part in parts for name in part)
    filled = zip(parts, counts, strict=True)
    by_shard = [{name: part.get(name) or [None] * count for name in names} for part, count in filled]
    return {name: [*chain.from_iterable(columns[name] for columns in by_shard)] for name in names}


def _numbered(indexes: Sequence[ShardIndex]) -> tuple[dict[Value, int], tuple[str, ...]]:
    """label -> its number, over the shards of all splits, and the names of the classes."""
    found = {label for index in indexes for label in index.values.get(LABELS, []) if label is not None}
    if not found:
        return {}, ()
    labels = sorted(found, key=str)
    numbers, classes = class_table(labels)
    return dict(zip(labels, numbers.tolist(), strict=True)), classes


def _files(shards: Shards, names: Sequence[str], shard: np.ndarray, places: Sequence[tuple[int, int]]) -> ShardFiles:
    table = np.array(places, np.int64).reshape(-1, 2)
    return ShardFiles(shards.paths, names, shard, table[:, 0].copy(), table[:, 1].copy())
