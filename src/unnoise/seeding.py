"""Random draws that are pure functions of their keys.

Nothing in unnoise reads a global random state. A draw is named by integers (seed, purpose, step), so a resumed run
needs no saved generator, and image i of a call depends on seed i alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unnoise.host import sent


def fold(*keys: int) -> int:
    """One 63-bit seed from several integer keys (numpy's SeedSequence hash: near keys give unrelated seeds)."""
    state = np.random.SeedSequence([key % 2**64 for key in keys]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def generator(*keys: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator seeded by `fold(*keys)`."""
    return torch.Generator(device).manual_seed(fold(*keys))


class Noise(Protocol):
    """A source of draws, handed to whatever is random."""

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers of `like`'s shape, dtype and device."""
        ...

    def uniform(self, count: int) -> Tensor:
        """`count` float64 numbers in [0, 1), on the CPU."""
        ...


class StepNoise:
    """The draws of one training step, a function of its keys; normals are drawn on the device that uses them."""

    def __init__(self, *keys: int) -> None:
        self.keys = keys
        self._generators: dict[str, torch.Generator] = {}

    def normal(self, like: Tensor) -> Tensor:
        draws = self._generator(str(like.device))
        return torch.randn(like.shape, generator=draws, dtype=like.dtype, device=like.device)

    def uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self._generator("uniform"), dtype=torch.float64)

    def _generator(self, name: str) -> torch.Generator:
        if name not in self._generators:
            on_cpu = name in ("cpu", "uniform")
            purpose = int(name == "uniform")
            self._generators[name] = generator(*self.keys, purpose, device="cpu" if on_cpu else name)
        return self._generators[name]


class RowNoise:
    """The draws of rows `start` to `stop` of a batch of `total`: those that they have when the whole batch is drawn, so
    that a row's noise is the same however the batch is divided."""

    def __init__(self, whole: Noise, start: int, stop: int, total: int) -> None:
        self.whole, self.start, self.stop, self.total = whole, start, stop, total

    def normal(self, like: Tensor) -> Tensor:
        drawn = self.whole.normal(like.new_empty(()).expand(self.total, *like.shape[1:]))
        return drawn[self.start : self.stop].clone()  # lets go of the rest

    def uniform(self, count: int) -> Tensor:
        each = count // (self.stop - self.start)
        return self.whole.uniform(each * self.total)[each * self.start : each * self.stop]


def of_batch(noise: Noise, count: int) -> tuple[Noise, range, int]:
    """What `count` rows with these draws are part of: the draws of the batch, their places in it, and its size."""
    if not isinstance(noise, RowNoise):
        return noise, range(count), count
    return noise.whole, range(noise.start, noise.stop), noise.total


class SeededNoise:
    """The draws of one sampling call: row i comes from seed i alone, whatever the batch, and from the CPU's generator
    on every device, so that one seed is one picture everywhere."""

    def __init__(self, seeds: Iterable[int], purpose: int = 0) -> None:
        self.generators = [generator(seed, purpose) for seed in seeds]

    def normal(self, like: Tensor) -> Tensor:
        assert len(like) == len(self.generators), "one seed per row"
        rows = [torch.randn(like.shape[1:], generator=row, dtype=like.dtype) for row in self.generators]
        return sent(torch.stack(rows), like.device) if rows else torch.empty_like(like)

    def uniform(self, count: int) -> Tensor:
        assert count == len(self.generators), "one seed per row"
        rows = [torch.rand(1, generator=row, dtype=torch.float64) for row in self.generators]
        return torch.cat(rows) if rows else torch.empty(0, dtype=torch.float64)
