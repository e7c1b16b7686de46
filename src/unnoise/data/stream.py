"""Sets of pictures that are not packed: opened from a sample, decoded as they are needed."""

from __future__ import annotations

import hashlib

import numpy as np

from unnoise.data.decode import decode_batch, probe_chunk
from unnoise.data.images import Images
from unnoise.data.listing import Listing
from unnoise.data.pool import Workers
from unnoise.data.settings import Settings
from unnoise.data.streamed import Streamed
from unnoise.errors import DamagedSource, UserError
from unnoise.io.geometry import plan_size
from unnoise.io.picture_reader import PLAIN, Rules

SAMPLE = 4096  # pictures whose headers say what size the set has
DECODED = 256  # of them that say whether all are grey
SAMPLED = f"; size and colours are those of {SAMPLE:,} of them at most, so set data.size and data.channels to be sure"
CHUNK = 64  # of them per task of a worker process


def stream(listing: Listing, source: str, content: str, settings: Settings) -> Images:
    """The pictures of a listing, none of them decoded yet.

    Size and colour are found from SAMPLE pictures spread over the set, unless the settings give them.

    Args:
        listing: of the pictures, without maps.
        source: what the user called it.
        content: what tells these files from others: a digest of their names and sizes.
        settings: how they are read.

    Raises:
        UserError: for pictures with maps, which have to be packed, and where none of the sample can be read.
    """
    if listing.beside:
        raise UserError(f"{source} has {', '.join(listing.beside)}, which are not streamed: pack it, data.stream=false")
    listing = listing.take(settings.chosen(len(listing.names)))
    shape = _shape(listing, source, settings)
    sure = settings.channels is not None and isinstance(settings.size, tuple)
    note = "streamed: pictures are decoded when they are needed" + ("" if sure else SAMPLED)
    return Images(
        pixels=Streamed(listing, shape, settings.rules),  # type: ignore[arg-type]
        fields=listing.fields,
        classes=listing.classes,
        names=listing.names,
        fingerprint=_fingerprint(listing, content, shape, settings.rules),
        source=source,
        broken=listing.broken,
        notes=(*listing.notes, note),
        shards=listing.shards,
    )


def _shape(listing: Listing, source: str, settings: Settings) -> tuple[int, int, int]:
    """(C, H, W), from a sample where the settings do not say."""
    rows = np.unique(np.linspace(0, len(listing.names) - 1, SAMPLE).astype(int)).tolist()
    parts = [
        ([listing.files[row] for row in rows[at : at + CHUNK]], settings.rules) for at in range(0, len(rows), CHUNK)
    ]
    with Workers() as workers:
        found = [size for part in workers.map(probe_chunk, parts, len(parts)) for size in part]
    sizes = [size for size in found if not isinstance(size, str)]
    if not sizes:
        raise DamagedSource(f"{source} holds no image that can be read: {listing.names[rows[0]]} ({found[0]})")
    height, width = plan_size(sizes, settings.size)
    if settings.channels is not None:
        return settings.channels, height, width
    few = listing.files_at(rows[:: -(-len(rows) // DECODED)])
    _, answers = decode_batch(few, (3, height, width), settings.rules)
    grey = [answer for answer in answers if not isinstance(answer, str)]
    return (1 if grey and all(grey) else 3), height, width


def _fingerprint(listing: Listing, content: str, shape: tuple[int, int, int], rules: Rules) -> str:
    """What tells this set from any other, without reading its pictures."""
    read = [] if rules == PLAIN else [rules]
    digest = hashlib.sha256(repr([content, shape, listing.classes, *read]).encode())
    for name in listing.names:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
    for name, values in listing.fields.items():
        digest.update(name.encode())
        digest.update(values.tobytes() if isinstance(values, np.ndarray) else repr(values).encode())
    return digest.hexdigest()
