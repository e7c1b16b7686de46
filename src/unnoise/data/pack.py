"""Image files to packed arrays: probed, decoded by worker processes, without the rows that failed.

Tasks of CHUNK files run in order and leave a line each in a journal, so that a packing that was killed goes on. What is
in memory does not grow with the pictures, only with their names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.aliases import Record
from unnoise.data.blocks import blocks
from unnoise.data.decode import Target, decode_chunk, probe_chunk
from unnoise.data.images import Images
from unnoise.data.journal import Journal
from unnoise.data.listing import Listing
from unnoise.data.pool import Workers
from unnoise.data.room import check_room
from unnoise.data.settings import Settings
from unnoise.data.stream import stream
from unnoise.errors import DamagedSource
from unnoise.io.geometry import plan_size
from unnoise.io.npy_file import NpyFile
from unnoise.io.tree import close_archives
from unnoise.progress import progress

CHUNK = 64  # images per task of a worker process
NAMED = 3  # broken files named in a message
PROBED, DECODED = "probed.jsonl", "decoded.jsonl"


@dataclass(frozen=True)
class Files:
    """Image files that wait to be decoded."""

    listing: Listing

    def pack(self, source: str, settings: Settings, work: Path, shown: bool) -> Images:
        """Decodes the files into `work`; what cannot be read is left out and named in `broken`.

        Raises DamagedSource when nothing can be read.
        """
        listing = self.listing.take(settings.chosen(len(self.listing.names)))
        try:
            with Workers() as workers:
                packing = Packing(source, settings, work, workers, shown)
                images, listing = packing.images(listing, packing.probed(listing))
        finally:
            close_archives()
        if images is None:
            raise nothing_readable(source, listing)
        return images

    def stream(self, source: str, content: str, settings: Settings) -> Images:
        """The files with nothing decoded yet: see `stream.stream`."""
        return stream(self.listing, source, content, settings)


def some(items: Sequence[object]) -> str:
    """The first few of many, for a message."""
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(str(item) for item in items[:NAMED]) + more


def nothing_readable(source: str, listing: Listing) -> DamagedSource:
    """The error of a set of which nothing is left."""
    return DamagedSource(f"{source} holds no image that can be read: {some(listing.broken)}")


@dataclass(frozen=True)
class Packing:
    """How pictures are packed: see `Files.pack`. workers: the processes that decode."""

    source: str
    settings: Settings
    work: Path
    workers: Workers
    shown: bool

    def images(self, listing: Listing, found: Sequence[Any]) -> tuple[Images | None, Listing]:
        """The packed pictures, None where nothing can be read, and the listing without what cannot.

        found: what `probed` gave of the listing.
        """
        listing = readable(listing, found)
        sizes = [(size[0], size[1]) for size in found if not isinstance(size, str)]
        while True:
            if not listing.names:
                return None, listing
            height, width = plan_size(sizes, self.settings.size)
            target = self._target(listing, (self.settings.channels or 3, height, width))
            results = self._decoded(listing, target)
            lost = {row: reason for row, reason in enumerate(results) if isinstance(reason, str)}
            listing = listing.without(lost)
            kept = [row for row in range(len(sizes)) if row not in lost]
            sizes = [sizes[row] for row in kept]
            if sizes and plan_size(sizes, self.settings.size) == (height, width):
                break  # otherwise a damaged file had a say in the shape: once more without it
        grey = self.settings.channels is None and all(results[row] is True for row in kept)
        images = Images(
            pixels=_kept(target.pixels, kept, 1 if grey else target.pixels.shape[1]),
            fields={**listing.fields, **{name: _kept(file, kept, None) for name, file in target.maps.items()}},
            classes=listing.classes,
            names=listing.names,
            source=self.source,
            broken=listing.broken,
            sizes=dict(Counter(sizes)),
            notes=listing.notes,
        )
        return images, listing

    def probed(self, listing: Listing) -> list:
        """(width, height) of every picture, or why it cannot be read."""
        journal = Journal(self.work / PROBED, self._about(listing))
        count, done = len(listing.names), len(journal.results)
        tasks = ((list(listing.files[part]), self.settings.rules) for part in _parts(count)[done:])
        with journal, progress(f"reading {self.source}", count, self.shown, done=min(done * CHUNK, count)) as advance:
            for found in self.workers.map(probe_chunk, tasks, len(_parts(count)) - done):
                journal.add(found)
                advance(len(found))
        return list(chain.from_iterable(journal.results))

    def _decoded(self, listing: Listing, target: Target) -> list:
        """Whether each picture is grey, or why it cannot be read; their pixels are in `target` then."""
        journal = Journal(self.work / DECODED, {**self._about(listing), "shape": target.pixels.shape})
        parts = _parts(len(listing.names))
        sound = (target.crc(part) == result[0] for part, result in zip(parts, journal.results, strict=False))
        done = next((number for number, same in enumerate(sound) if not same), len(journal.results))
        del journal.results[done:]
        tasks = (
            (part.start, listing.files_at(range(part.start, part.stop)), target, self.settings.rules)
            for part in parts[done:]
        )
        title, before = f"packing {self.source}", min(done * CHUNK, len(listing.names))
        with journal, progress(title, len(listing.names), self.shown, done=before) as advance:
            for crc, results in self.workers.map(decode_chunk, tasks, len(parts) - done):
                journal.add([crc, results])
                advance(len(results))
        return list(chain.from_iterable(results for _, results in journal.results))

    def _about(self, listing: Listing) -> Record:
        """What tells these files from those of another packing in the same folder."""
        digest = hashlib.sha256()
        for name in listing.names:
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
        return {"source": self.source, "count": len(listing.names), "names": digest.hexdigest(), "chunk": CHUNK}

    def _target(self, listing: Listing, shape: tuple[int, int, int]) -> Target:
        count = len(listing.names)
        shapes: Mapping[str, tuple[int, ...]] = {
            "pixels": (count, *shape),
            **dict.fromkeys(listing.beside, (count, *shape[1:])),
        }
        found = {name: NpyFile.found(self.work / f"{name}.npy", whole) for name, whole in shapes.items()}
        if None in found.values():
            planes = shape[0] + len(listing.beside) + (self.settings.channels is None)  # a copy, where all are grey
            check_room(self.work, count * planes * shape[1] * shape[2], self.source, self.shown)
        files = {name: file or NpyFile.create(self.work / f"{name}.npy", shapes[name]) for name, file in found.items()}
        return Target(files.pop("pixels"), files)


def readable(listing: Listing, found: Sequence[Any]) -> Listing:
    """The pictures whose head could be read; found: what `Packing.probed` gave of them."""
    return listing.without({row: reason for row, reason in enumerate(found) if isinstance(reason, str)})


def _parts(count: int) -> list[slice]:
    return [slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def _kept(file: NpyFile, kept: list[int], channels: int | None) -> np.ndarray:
    """The packed file with the kept rows and the first `channels` channels only."""
    path = Path(file.path)
    count, width = len(kept), file.shape[1] if channels is None else channels
    if (count, width) != file.shape[:2]:
        fresh = NpyFile.create(path.with_suffix(".fresh"), (count, width, *file.shape[2:]))
        for first, part in _runs(file, np.asarray(kept)):
            fresh.write(first, part[:, :width])
        path.with_suffix(".fresh").replace(path)
    return np.load(path, mmap_mode="r")


def _runs(file: NpyFile, kept: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(first row of the result, rows) of the kept rows, a block at a time."""
    for block in blocks(file.shape[0], file.row_bytes):
        first, last = np.searchsorted(kept, [block.start, block.stop])
        yield int(first), file.read(block.start, block.stop)[kept[first:last] - block.start]
