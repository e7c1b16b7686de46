"""unnoise data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from unnoise.cli.options import Json, Overwrite, SomeWhole, Whole
from unnoise.cli.output import command, show
from unnoise.errors import UserError

if TYPE_CHECKING:
    from unnoise.data.buckets import AnyImages


def data(
    source: str | None = None,
    /,
    *,
    split: str = "train",
    size: SomeWhole = None,
    fit: Literal["crop", "buckets"] = "crop",
    multiple: Whole = 8,
    channels: SomeWhole = None,
    sheet: Path | None = None,
    pack: Path | None = None,
    background: str = "white",
    levels: tuple[float, float] | None = None,
    max_pixels: SomeWhole = None,
    strict: Annotated[bool, Parameter(negative="")] = False,
    cache: Annotated[bool, Parameter(negative="")] = False,
    clear_cache: str | None = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Tell what is in a source: count, sizes, classes, broken files, duplicates; write a contact sheet.

    Args:
        source: What `unnoise train` takes: a folder, an archive, arrays, or a built-in name.
        split: train or test, where the source has both.
        size: The shorter side in pixels; by default found from the data.
        fit: How pictures come to one size: crop to one shape, or to the nearest of several buckets of about SIZE x SIZE
            pixels (data.fit=buckets in training), with how much of a picture is cropped away.
        multiple: What the sides of buckets are multiples of; in training it comes from the network.
        channels: 1, 3 or 4; by default found from the data.
        sheet: Where the contact sheet goes; by default SOURCE-SPLIT-sheet.png in the working folder.
        pack: Also write the packed images and labels to this .npz.
        background: The colour below transparent pixels, by name or as #rrggbb.
        levels: LOW HIGH: the fractions of the full range that become black and white, for data that uses little of it.
        max_pixels: The most pixels a picture may have, by default 89 million.
        strict: Refuse a source with broken files.
        cache: Tell what the cache holds: sources, sizes, last use. Without a source.
        clear_cache: Remove from the cache what was not used for so many days, or 'all'. Without a source.
    """
    if cache or clear_cache is not None:
        _cache(source, clear_cache, json)
        return
    if source is None:
        raise UserError("name a source, such as a folder of images, or ask for --cache")
    from unnoise.data.pictures import save_png
    from unnoise.files import claim, ends_in
    from unnoise.sources.inspect import contact_sheet, inspect, write_npz
    from unnoise.sources.open import stem

    out = ends_in(sheet or Path(f"{stem(source)}-{split}-sheet.png"), ".png")
    for file in (out, *([] if pack is None else [pack])):
        claim(file, overwrite=overwrite, inputs=[Path(source)])
    images = _opened(
        source,
        fit,
        size,
        multiple,
        split=split,
        channels=channels,
        strict=strict,
        background=background,
        levels=levels,
        max_pixels=max_pixels,
    )
    report = inspect(images)
    save_png(contact_sheet(images), out)
    packed = {} if pack is None else {"pack": str(write_npz(images, pack))}
    lines = [*report.lines(), f"sheet       {out}"]
    bucketing = ["--set", f"data.fit={fit}", "--set", f"data.size={size}"] if report.buckets else []
    show({**report.to_dict(), "sheet": str(out), **packed}, json, lines, then=command("train", source, *bucketing))


def _opened(source: str, fit: str, size: int | None, multiple: int, **options: Any) -> AnyImages:
    from unnoise.sources.buckets import BUCKETS, open_buckets
    from unnoise.sources.open import open_source

    if fit != BUCKETS:
        return open_source(source, size=size, **options)
    if size is None:
        raise UserError("--fit buckets needs --size, the side of the square bucket in pixels, such as --size 64")
    if multiple < 1:
        raise UserError(f"--multiple must be a whole number of at least 1; got {multiple}")
    return open_buckets(source, size, multiple, **options)


def _cache(source: str | None, older_than: str | None, json: bool) -> None:
    """Shows what the cache holds, or clears it."""
    from unnoise.data.cache import cache_folder
    from unnoise.data.cache_entries import cache_entries, clear_cache, entry_lines

    if source is not None:
        raise UserError(f"--cache and --clear-cache are about the whole cache: leave {source!r} out")
    folder = cache_folder()
    if older_than is None:
        entries = cache_entries(folder)
        found = {"entries": [entry.to_dict() for entry in entries], "bytes": sum(entry.bytes for entry in entries)}
        show({"cache": str(folder), **found}, json, entry_lines(entries, folder))
        return
    cleared = clear_cache(folder, older_than)
    left = cache_entries(folder)
    result = {
        "cache": str(folder),
        "removed": [entry.to_dict() for entry in cleared.removed],
        "busy": [entry.to_dict() for entry in cleared.busy],
        "freed": sum(entry.bytes for entry in cleared.removed),
        "bytes": sum(entry.bytes for entry in left),
    }
    busy = [f"left, for it is being made: {entry.source}" for entry in cleared.busy]
    removed = [f"removed     {entry.kind} {entry.source}" for entry in cleared.removed]
    show(result, json, [*removed, *busy, *entry_lines(left, folder)[-1:]])
