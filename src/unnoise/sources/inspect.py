"""What is in a source: the report behind `unnoise data`."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unnoise.aliases import Record, Source
from unnoise.data.buckets import AnyImages, Bucketed, parts_of
from unnoise.data.fields import FIELDS, present
from unnoise.data.near_duplicates import MOST, grouped, set_digests
from unnoise.data.pictures import PAPER, image_grid
from unnoise.errors import UserError
from unnoise.files import write_atomic
from unnoise.io.tree import Broken
from unnoise.sources.buckets import mean_cropped, square_cropped
from unnoise.sources.open import open_source

SHOWN = 12  # items of a list that people are shown
NARROW = 64  # levels of 256: less of them in use is worth a word
TAIL = 0.001  # fraction of the pixels that may lie outside the range in use
SAMPLED = 1000  # images whose histogram is taken


@dataclass(frozen=True)
class Report:
    """What is in a source.

    Attributes:
        source: what the user called it.
        count: of images.
        shape: (C, H, W) as packed; of the bucket with most images, where there are several.
        buckets: 'WIDTHxHEIGHT' -> count, where there are several shapes.
        cropped: 'as_packed' and 'square': the mean fraction of a picture that lies outside the shape it is packed in,
            and that would lie outside a square; as much of a square would be empty, were pictures padded to it.
        sizes: original (width, height) -> count.
        classes: name -> count.
        carries: field -> whether the images have it.
        duplicates: images whose pixels another image before them has.
        near_duplicates: groups of two and more images that are nearly the same (`data.near_duplicates`); None for
            more images than are compared.
        bytes: of the packed pixels.
    """

    source: str
    count: int
    shape: tuple[int, int, int]
    buckets: dict[str, int]
    cropped: dict[str, float]
    sizes: dict[tuple[int, int], int]
    classes: dict[str, int]
    carries: dict[str, bool]
    duplicates: int
    near_duplicates: int | None
    broken: tuple[Broken, ...]
    notes: tuple[str, ...]
    bytes: int
    fingerprint: str

    @property
    def channels(self) -> int:
        """1 grey, 3 RGB, 4 RGBA."""
        return self.shape[0]

    def to_dict(self) -> Record:
        """As plain JSON types; a size is written '640x480'."""
        sizes = {f"{width}x{height}": count for (width, height), count in self.sizes.items()}
        carries = {name: there for name, there in self.carries.items() if name != "labels"}
        plain = {name: value for name, value in asdict(self).items() if name != "carries"}
        return {**plain, **carries, "shape": list(self.shape), "channels": self.channels, "sizes": sizes}

    def lines(self) -> list[str]:
        """For people: one fact a line, long lists shortened."""
        channels = self.channels
        kind = {1: "grey", 3: "RGB", 4: "RGBA"}[channels]
        extras = [FIELDS[name].title for name, there in self.carries.items() if there and name != "labels"]
        sizes = [f"{w}x{h} ({count})" for (w, h), count in self.sizes.items()]
        classes = [f"{name} ({count})" for name, count in self.classes.items()]
        return [
            f"source      {self.source}",
            f"images      {self.count:,}, packed as {self._shapes()} {kind} ({self.bytes / 2**20:.1f} MiB)",
            *([self._cropped()] if self.cropped["as_packed"] or self.buckets else []),
            *([f"sizes       {_shortened(sizes)}"] if sizes else []),
            f"classes     {f'{len(classes)}: {_shortened(classes)}' if classes else 'none'}",
            *([f"also        {', '.join(extras)}"] if extras else []),
            f"duplicates  {self.duplicates}{self._near()}",
            f"broken      {len(self.broken)}",
            *(f"            {broken.name}: {broken.reason}" for broken in self.broken[:SHOWN]),
            *(f"note        {note}" for note in self.notes),
        ]

    def _shapes(self) -> str:
        _, height, width = self.shape
        if not self.buckets:
            return f"{width}x{height}"
        return f"{len(self.buckets)} buckets {', '.join(f'{name} ({count})' for name, count in self.buckets.items())}"

    def _cropped(self) -> str:
        packed, square = self.cropped["as_packed"], self.cropped["square"]
        others = f"; squares would cut off {square:.1%}, or be empty to as much" if self.buckets else ""
        return f"cropped     {packed:.1%} of a picture on average{others}"

    def _near(self) -> str:
        if self.near_duplicates is None:
            return f" that are equal; of more than {MOST:,} images no others are looked for"
        return f", and {self.near_duplicates} groups of images that are nearly the same"


def _shortened(items: list[str]) -> str:
    more = f", and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more


def write_npz(images: AnyImages, path: Path) -> Path:
    """Writes the packed images as an .npz that every command takes: images (N, H, W, C) uint8, and what they carry.

    Raises:
        UserError: for images of several shapes.
    """
    if isinstance(images, Bucketed):
        raise UserError("an .npz holds images of one shape: leave --fit buckets out to pack one")
    pixels, stream = np.moveaxis(images.pixels, 1, -1), io.BytesIO()
    fields = {kind.array_keys[0]: np.asarray(values) for kind, values in present(images.fields)}
    names = {"classes": np.array(images.classes)} if images.classes else {}
    arrays: Record = {"images": pixels, **fields, **names}
    np.savez_compressed(stream, **arrays)
    write_atomic(path.with_suffix(".npz"), stream.getvalue())
    return path.with_suffix(".npz")


def inspect(source: Source, **options: Any) -> Report:
    """Opens a source, with the options of `open_source`, and reports what is in it."""
    images = source if isinstance(source, Bucketed) else open_source(source, **options)
    several = isinstance(images, Bucketed)
    groups = grouped(images, by_metadata=False)
    return Report(
        source=images.source,
        count=len(images),
        shape=images.shape,
        buckets={f"{part.shape[2]}x{part.shape[1]}": len(part) for part in images.buckets} if several else {},
        cropped={"as_packed": mean_cropped(images), "square": square_cropped(images.sizes)},
        sizes=dict(sorted(images.sizes.items(), key=lambda item: -item[1])),
        classes=_class_counts(images),
        carries={name: name in images.fields for name in FIELDS},
        duplicates=len(images) - len(set(set_digests(images))),
        near_duplicates=groups.shared if groups.compared else None,
        broken=images.broken,
        notes=(*images.notes, *range_notes(max(images.buckets, key=len).pixels)),
        bytes=sum(part.pixels.nbytes for part in images.buckets),
        fingerprint=images.fingerprint,
    )


def range_notes(pixels: np.ndarray) -> tuple[str, ...]:
    """What the histogram of pixels (N, C, H, W) says against them: little of the range used, or one level alone."""
    sample = pixels[:: max(1, len(pixels) // SAMPLED)]
    histogram = np.bincount(np.asarray(sample[:, :3]).reshape(-1), minlength=256)
    used = np.cumsum(histogram) / histogram.sum()
    low, high = (int(np.searchsorted(used, fraction)) for fraction in (TAIL, 1 - TAIL))
    if low == high:
        return (
            f"all pixels have level {low} of 255: drawings on transparent ground are laid on white, and another ground "
            "is chosen with --background black; floats and depths beyond 8 bits are stretched with --levels LOW HIGH",
        )
    if high - low >= NARROW:
        return ()
    return (
        f"nearly all pixels lie in levels {low} to {high} of 255, as 12-bit pictures in 16 bits do; "
        f"--levels {low / 255:.4g} {min(1.0, (high + 1) / 255):.4g} stretches them to black and white",
    )


def contact_sheet(images: AnyImages, n: int = 64) -> Image.Image:
    """A grid of n images from all of the set, as many of each class as of any other."""
    rows = _spread(images, n)
    return image_grid(np.stack([_centred(images, row) for row in rows]))


def _centred(images: AnyImages, row: int) -> np.ndarray:
    """(C, H, W): an image in the middle of white that is as high and as wide as any of the set."""
    ((part, own),) = parts_of(images, [row])
    height, width = (max(one.shape[side] for one in images.buckets) for side in (1, 2))
    channels, high, wide = part.shape
    sheet = np.full((channels, height, width), PAPER, np.uint8)
    top, left = (height - high) // 2, (width - wide) // 2
    sheet[:, top : top + high, left : left + wide] = part.pixels[own][0]
    return sheet


def _class_counts(images: AnyImages) -> dict[str, int]:
    if images.labels is None:
        return {}
    counts = np.bincount(images.labels, minlength=len(images.classes))
    return {name: int(count) for name, count in zip(images.classes, counts, strict=True)}


def _spread(images: AnyImages, n: int) -> np.ndarray:
    """n indices: the classes in turn, each in a fixed random order, so that every class is there as often as it can."""
    order = np.random.default_rng(0).permutation(len(images))
    if images.labels is not None:
        labels = images.labels[order]
        by_class = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[by_class], labels[by_class])
        turn = np.empty(len(order), np.int64)
        turn[by_class] = np.arange(len(order)) - starts
        order = order[np.lexsort((labels, turn))]
    return order[:n]
