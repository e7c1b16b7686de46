"""Image files to buckets of about equal area: each picture goes where the aspect ratio is nearest, and is packed there.

An entry of the cache holds a folder for each bucket, which is an entry of one shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

from unnoise.data.buckets import Bucketed
from unnoise.data.cache import BUCKETS, clear_but, load_images, mark_used, read_meta, save_images, write_meta
from unnoise.data.images import Images
from unnoise.data.listing import Listing
from unnoise.data.pack import Files, Packing, nothing_readable, readable
from unnoise.data.pool import Workers
from unnoise.data.settings import Settings
from unnoise.io.geometry import nearest_bucket
from unnoise.io.tree import Broken, close_archives

Shapes = Sequence[tuple[int, int]]


def pack_buckets(files: Files, shapes: Shapes, source: str, settings: Settings, work: Path, shown: bool) -> Bucketed:
    """Decodes pictures into a set for each bucket that gets some.

    Args:
        files: the pictures.
        shapes: (height, width) of the buckets.
        source, settings, work, shown: as `Files.pack` takes them; `settings.size` is not read.

    Raises:
        DamagedSource: when nothing can be read.
    """
    try:
        with Workers() as workers:
            return _packed(files, shapes, Packing(source, settings, work, workers, shown))
    finally:
        close_archives()


def _packed(files: Files, shapes: Shapes, packing: Packing) -> Bucketed:
    listing = files.listing.take(packing.settings.chosen(len(files.listing.names)))
    found = packing.probed(listing)
    rows = rows_by_bucket(found, shapes)
    lost, made = list(readable(listing, found).broken), list[Images]()
    for shape, own in zip(shapes, rows, strict=True):
        part = replace(listing.take(own), broken=(), notes=())
        images, left = _of_shape(packing, shape, part, [found[row] for row in own])
        lost += left.broken
        made += [] if images is None else [images]
    if not made:
        raise nothing_readable(packing.source, replace(listing, broken=tuple(lost)))
    if len({images.shape[0] for images in made}) > 1:  # one bucket is grey and another is not
        coloured = replace(packing, settings=replace(packing.settings, channels=3))
        return _packed(files, shapes, coloured)
    return Bucketed(tuple(made), packing.source, tuple(lost), listing.notes)


def rows_by_bucket(sizes: Sequence[tuple[int, int] | str], shapes: Shapes) -> list[list[int]]:
    """For each bucket the rows of the (width, height) whose aspect ratio is nearest to its own; without texts, which
    stand for pictures that cannot be read."""
    rows: list[list[int]] = [[] for _ in shapes]
    for row, size in enumerate(sizes):
        if not isinstance(size, str):
            rows[nearest_bucket(shapes, *size)].append(row)
    return rows


def _of_shape(
    packing: Packing, shape: tuple[int, int], listing: Listing, found: list[tuple[int, int]]
) -> tuple[Images | None, Listing]:
    folder = packing.work / _name(shape)
    if listing.names:
        folder.mkdir(exist_ok=True)
    of_bucket = replace(packing, settings=replace(packing.settings, size=shape), work=folder)
    images, left = of_bucket.images(listing, found)
    return None if images is None else replace(images, broken=()), left


def save_buckets(bucketed: Bucketed, folder: Path) -> None:
    """Writes the buckets into folders of a folder."""
    counts = {_name(part.shape[1:]): len(part) for part in bucketed.buckets}
    for part in bucketed.buckets:
        save_images(part, folder / _name(part.shape[1:]))
    clear_but(folder, set(counts))
    broken = [astuple(item) for item in bucketed.broken]
    write_meta(folder, {BUCKETS: counts, "source": bucketed.source, "broken": broken, "notes": bucketed.notes})


def load_buckets(entry: Path) -> Bucketed | None:
    """What `save_buckets` wrote, or None when it is missing or damaged."""
    try:
        meta = read_meta(entry)
        parts = [load_images(entry / name) for name in meta[BUCKETS]]
        sound = tuple(part for part in parts if part is not None)
        broken, notes = tuple(Broken(*item) for item in meta["broken"]), tuple(meta["notes"])
        mark_used(entry)
        return Bucketed(sound, meta["source"], broken, notes) if sound and len(sound) == len(parts) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _name(shape: Sequence[int]) -> str:
    """As sizes are written: width x height."""
    height, width = shape
    return f"{width}x{height}"
