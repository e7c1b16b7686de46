"""Image files to packed arrays: probed, decoded by worker processes, without the rows that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unnoise.data.blocks import blocks
from unnoise.data.decode import Target, decode_chunk, probe_chunk
from unnoise.data.images import Images
from unnoise.data.listing import Listing
from unnoise.data.pool import Workers
from unnoise.data.room import check_room
from unnoise.data.settings import Settings
from unnoise.errors import DamagedSource
from unnoise.io.geometry import plan_size
from unnoise.io.npy_file import NpyFile
from unnoise.io.picture_reader import Rules
from unnoise.io.tree import close_archives
from unnoise.progress import Advance, progress

CHUNK = 64  # images per task of a worker process
NAMED = 3  # broken files named in a message


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
                return _pack(listing, source, settings, work, workers, shown)
        finally:
            close_archives()


def some(items: Sequence[object]) -> str:
    """The first few of many, for a message."""
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(str(item) for item in items[:NAMED]) + more


def _pack(listing: Listing, source: str, settings: Settings, work: Path, workers: Workers, shown: bool) -> Images:
    with progress(f"reading {source}", len(listing.names), shown) as advance:
        tasks = [(list(part), settings.rules) for part in _parts(listing.files)]
        found = _in_chunks(workers, probe_chunk, tasks, advance)
    listing = listing.without({row: reason for row, reason in enumerate(found) if isinstance(reason, str)})
    sizes = [size for size in found if isinstance(size, tuple)]
    while True:
        _refuse_empty(listing, source)
        height, width = plan_size(sizes, settings.size)
        shape = (settings.channels or 3, height, width)
        check_room(work, _bytes(len(sizes), shape, settings, listing), source, shown)
        target = _prepare(work, len(sizes), shape, listing)
        with progress(f"packing {source}", len(sizes), shown) as advance:
            results = _in_chunks(workers, decode_chunk, _decode_tasks(listing, target, settings.rules), advance)
        lost = {row: reason for row, reason in enumerate(results) if isinstance(reason, str)}
        listing = listing.without(lost)
        kept = [row for row in range(len(sizes)) if row not in lost]
        sizes = [sizes[row] for row in kept]
        if not sizes or plan_size(sizes, settings.size) == (height, width):
            break  # otherwise a damaged file had a say in the shape: once more without it
    _refuse_empty(listing, source)
    grey = settings.channels is None and all(results[row] is True for row in kept)
    return Images(
        pixels=_kept(target.pixels, kept, 1 if grey else target.pixels.shape[1]),
        fields={**listing.fields, **_kept_maps(target.maps, kept)},
        classes=listing.classes,
        names=listing.names,
        source=source,
        broken=listing.broken,
        sizes=dict(Counter(sizes)),
        notes=listing.notes,
    )


def _refuse_empty(listing: Listing, source: str) -> None:
    if not listing.names:
        raise DamagedSource(f"{source} holds no image that can be read: {some(listing.broken)}")


def _parts(items: Sequence) -> list[Sequence]:
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]


def _decode_tasks(listing: Listing, target: Target, rules: Rules) -> list[tuple]:
    return [(number * CHUNK, part, target, rules) for number, part in enumerate(_parts(listing.image_files()))]


def _in_chunks(workers: Workers, function: Callable[..., list], tasks: list[tuple], advance: Advance) -> list:
    results: list = []
    for part in workers.map(function, tasks):
        results += part
        advance(len(part))
    return results


def _bytes(count: int, shape: tuple[int, int, int], settings: Settings, listing: Listing) -> int:
    """What packing takes on the disk, with the copy that is made where all turn out grey."""
    channels, height, width = shape
    planes = channels + (settings.channels is None) + len(listing.beside)
    return count * planes * height * width


def _prepare(work: Path, count: int, shape: tuple[int, int, int], listing: Listing) -> Target:
    maps = {name: NpyFile.create(work / f"{name}.npy", (count, *shape[1:])) for name in listing.beside}
    return Target(NpyFile.create(work / "pixels.npy", (count, *shape)), maps)


def _kept_maps(maps: Mapping[str, NpyFile], kept: list[int]) -> dict[str, np.ndarray]:
    return {name: _kept(file, kept, None) for name, file in maps.items()}


def _kept(file: NpyFile, kept: list[int], channels: int | None) -> np.ndarray:
    """The packed file with the kept rows and the first `channels` channels only."""
    path = Path(file.path)
    packed = np.load(path, mmap_mode="r")
    if len(kept) == len(packed) and channels in (None, packed.shape[1]):
        return packed
    rows, narrow = np.asarray(kept), slice(None) if channels is None else slice(channels)
    fresh = NpyFile.create(path.with_suffix(".fresh"), (len(rows), *packed[:1, narrow].shape[1:]))
    for block in blocks(len(rows), packed[0].nbytes):
        fresh.write(block.start, packed[rows[block], narrow])
    path.with_suffix(".fresh").replace(path)
    return np.load(path, mmap_mode="r")
