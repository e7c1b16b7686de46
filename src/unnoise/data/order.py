"""In what order the images of an epoch come: a function of (seed, epoch), any part of which is found by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

ORDER, SHARDS = 1, 3  # what a draw is for: part of its key
WINDOW = 16_384  # images that are shuffled together where they are read from shards


class Order(Protocol):
    """An order of images for every epoch."""

    def rows(self, epoch: int, start: int, stop: int) -> np.ndarray:
        """(stop - start,) int64: which images come at places `start` to before `stop` of an epoch."""
        ...


class Shuffled:
    """A random permutation of all images."""

    def __init__(self, count: int, seed: int) -> None:
        self._order = lru_cache(maxsize=2)(lambda epoch: draws(seed, epoch, ORDER).permutation(count))

    def rows(self, epoch: int, start: int, stop: int) -> np.ndarray:
        return self._order(epoch)[start:stop]


class Windowed:
    """The shards in a random order, one behind the other, and a random permutation within each window of that row, so
    that images which come together lie near each other on the disk.

    Args:
        shards: the first image of each shard, rising from 0.
        count: of all images.
        seed: what the order follows from.
        window: images that are shuffled together.
    """

    def __init__(self, shards: Sequence[int] | np.ndarray, count: int, seed: int, window: int = WINDOW) -> None:
        self._starts = np.asarray(shards, np.int64)
        self._counts = np.diff(self._starts, append=count)
        self._count, self._seed, self._window = count, seed, window
        self._shards = lru_cache(maxsize=2)(self._draw_shards)
        self._rows = lru_cache(maxsize=4)(self._draw_rows)

    def rows(self, epoch: int, start: int, stop: int) -> np.ndarray:
        stop, parts = min(stop, self._count), []
        for number in range(start // self._window, -(-stop // self._window)):
            begin = number * self._window
            parts.append(self._rows(epoch, number)[max(start - begin, 0) : stop - begin])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _draw_shards(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The shards in order, and the place in the epoch of each one's first image."""
        order = draws(self._seed, epoch, SHARDS).permutation(len(self._starts))
        return order, np.cumsum(self._counts[order]) - self._counts[order]

    def _draw_rows(self, epoch: int, number: int) -> np.ndarray:
        """The images of a window."""
        order, firsts = self._shards(epoch)
        places = np.arange(number * self._window, min((number + 1) * self._window, self._count))
        which = np.searchsorted(firsts, places, side="right") - 1
        rows = self._starts[order[which]] + places - firsts[which]
        return draws(self._seed, epoch, ORDER, number).permutation(rows)


def draws(seed: int, *key: int) -> np.random.Generator:
    """The generator of the draws that belong to a key."""
    return np.random.default_rng([seed % 2**64, *key])
