"""The images that a run, or a measurement, is about."""

from __future__ import annotations

from typing import Any

from unnoise.aliases import Source
from unnoise.data import Images
from unnoise.errors import NoSplit
from unnoise.sources import open_source


def open_data(
    source: Source, split: str, *, shape: tuple[int, int, int] | None = None, limit: int | None = None
) -> Images:
    """A split of a source as a model takes it.

    Args:
        source: what `unnoise.open_source` takes.
        split: 'train' or 'test'.
        shape: (C, H, W) of the model's images; None for the source's own.
        limit: at most so many images, drawn over the whole split.

    Raises:
        NoSplit: where the source has no such split.
        UserError: where it cannot be read.
    """
    if isinstance(source, Images) and split != "train":
        raise NoSplit(f"{source.source} is one set of images without a split of its own")
    fitted = {} if shape is None else {"channels": shape[0], "size": shape[1:]}
    return open_source(source, split=split, limit=limit, progress=False, **fitted)


def open_test_split(source: Source, **options: Any) -> Images | None:
    """The test split, or None where the source has none; options: of `open_data`."""
    try:
        return open_data(source, "test", **options)
    except NoSplit:
        return None


def open_split(source: Source, split: str, **options: Any) -> tuple[Images, str]:
    """A split, and its name: the train split stands in for a test split that the source does not have."""
    held_out = open_test_split(source, **options) if split == "test" else None
    return (open_data(source, "train", **options), "train") if held_out is None else (held_out, split)
