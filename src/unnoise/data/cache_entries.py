"""What the cache folder holds, entry by entry, and how it is cleared. Only what unnoise wrote there is touched."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from unnoise.aliases import Record
from unnoise.data.cache import BUCKETS, LOCK, PACKED, PIXELS, SHARDS, UNFINISHED, read_meta
from unnoise.data.pack import PROBED
from unnoise.data.room import free_bytes, gigabytes
from unnoise.errors import UserError
from unnoise.progress import duration

FOLDERS = (PACKED, SHARDS, "latents", "pairs", "features", "classifiers", "downloads", "hub", "bugs")
"""Folders of the cache whose children are its entries."""
FILES = {"text-*.bin": "texts"}
"""Files of the cache itself -> what they are called."""
DAY = 86400.0
ALL = "all"


@dataclass(frozen=True)
class CacheEntry:
    """Something in the cache. kind: the folder it lies in. source: what it was made from, or its name. bytes: on the
    disk. used: when it was last read, in seconds since 1970."""

    kind: str
    source: str
    bytes: int
    used: float
    path: Path = field(compare=False)

    def to_dict(self) -> Record:
        """As plain JSON types."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True)
class Cleared:
    """removed: what is gone. busy: what another process is making at this moment, and so was left."""

    removed: tuple[CacheEntry, ...]
    busy: tuple[CacheEntry, ...]


def cache_entries(folder: Path) -> list[CacheEntry]:
    """Everything that unnoise keeps in the cache `folder`, the last used first."""
    found = [_entry(kind, path) for kind, path in _paths(folder)]
    return sorted(found, key=lambda entry: (-entry.used, entry.kind, entry.source))


def clear_cache(folder: Path, older_than: str) -> Cleared:
    """Removes entries.

    Args:
        folder: the cache.
        older_than: the days since an entry was last used, or 'all'.

    Raises:
        UserError: where it is neither.
    """
    before = _before(older_than)
    old = [entry for entry in cache_entries(folder) if entry.used <= before]
    gone = {id(entry): _removed(entry) for entry in old}
    return Cleared(
        tuple(entry for entry in old if gone[id(entry)]), tuple(entry for entry in old if not gone[id(entry)])
    )


def entry_lines(entries: Sequence[CacheEntry], folder: Path) -> list[str]:
    """For people: an entry a line, and what they come to."""
    now = time.time()
    rows = [
        f"{entry.kind:<12}{gigabytes(entry.bytes):>10}   used {_ago(now - entry.used):<18} {entry.source}"
        for entry in entries
    ]
    total = sum(entry.bytes for entry in entries)
    free = f"; {gigabytes(free_bytes(folder))} free on its disk" if folder.is_dir() else ""
    return [*rows, f"{'total':<12}{gigabytes(total):>10}   {len(entries)} entries in {folder}{free}"]


def _before(older_than: str) -> float:
    """The time of the last use up to which entries go."""
    if older_than == ALL:
        return float("inf")
    if not older_than.isascii() or not older_than.isdecimal():
        raise UserError(f"--clear-cache takes {ALL}, or days since the last use such as 30; got {older_than!r}")
    return time.time() - DAY * int(older_than)


def _ago(seconds: float) -> str:
    return "now" if seconds < 60 else f"{duration(seconds)} ago"


def _paths(folder: Path) -> Iterator[tuple[str, Path]]:
    for kind in FOLDERS:
        if (folder / kind).is_dir():
            yield from ((kind, path) for path in sorted((folder / kind).iterdir()) if path.suffix != LOCK)
    for pattern, kind in FILES.items():
        yield from ((kind, path) for path in sorted(folder.glob(pattern)))


def _entry(kind: str, path: Path) -> CacheEntry:
    status = [file.stat() for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    # Packed sets are marked when they are opened, and looking into them here changes their times of access.
    times = [item.st_mtime if kind == PACKED else max(item.st_mtime, item.st_atime) for item in status]
    used = max(times, default=path.lstat().st_mtime)
    return CacheEntry(kind, _source(kind, path), sum(item.st_size for item in status), used, path)


def _source(kind: str, path: Path) -> str:
    """What an entry was made from, as far as it tells."""
    if kind != PACKED:
        return path.name
    try:
        if path.suffix == UNFINISHED:
            with (path / PROBED).open("r", encoding="utf-8") as journal:
                return f"{json.loads(journal.readline())['source']} (unfinished)"
        meta = read_meta(path)
        source = meta["source"]
        if BUCKETS in meta:
            return f"{source} ({sum(meta[BUCKETS].values()):,} images in {len(meta[BUCKETS])} buckets)"
        count, _, height, width = np.load(path / f"{PIXELS}.npy", mmap_mode="r").shape
        return f"{source} ({count:,} images of {width}x{height})"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{path.name} (damaged)"


def _removed(entry: CacheEntry) -> bool:
    """Removes an entry; False where a process is making it."""
    if entry.kind != PACKED:
        _remove(entry.path)
        return True
    lock = FileLock(str(entry.path.with_suffix(LOCK)))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    try:
        _remove(entry.path)
    finally:
        lock.release()
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
