"""The training stream of a set with buckets: each batch from one of them, a function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch

from unnoise.data.batch import Batch
from unnoise.data.buckets import Bucketed
from unnoise.data.loader import ALL, Loader, fits
from unnoise.data.order import draws
from unnoise.seeding import fold

BUCKETS = 5  # what a draw is for: part of its key
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio."""
BLOCK = 1 << 12
"""Steps that are counted at once."""


class Turns:
    """Which bucket each step belongs to, in proportion to counts.

    Step k is at x_k = x_0 + k / phi modulo 1, phi the golden ratio and x_0 from the seed, and belongs to the bucket in
    whose part of [0, 1) x_k lies. After k steps a bucket with the fraction f has had k f of them up to O(log k)
    (Niederreiter 1992, chapter 3): much closer than independent draws, whose error grows as the root of k.
    """

    def __init__(self, counts: Sequence[int] | np.ndarray, seed: int) -> None:
        total = int(sum(counts))
        stops = [(int(stop) << 64) // total for stop in np.cumsum(counts)[:-1]]
        self._stops = np.array(stops, np.uint64)
        self._first = draws(seed, BUCKETS).integers(1 << 64, dtype=np.uint64)
        self._before = lru_cache(maxsize=None)(self._counted)

    def at(self, step: int) -> tuple[int, int]:
        """The bucket of a step, and how many steps before it belong to the same."""
        block, within = divmod(step, BLOCK)
        of_block = self._block(block, within + 1)
        bucket = int(of_block[-1])
        return bucket, int(self._before(block)[bucket]) + int(np.count_nonzero(of_block[:-1] == bucket))

    def _block(self, block: int, count: int = BLOCK) -> np.ndarray:
        """The buckets of the first `count` steps of a block."""
        steps = np.arange(block * BLOCK, block * BLOCK + count, dtype=np.uint64)
        return np.searchsorted(self._stops, self._first + steps * GOLDEN, side="right")

    def _counted(self, block: int) -> np.ndarray:
        """How many steps before a block belong to each bucket."""
        parts = (self._block(number) for number in range(block))
        size = len(self._stops) + 1
        return sum((np.bincount(part, minlength=size) for part in parts), np.zeros(size, np.int64))


class BucketLoader:
    """A `Loader` for each bucket, of which every step takes the next batch of one.

    Images of a bucket come in shuffled epochs without replacement; the buckets come in proportion to their images, so
    that all images come equally often. A bucket with fewer images than a batch fills it with some of them again.

    Args:
        images, batch_size, seed, device, flip, augment: as of a `Loader`.
        rows: the images that are shown, of all, rising.
    """

    def __init__(
        self,
        images: Bucketed,
        batch_size: int,
        seed: int,
        device: str | torch.device = "cpu",
        flip: bool = False,
        rows: np.ndarray | None = None,
        augment: float = 0.0,
    ) -> None:
        self.images, self.batch_size = images, batch_size
        self.rows = np.arange(len(images)) if rows is None else rows
        parts, resident = images.parts(self.rows), fits(images, torch.device(device))
        self._loaders = [
            Loader(part, batch_size, fold(seed, number), device, flip, own, augment, resident)
            for number, (part, own) in enumerate(parts)
        ]
        self._turns = Turns([len(own) for _, own in parts], seed)

    def batch(self, step: int, rows: np.ndarray | slice = ALL) -> Batch:
        """The batch of a step, on the device; or some rows of it."""
        bucket, before = self._turns.at(step)
        return self._loaders[bucket].batch(before, rows)

    def other_shapes(self, batch: Batch) -> list[Batch]:
        """A batch of as many images from each bucket with other shapes."""
        batches = (loader.batch(0, slice(len(batch))) for loader in self._loaders)
        return [one for one in batches if one.image.shape != batch.image.shape]


AnyLoader: TypeAlias = Loader | BucketLoader
