"""Images of several shapes: an ordinary set for each bucket of aspect ratios, one behind the other."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from unnoise.data.fields import FIELDS, Values
from unnoise.data.images import Images
from unnoise.io.tree import Broken

if TYPE_CHECKING:
    import torch

    from unnoise.data.batch import Batch


@dataclass(frozen=True, eq=False)
class Bucketed:
    """Images of several shapes. Row i counts through the buckets, one behind the other.

    Attributes:
        buckets: sets of one shape each, none empty, the tallest shape first.
        source, broken, notes: as in `Images`, of all of them.
    """

    buckets: tuple[Images, ...]
    source: str
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()

    latents, noise, shards, streams = None, None, (), False

    def __post_init__(self) -> None:
        assert self.buckets
        assert all(len(part) for part in self.buckets)
        assert len({part.shape for part in self.buckets}) == len(self.buckets)
        assert len({part.shape[0] for part in self.buckets}) == 1

    def __len__(self) -> int:
        return sum(self.counts)

    @property
    def counts(self) -> list[int]:
        """The images of each bucket."""
        return [len(part) for part in self.buckets]

    @property
    def main(self) -> Images:
        """The bucket with most images."""
        return max(self.buckets, key=len)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the bucket with most images."""
        return self.main.shape

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, () without labels."""
        return self.buckets[0].classes

    @cached_property
    def fields(self) -> dict[str, Values]:
        """What the images carry, but for what lies on their pixels."""
        names = [name for name in self.buckets[0].fields if not FIELDS[name].spatial]
        return {name: _joined([part.fields[name] for part in self.buckets]) for name in names}

    @property
    def labels(self) -> np.ndarray | None:
        """(N,) int64, or None."""
        return self.fields.get("labels")  # type: ignore[return-value]

    @property
    def captions(self) -> list[str] | None:
        """A text per image, or None."""
        return self.fields.get("captions")  # type: ignore[return-value]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the files they come from, relative to the source."""
        return tuple(chain.from_iterable(part.names for part in self.buckets))

    @property
    def sizes(self) -> dict[tuple[int, int], int]:
        """Original (width, height) -> count."""
        return dict(sum((Counter(part.sizes) for part in self.buckets), Counter()))

    @property
    def fingerprint(self) -> str:
        """Hex hash of the buckets' own."""
        return hashlib.sha256(b"".join(bytes.fromhex(part.fingerprint) for part in self.buckets)).hexdigest()

    def parts(self, rows: Sequence[int] | np.ndarray) -> list[tuple[Images, np.ndarray]]:
        """The buckets that some rows lie in, each with those of its own rows, in the order given."""
        chosen = np.asarray(rows, np.int64)
        stops = np.cumsum(self.counts)
        which = np.searchsorted(stops, chosen, side="right")
        starts = stops - self.counts
        return [(self.buckets[n], chosen[which == n] - starts[n]) for n in np.unique(which).tolist()]

    def batch(self, indices: Sequence[int] | np.ndarray, device: str | torch.device = "cpu") -> Batch:
        """The images at `indices`, which lie in one bucket."""
        ((part, own),) = self.parts(indices)
        return part.batch(own, device)

    def subset(self, indices: Sequence[int] | np.ndarray) -> Bucketed:
        """The images at `indices`, bucket by bucket; buckets of which there are none are left out."""
        kept = tuple(part.subset(own) for part, own in self.parts(indices))
        return replace(self, buckets=kept, broken=(), notes=())


AnyImages: TypeAlias = Images | Bucketed


def parts_of(images: AnyImages, rows: Sequence[int] | np.ndarray) -> list[tuple[Images, np.ndarray]]:
    """Sets of one shape that rows lie in, each with those of its own rows."""
    return images.parts(rows) if isinstance(images, Bucketed) else [(images, np.asarray(rows, np.int64))]


def some_rows(images: AnyImages, count: int) -> np.ndarray:
    """`count` random rows of a set, or all where there are fewer, always the same, rising."""
    return np.sort(np.random.default_rng(0).permutation(len(images))[:count])


def first_rows(images: AnyImages, count: int) -> np.ndarray:
    """`count` rows of a set, always the same: the first, or where there are buckets some of all, rising."""
    count = min(count, len(images))
    if not isinstance(images, Bucketed):
        return np.arange(count)
    return some_rows(images, count)


def of_shape(images: AnyImages, shape: tuple[int, int, int]) -> Images | None:
    """Those of a set that have the shape (C, H, W), where there are some."""
    return next((part for part in images.buckets if part.shape == shape), None)


def _joined(values: list[Values]) -> Values:
    arrays = [part for part in values if isinstance(part, np.ndarray)]
    return np.concatenate(arrays) if arrays else list(chain.from_iterable(values))
