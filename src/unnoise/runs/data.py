"""The images that a run, or a measurement, is about."""

from __future__ import annotations

from typing import Any

from unnoise.aliases import Source
from unnoise.data import Images
from unnoise.data.settings import Settings
from unnoise.errors import NoSplit
from unnoise.runs.held_out import HeldOut
from unnoise.sources import open_source


def open_data(
    source: Source,
    split: str,
    *,
    shape: tuple[int, int, int] | None = None,
    limit: int | None = None,
    held_out: HeldOut | None = None,
) -> Images:
    """A split of a source as a model takes it.

    Args:
        source: what `unnoise.open_source` takes.
        split: 'train' or 'test'.
        shape: (C, H, W) of the model's images; None for the source's own.
        limit: at most so many images, drawn over the whole split.
        held_out: what a run was not trained on. Where these are images of this source, they are no part of 'train', and
            are the test split where the source has no other.

    Raises:
        NoSplit: where the source has no such split.
        UserError: where it cannot be read.
    """
    if held_out is not None:
        found = _divided(source, split, held_out, shape, limit)
        if found is not None:
            return found
    return _opened(source, split, shape, limit)


def open_test_split(source: Source, **options: Any) -> Images | None:
    """The test split, or None where the source has none; options: of `open_data`."""
    try:
        return open_data(source, "test", **options)
    except NoSplit:
        return None


def open_split(source: Source, split: str, **options: Any) -> tuple[Images, str]:
    """A split, and its name: the train split stands in for a test split that the source does not have."""
    test = open_test_split(source, **options) if split == "test" else None
    return (open_data(source, "train", **options), "train") if test is None else (test, split)


def _opened(source: Source, split: str, shape: tuple[int, int, int] | None, limit: int | None) -> Images:
    if isinstance(source, Images) and split != "train":
        raise NoSplit(f"{source.source} is one set of images without a split of its own")
    fitted = {} if shape is None else {"channels": shape[0], "size": shape[1:]}
    return open_source(source, split=split, limit=limit, progress=False, **fitted)


def _divided(
    source: Source, split: str, held_out: HeldOut, shape: tuple[int, int, int] | None, limit: int | None
) -> Images | None:
    """The split that holding out made; None where the source's own is the right one."""
    if split == "test" and open_test_split(source, shape=shape) is not None:
        return None
    images = _opened(source, "train", shape, None)
    if not held_out.of(images):
        return None
    rows = held_out.rows if split == "test" else held_out.training_rows(len(images))
    return images.subset(rows[Settings(limit=limit).chosen(len(rows))])
