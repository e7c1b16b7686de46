"""The images that a run, or a measurement, is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from unnoise.aliases import Record, Source, Spec
from unnoise.data import Images
from unnoise.data.buckets import AnyImages, Bucketed, of_shape
from unnoise.data.settings import Settings, check_split
from unnoise.errors import NoSplit
from unnoise.runs.held_out import HeldOut
from unnoise.sources import open_source
from unnoise.sources.buckets import open_buckets

QUIETLY = {"progress": False}


@dataclass(frozen=True)
class Bucketing:
    """How a run's images came to several shapes. side, multiple, options: as `open_buckets` takes them."""

    side: int
    multiple: int
    options: Spec


@dataclass(frozen=True)
class Reading:
    """How a source becomes images as a model takes them.

    Args:
        shape: (C, H, W) of the model's images; None for the source's own.
        held_out: what a run was not trained on. Where these are images of the source, they are no part of 'train', and
            are the test split where the source has no other.
        bucketing: how the images came to several shapes, of which those of `shape` are wanted; None where all are
            cropped to it.
        options: of `unnoise.open_source`, as `own_options` and `picture_options` give them; a size among them goes
            before the shape as long as it leads there.
    """

    shape: tuple[int, int, int] | None = None
    held_out: HeldOut | None = None
    bucketing: Bucketing | None = None
    options: Spec = field(default_factory=dict)

    def open(self, source: Source, split: str, limit: int | None = None) -> Images:
        """A split, or at most `limit` images of it, drawn over the whole split.

        Raises:
            NoSplit: where the source has no such split, or nothing of the shape in it.
            UserError: for a split that is neither 'train' nor 'test', and for a source that cannot be read.
        """
        check_split(split)
        if self.bucketing is None:
            images = self._part(source, split, limit)
            assert isinstance(images, Images)
            return _limited(images, limit)
        assert self.shape is not None
        found = of_shape(self._part(source, split, None), self.shape)
        if found is None:
            _, height, width = self.shape
            raise NoSplit(f"{source} has no images in the bucket {width}x{height} of its split {split!r}")
        return _limited(found, limit)

    def open_test(self, source: Source, limit: int | None = None) -> Images | None:
        """The test split; None where the source has none."""
        try:
            return self.open(source, "test", limit)
        except NoSplit:
            return None

    def open_named(self, source: Source, split: str, limit: int | None = None) -> tuple[Images, str]:
        """A split, and its name: the train split stands in for a test split that the source does not have."""
        check_split(split)
        test = self.open_test(source, limit) if split == "test" else None
        return (self.open(source, "train", limit), "train") if test is None else (test, split)

    def _part(self, source: Source, split: str, limit: int | None) -> AnyImages:
        """The split that the source has, or that holding out made of it; no more than `limit` images need be read."""
        if self.held_out is None or (split == "test" and self._has_test(source)):
            return self._read(source, split, limit)
        whole = self._read(source, "train", None)
        if not self.held_out.of(whole):
            return self._read(source, split, limit)
        return whole.subset(self.held_out.rows if split == "test" else self.held_out.training_rows(len(whole)))

    def _has_test(self, source: Source) -> bool:
        try:
            self._read(source, "test", None)
        except NoSplit:
            return False
        return True

    def _read(self, source: Source, split: str, limit: int | None) -> AnyImages:
        if self.bucketing is not None:
            return read_split(source, split, QUIETLY, self.bucketing)
        options = {"limit": limit, **QUIETLY, **self.options}
        fitted = {} if self.shape is None else {"channels": self.shape[0], "size": self.shape[1:]}
        images = read_split(source, split, {**fitted, **options})
        fits = self.shape in (None, images.shape)
        return images if fits else read_split(source, split, {**options, **fitted})


def read_split(source: Source, split: str, options: Spec, bucketing: Bucketing | None = None) -> AnyImages:
    """A split of a source; images in memory have one alone.

    Args:
        source: what `unnoise.open_source` takes, or a set with buckets.
        split: 'train' or 'test'.
        options: of `unnoise.open_source`, or with buckets of `open_buckets`, over those of `bucketing`.
        bucketing: how images come to several shapes, where they do.

    Raises:
        NoSplit: where there is no such split.
    """
    if isinstance(source, (Images, Bucketed)) and split != "train":
        raise NoSplit(f"{source.source} is one set of images without a split of its own")
    if bucketing is None:
        return open_source(source, split=split, **options)
    return open_buckets(source, bucketing.side, bucketing.multiple, split=split, **{**bucketing.options, **options})


PICTURES = ("max_pixels", "background", "levels")
"""Keys of [data] that say how pictures of any source are read."""


def picture_options(data: Spec) -> Record:
    """The options of `unnoise.open_source` by which the [data] section of a run reads pictures, of whatever source."""
    return _given(data, PICTURES)


def own_options(data: Spec, held_out: HeldOut | None) -> Record:
    """And by which it reads its own source, which thereby is packed once for training and measuring.

    Held-out images are counted by their place among those that the training had: a streamed set is then streamed again,
    for packing leaves damaged pictures out.
    """
    streamed = held_out is not None and data.get("stream", False)
    named = _given(data, ("size", "channels", "limit", *PICTURES, *(("stream",) if streamed else ())))
    return {"size": None, "channels": None, **named}


def bucketing_of(data: Spec) -> Bucketing:
    """What the [data] section of a run with buckets says."""
    return Bucketing(data["size"], data["multiple"], _given(data, ("channels", "limit", *PICTURES)))


def _given(data: Spec, names: Sequence[str]) -> Record:
    given = {name: data[name] for name in names if data.get(name) is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _limited(images: Images, limit: int | None) -> Images:
    return images if limit is None or len(images) <= limit else images.subset(Settings(limit=limit).chosen(len(images)))
