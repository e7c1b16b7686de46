"""Packed sets on disk: one folder per source and settings, complete or not there at all.

An entry is built in a folder of its own and renamed when it is whole; one that was interrupted is gone on with.
`meta.json` holds the digests of the arrays; an entry that does not match them is built again. A lock lets several
processes ask for one set.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock

from unnoise.aliases import Record
from unnoise.data.fields import FIELDS
from unnoise.data.images import Images
from unnoise.data.room import check_room
from unnoise.errors import UserError
from unnoise.files import naming
from unnoise.io.tree import Broken

T = TypeVar("T")

VERSION = 3  # of the entries' format and of what decoding means; a new one leaves old entries behind
CHECKED = 64  # blocks of a file that are read to recognise damage: all of a file up to 64 MiB, evenly over a longer one
CHECK_BLOCK = 1 << 20
PIXELS = "pixels"
BUCKETS = "buckets"
"""The key of an entry's description that says how many images each of its buckets has."""
SHARDS = "shards"
"""The folder of the indexes of tar shards."""
PACKED, META, LOCK, UNFINISHED = "packed", "meta.json", ".lock", ".partial"
"""The folder of the entries, the file that describes one, and how the names beside an entry end."""


def cache_folder(cache: str | Path | None = None) -> Path:
    """The given folder, $UNNOISE_CACHE, or the platform's folder for caches."""
    given = cache or os.environ.get("UNNOISE_CACHE")
    if given:
        return Path(given).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "unnoise"


def cached(key: Any, folder: Path, make: Callable[[Path], Images]) -> Images:
    """The set stored under `key` (anything JSON takes), made by `make(work folder)` where it is not there yet.

    Raises UserError when the cache folder cannot be written.
    """
    return cached_as(key, folder, make, save_images, load_images)


def cached_as(
    key: Any,
    folder: Path,
    make: Callable[[Path], T],
    save: Callable[[T, Path], None],
    load: Callable[[Path], T | None],
) -> T:
    """`cached` of what `save(it, folder)` writes and `load(folder)` reads; load gives None where that is damaged."""
    entry = entry_folder(key, folder)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(entry) + LOCK)
        lock.acquire()
    except OSError as error:
        raise UserError(f"cannot write the cache {folder}: {error.strerror}; set UNNOISE_CACHE to a folder") from None
    try:
        found = load(entry)
        return _build(entry, make, save, load) if found is None else found
    finally:
        lock.release()


def entry_folder(key: Any, folder: Path) -> Path:
    """Where the set of a key lies, or would lie."""
    return folder / PACKED / hashlib.sha256(json.dumps([VERSION, key]).encode()).hexdigest()[:32]


def _build(
    entry: Path, make: Callable[[Path], T], save: Callable[[T, Path], None], load: Callable[[Path], T | None]
) -> T:
    work = entry.with_suffix(UNFINISHED)
    shutil.rmtree(entry, ignore_errors=True)
    work.mkdir(exist_ok=True)
    try:
        save(make(work), work)
        work.rename(entry)
    except Exception:  # not an interruption: what is done then counts the next time
        shutil.rmtree(work, ignore_errors=True)
        raise
    found = load(entry)
    assert found is not None, f"{entry} does not match its own digests"
    return found


def save_images(images: Images, folder: Path) -> None:
    """Writes a set into a folder, and removes what else lies there."""
    digests = {}
    parts = {PIXELS: images.pixels, **images.fields}
    for name, array in parts.items():
        if isinstance(array, np.ndarray):
            path = folder / f"{name}.npy"
            _save_array(array, path, images.source)
            digests[name] = _digest(path)
    clear_but(folder, {f"{name}.npy" for name in digests})
    write_meta(
        folder,
        {
            "digests": digests,
            "classes": images.classes,
            "names": images.names,
            "texts": {name: values for name, values in images.fields.items() if isinstance(values, list)},
            "fingerprint": images.fingerprint,
            "source": images.source,
            "broken": [astuple(item) for item in images.broken],
            "sizes": [[*size, count] for size, count in images.sizes.items()],
            "notes": images.notes,
        },
    )


def clear_but(folder: Path, kept: Set[str]) -> None:
    """Removes what lies in a folder but for some names."""
    for stray in set(os.listdir(folder)) - kept:
        path = folder / stray
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_meta(folder: Path, meta: Record) -> None:
    """Writes what describes an entry, with its digest."""
    text, file = json.dumps(meta), folder / META
    with naming(file):
        file.write_text(json.dumps({"digest": _text_digest(text), "meta": text}), "utf-8")


def read_meta(folder: Path) -> Record:
    """What `write_meta` wrote. Raises OSError, ValueError, KeyError or TypeError for anything else."""
    outer = json.loads((folder / META).read_text("utf-8"))
    if outer["digest"] != _text_digest(outer["meta"]):
        raise ValueError(f"{folder / META} does not match its digest")
    return json.loads(outer["meta"])


def _save_array(array: np.ndarray, path: Path, source: str) -> None:
    # a memory map of a packed file shows in `base` or by itself: what lies there already is not written again
    owner = array if isinstance(array, np.memmap) else array.base
    if isinstance(owner, np.memmap) and Path(str(owner.filename)) == path:
        return
    check_room(path.parent, array.nbytes, source)
    with naming(path), path.open("wb") as file:
        np.save(file, array)


def load_images(entry: Path) -> Images | None:
    """The set of an entry, or None when it is missing or damaged."""
    try:
        meta = read_meta(entry)
        if any(_digest(entry / f"{name}.npy") != digest for name, digest in meta["digests"].items()):
            return None
        arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="r") for name in meta["digests"]}
        mark_used(entry)
        return _images(meta, arrays)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def mark_used(entry: Path) -> None:
    """Notes that an entry is read now, whatever the file system makes of times of access."""
    with suppress(OSError):  # of a cache that this user may only read
        os.utime(entry / META)


def _images(meta: Record, arrays: dict[str, np.ndarray]) -> Images:
    small = {name: np.array(array) for name, array in arrays.items() if name in FIELDS and not FIELDS[name].spatial}
    return Images(
        pixels=arrays.pop(PIXELS),
        fields={**arrays, **small, **meta["texts"]},
        classes=tuple(meta["classes"]),
        names=tuple(meta["names"]),
        fingerprint=meta["fingerprint"],
        source=meta["source"],
        broken=tuple(Broken(*item) for item in meta["broken"]),
        sizes={(width, height): count for width, height, count in meta["sizes"]},
        notes=tuple(meta["notes"]),
    )


def _digest(path: Path) -> str:
    size = path.stat().st_size
    step = max(CHECK_BLOCK, size // CHECKED)
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for start in [*range(0, size, step), max(0, size - CHECK_BLOCK)]:
            file.seek(start)
            digest.update(file.read(CHECK_BLOCK))
    return digest.hexdigest()


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
