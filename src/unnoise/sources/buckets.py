"""From a source to a set with buckets of aspect ratios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from unnoise.aliases import Source
from unnoise.data.buckets import AnyImages, Bucketed
from unnoise.data.cache import cache_folder, cached_as
from unnoise.data.pack import Files
from unnoise.data.pack_buckets import load_buckets, pack_buckets, save_buckets
from unnoise.data.settings import Settings
from unnoise.errors import UserError
from unnoise.io.geometry import bucket_shapes, cropped_away
from unnoise.sources.open import origin_of, report
from unnoise.sources.paths import Opening

CROP, BUCKETS = "crop", "buckets"
"""How pictures come to the shapes of a set: their largest centred part of one shape, or of the nearest of several."""


def open_buckets(
    source: Source,
    side: int,
    multiple: int,
    *,
    strict: bool = False,
    cache: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> Bucketed:
    """Opens pictures of many shapes as buckets of about side^2 pixels, packed once and memory-mapped afterwards.

    Args:
        source: files of pictures, as `open_source` takes them; or what this function returned.
        side, multiple: see `geometry.bucket_shapes`.
        strict, cache, progress: as of `open_source`.
        settings: the others of `data.settings.Settings` that say how pictures are read: split, channels, limit,
            max_pixels, background, levels.

    Raises:
        NoSplit: where the source has no such split.
        UserError: for what cannot be opened, and for arrays, whose images have one shape.
    """
    if isinstance(source, Bucketed):
        return source
    if not isinstance(source, (str, Path)):
        raise _one_shape(getattr(source, "source", "an array"))
    how = Settings(size=side, **settings)
    shapes, folder = bucket_shapes(side, multiple), cache_folder(cache)
    origin = origin_of(source, Opening(how, folder, progress))

    def packed(work: Path) -> Bucketed:
        content = origin.read(work)
        if not isinstance(content, Files):
            raise _one_shape(str(source))
        return pack_buckets(content, shapes, str(source), how, work, progress)

    found = cached_as([origin.key, astuple(how), BUCKETS, shapes], folder, packed, save_buckets, load_buckets)
    found = replace(found, source=str(source), notes=(*origin.notes, *found.notes, bucket_note(found)))
    report(found, strict, progress)
    return found


def bucket_note(images: Bucketed) -> str:
    """The buckets of a set, and what is cropped away."""
    listed = ", ".join(f"{part.shape[2]}x{part.shape[1]} ({len(part):,})" for part in images.buckets)
    return f"buckets {listed}; {mean_cropped(images):.1%} of a picture is cropped away on average"


def mean_cropped(images: AnyImages) -> float:
    """The fraction of a picture that cropping to the shape of its set takes away, on average."""
    return _mean({(size, part.shape[1:]): count for part in images.buckets for size, count in part.sizes.items()})


def square_cropped(sizes: Mapping[tuple[int, int], int]) -> float:
    """The same, were pictures of these (width, height) cropped to squares; as much of a square would be empty, were
    they padded to it."""
    return _mean({(size, (1, 1)): count for size, count in sizes.items()})


def _mean(pairs: Mapping[tuple[tuple[int, int], tuple[int, int]], int]) -> float:
    """Over ((width, height) of a picture, (height, width) of its bucket) -> count."""
    lost = sum(count * cropped_away(shape, *size) for (size, shape), count in pairs.items())
    return lost / max(1, sum(pairs.values()))


def _one_shape(source: str) -> UserError:
    return UserError(
        f"{source} holds images of one shape and not files of pictures, so there is nothing to bucket: "
        "leave data.fit at crop"
    )
