"""The images that a run, or a measurement, is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unnoise.aliases import Record, Source, Spec
from unnoise.data import Images
from unnoise.data.buckets import AnyImages, Bucketed, of_shape
from unnoise.data.settings import SPLITS, Settings
from unnoise.errors import NoSplit
from unnoise.registry import lookup
from unnoise.runs.held_out import HeldOut
from unnoise.sources import open_source
from unnoise.sources.buckets import open_buckets


@dataclass(frozen=True)
class Bucketing:
    """How a run's images came to several shapes. side, multiple, options: as `open_buckets` takes them."""

    side: int
    multiple: int
    options: Record


PICTURES = ("max_pixels", "background", "levels")
"""Keys of [data] that say how pictures of any source are read."""
OWN = (*PICTURES, "limit")
"""And which of a run's own source."""


def reading_of(data: Spec, own: bool) -> Record:
    """What the [data] section of a run says of reading images; own: of the run's own source, or of another."""
    given = {name: data[name] for name in (OWN if own else PICTURES) if data.get(name) is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def bucketing_of(data: Spec) -> Bucketing:
    """What the [data] section of a run with buckets says."""
    channels = {"channels": data["channels"]} if "channels" in data else {}
    return Bucketing(data["size"], data["multiple"], {**channels, **reading_of(data, own=True)})


def open_data(
    source: Source,
    split: str,
    *,
    shape: tuple[int, int, int] | None = None,
    limit: int | None = None,
    held_out: HeldOut | None = None,
    bucketing: Bucketing | None = None,
    reading: Spec | None = None,
) -> Images:
    """A split of a source as a model takes it.

    Args:
        source: what `unnoise.open_source` takes.
        split: 'train' or 'test'.
        shape: (C, H, W) of the model's images; None for the source's own.
        limit: at most so many images, drawn over the whole split.
        held_out: what a run was not trained on. Where these are images of this source, they are no part of 'train', and
            are the test split where the source has no other.
        bucketing: how the images came to several shapes, of which those of `shape` are wanted; None where all are
            cropped to it.
        reading: further options of `unnoise.open_source`, as `reading_of` a run gives them.

    Raises:
        NoSplit: where the source has no such split, or nothing of that shape in it.
        UserError: where it cannot be read.
    """
    reading = reading or {}
    if bucketing is None:
        found = _chosen(source, split, shape, limit, held_out, None, reading)
        assert isinstance(found, Images)
        return found
    assert shape is not None
    images = of_shape(_chosen(source, split, shape, None, held_out, bucketing, reading), shape)
    if images is None:
        raise NoSplit(f"{source} has no images in the bucket {shape[2]}x{shape[1]} of its split {split!r}")
    return images if limit is None else images.subset(Settings(limit=limit).chosen(len(images)))


def _chosen(
    source: Source,
    split: str,
    shape: tuple[int, int, int] | None,
    limit: int | None,
    held_out: HeldOut | None,
    bucketing: Bucketing | None,
    reading: Spec,
) -> AnyImages:
    if held_out is not None:
        found = _divided(source, split, held_out, shape, limit, bucketing, reading)
        if found is not None:
            return found
    return _opened(source, split, shape, limit, bucketing, reading)


def open_test_split(source: Source, **options: Any) -> Images | None:
    """The test split, or None where the source has none; options: of `open_data`."""
    try:
        return open_data(source, "test", **options)
    except NoSplit:
        return None


def open_split(source: Source, split: str, **options: Any) -> tuple[Images, str]:
    """A split, and its name: the train split stands in for a test split that the source does not have."""
    lookup(dict.fromkeys(SPLITS), split, "split")
    test = open_test_split(source, **options) if split == "test" else None
    return (open_data(source, "train", **options), "train") if test is None else (test, split)


def _opened(
    source: Source,
    split: str,
    shape: tuple[int, int, int] | None,
    limit: int | None,
    bucketing: Bucketing | None,
    reading: Spec,
) -> AnyImages:
    if isinstance(source, (Images, Bucketed)) and split != "train":
        raise NoSplit(f"{source.source} is one set of images without a split of its own")
    if bucketing is not None:
        return open_buckets(
            source, bucketing.side, bucketing.multiple, split=split, progress=False, **bucketing.options
        )
    fitted = {} if shape is None else {"channels": shape[0], "size": shape[1:]}
    first = {"limit": limit, **reading}
    images = open_source(source, split=split, progress=False, **fitted, **first)
    return images if limit in (None, first["limit"]) else images.subset(Settings(limit=limit).chosen(len(images)))


def _divided(
    source: Source,
    split: str,
    held_out: HeldOut,
    shape: tuple[int, int, int] | None,
    limit: int | None,
    bucketing: Bucketing | None,
    reading: Spec,
) -> AnyImages | None:
    """The split that holding out made; None where the source's own is the right one."""
    if split == "test" and _has_test_split(source, shape, bucketing, reading):
        return None
    images = _opened(source, "train", shape, None, bucketing, reading)
    if not held_out.of(images):
        return None
    rows = held_out.rows if split == "test" else held_out.training_rows(len(images))
    return images.subset(rows[Settings(limit=limit).chosen(len(rows))])


def _has_test_split(
    source: Source, shape: tuple[int, int, int] | None, bucketing: Bucketing | None, reading: Spec
) -> bool:
    try:
        _opened(source, "test", shape, None, bucketing, reading)
    except NoSplit:
        return False
    return True
