"""The images of a training: the splits of its source, and what is held out where there is no test split."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from unnoise.aliases import Source
from unnoise.data.buckets import AnyImages
from unnoise.data.flat import are_drawn
from unnoise.errors import NoSplit, UserError
from unnoise.runs.config import Config
from unnoise.runs.data import Bucketing, read_split
from unnoise.runs.held_out import HeldOut
from unnoise.sources.buckets import BUCKETS
from unnoise.training.bucketing import bucketed, check_crop, square_shape
from unnoise.training.dial import Dialled, dialled
from unnoise.training.hold_out import AUTO, FEWEST, USUAL, hold_out, holds_out_unasked
from unnoise.training.settings import BEFORE, GUARD_BEFORE, DataSettings


def open_split(source: Source, data: DataSettings, split: str) -> AnyImages:
    """A split of a source, read as [data] says; NoSplit where it has none."""
    if data.fit != BUCKETS:
        return read_split(source, split, data.reading())
    assert isinstance(data.size, int)
    assert data.multiple is not None
    return read_split(source, split, data.bucketing(), Bucketing(data.size, data.multiple, {}))


def open_test_split(source: Source, data: DataSettings) -> AnyImages | None:
    """The test split, read as [data] says; None where the source has none."""
    try:
        return open_split(source, data, "test")
    except NoSplit:
        return None


class Opened(NamedTuple):
    """data: the settings; images: to train on; dialled: the configuration with its network, and notes on that."""

    data: DataSettings
    images: AnyImages
    dialled: Dialled


def opened(source: Source, data: DataSettings, config: Config, device: str | None, stored: Config | None) -> Opened:
    """The training images, and what was chosen for them.

    A network suits the images' shape, and the shapes of buckets suit the network.
    """
    check_crop(data)
    if data.fit != BUCKETS:
        images = open_split(source, data, "train")
        drawn = "dial" in config and stored is None and are_drawn(images)
        chosen = dialled(config, images.shape, device, stored, drawn=drawn)
        return Opened(replace(data, stream=images.streams), images, chosen)
    chosen = dialled(config, square_shape(data), device, stored)
    data = replace(bucketed(data, chosen.config), stream=False)
    return Opened(data, open_split(source, data, "train"), chosen)


def read_as_before(data: DataSettings, stored: Config | None) -> DataSettings:
    """A run that goes on reads its images as it did, whatever room the disk has by now: the order depends on it."""
    if stored is None or data.stream is not None:
        return data
    return replace(data, stream={**BEFORE, **stored["data"]}["stream"])


def guarded_as_before(config: Config, stored: Config | None) -> Config:
    """The configuration of a run from before there was a guard is told of copies, and goes on."""
    train = config.get("train", {})
    if stored is None or "guard" in stored["train"] or "guard" in train:
        return config
    return {**config, "train": {**train, "guard": GUARD_BEFORE}}


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
