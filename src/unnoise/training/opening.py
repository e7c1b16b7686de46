"""The images of a training: the splits of its source, and what is held out where there is no test split."""

from __future__ import annotations

from dataclasses import replace

from unnoise.aliases import Source
from unnoise.data import Images
from unnoise.data.buckets import AnyImages, Bucketed
from unnoise.errors import NoSplit, UserError
from unnoise.runs.config import Config
from unnoise.runs.held_out import HeldOut
from unnoise.sources import open_source
from unnoise.sources.buckets import BUCKETS, open_buckets
from unnoise.training.hold_out import AUTO, FEWEST, USUAL, hold_out, holds_out_unasked
from unnoise.training.settings import BEFORE, DataSettings


def open_split(source: Source, data: DataSettings, split: str) -> AnyImages:
    """A split of a source, read as [data] says; NoSplit where it has none."""
    if isinstance(source, (Images, Bucketed)) and split != "train":
        raise NoSplit(f"{source.source} is one set of images without a split of its own")
    if data.fit == BUCKETS:
        assert isinstance(data.size, int)
        assert data.multiple is not None
        return open_buckets(source, data.size, data.multiple, split=split, **data.bucketing())
    return open_source(source, split=split, **data.reading())


def open_test_split(source: Source, data: DataSettings) -> AnyImages | None:
    """The test split, read as [data] says; None where the source has none."""
    try:
        return open_split(source, data, "test")
    except NoSplit:
        return None


def choose_held_out(
    source: Source, data: DataSettings, images: AnyImages, seed: int, stored: Config | None, known: HeldOut | None
) -> tuple[DataSettings, HeldOut | None]:
    """The settings with the fraction that is held out, and the images: those `known` of this set, else chosen anew."""
    asked = data.hold_out
    if asked == AUTO and stored is not None:
        asked = {**BEFORE, **stored["data"]}["hold_out"]
    if known is not None and known.of(images) and asked != 0:
        fraction = round(len(known.rows) / len(images), 6) if asked == AUTO else asked
        return replace(data, hold_out=fraction), known
    if asked == AUTO:
        wanted = holds_out_unasked(images) and open_test_split(source, data) is None
        held = hold_out(images, USUAL, seed) if wanted else None
        return replace(data, hold_out=0.0 if held is None else USUAL), held
    held = hold_out(images, asked, seed) if asked else None
    if asked and held is None:
        raise UserError(
            f"data.hold_out={asked:g} of {images.source}: among its {len(images):,} images no {FEWEST} can be held out "
            "without splitting near-duplicates or groups; give 0 to train on all of them"
        )
    return replace(data, hold_out=asked), held
