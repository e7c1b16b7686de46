"""Image files to one packed array, decoded in parallel straight into the file that is mapped afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from unnoise.data.decode import Target, decode_chunk, probe_chunk
from unnoise.data.folder import Listing
from unnoise.data.geometry import plan_size
from unnoise.data.images import Images, blocks
from unnoise.data.pool import Workers
from unnoise.data.progress import Advance, progress
from unnoise.data.settings import Settings
from unnoise.data.tree import close_archives
from unnoise.errors import UserError

CHUNK = 64  # images per task of a worker process
NAMED = 3  # broken files named in a message


@dataclass(frozen=True)
class Files:
    """Image files that wait to be decoded."""

    listing: Listing

    def pack(self, source: str, settings: Settings, work: Path, shown: bool) -> Images:
        """Decodes the files into `work`; what cannot be read is left out and named in `broken`.

        Raises UserError when nothing can be read.
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
        found = _in_chunks(workers, probe_chunk, [(list(part),) for part in _parts(listing.places)], advance)
    listing = listing.without({row: reason for row, reason in enumerate(found) if isinstance(reason, str)})
    sizes = [size for size in found if isinstance(size, tuple)]
    while True:
        _refuse_empty(listing, source)
        height, width = plan_size(sizes, settings.size)
        target = _prepare(work, len(sizes), (settings.channels or 3, height, width), any(listing.masks))
        with progress(f"packing {source}", len(sizes), shown) as advance:
            results = _in_chunks(workers, decode_chunk, _decode_tasks(listing, target), advance)
        lost = {row: reason for row, reason in enumerate(results) if isinstance(reason, str)}
        listing = listing.without(lost)
        kept = [row for row in range(len(sizes)) if row not in lost]
        sizes = [sizes[row] for row in kept]
        if not sizes or plan_size(sizes, settings.size) == (height, width):
            break  # otherwise a damaged file had a say in the shape: once more without it
    _refuse_empty(listing, source)
    grey = settings.channels is None and all(results[row] is True for row in kept)
    pixels = _settle(Path(target.pixels), kept, 1 if grey else target.shape[0])
    maps = _settle(Path(target.maps), kept, None) if target.maps else None
    return Images(
        pixels=pixels,
        labels=listing.labels,
        classes=listing.classes,
        captions=None if listing.captions is None else list(listing.captions),
        maps=maps,
        source=source,
        broken=listing.broken,
        sizes=dict(Counter(sizes)),
        notes=listing.notes,
    )


def _refuse_empty(listing: Listing, source: str) -> None:
    if not listing.names:
        raise UserError(f"{source} holds no image that can be read: {some(listing.broken)}")


def _parts(items: Sequence) -> list[Sequence]:
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]


def _decode_tasks(listing: Listing, target: Target) -> list[tuple]:
    files = list(zip(listing.places, listing.masks, strict=True))
    return [(number * CHUNK, part, target) for number, part in enumerate(_parts(files))]


def _in_chunks(workers: Workers, function: Callable[..., list], tasks: list[tuple], advance: Advance) -> list:
    results: list = []
    for part in workers.map(function, tasks):
        results += part
        advance(len(part))
    return results


def _prepare(work: Path, count: int, shape: tuple[int, int, int], with_maps: bool) -> Target:
    pixels, pixels_offset = _blank(work / "pixels.npy", (count, *shape))
    maps, maps_offset = _blank(work / "maps.npy", (count, *shape[1:])) if with_maps else (None, 0)
    return Target(shape, pixels, pixels_offset, maps, maps_offset)


def _blank(path: Path, shape: tuple[int, ...]) -> tuple[str, int]:
    array = open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    return str(path), int(array.offset)


def _settle(path: Path, kept: list[int], channels: int | None) -> np.ndarray:
    """The packed file with the kept rows and the first `channels` channels only."""
    packed = np.load(path, mmap_mode="r")
    if len(kept) == len(packed) and channels in (None, packed.shape[1]):
        return packed
    rows, narrow = np.asarray(kept), slice(None) if channels is None else slice(channels)
    shape = (len(rows), *packed[:1, narrow].shape[1:])
    fresh = open_memmap(path.with_suffix(".fresh"), mode="w+", dtype=np.uint8, shape=shape)
    for block in blocks(len(rows), packed[0].nbytes):
        fresh[block] = packed[rows[block], narrow]
    fresh.flush()
    path.with_suffix(".fresh").replace(path)
    return np.load(path, mmap_mode="r")
