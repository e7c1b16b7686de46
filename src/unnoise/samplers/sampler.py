"""The one sampling loop. A sampler adds a step; state goes in and out of it, so multistep methods need no own loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.schedule_base import Schedule
from unnoise.registry import Many
from unnoise.samplers.grids import AUTO, best_grid, times
from unnoise.seeding import Noise, SeededNoise


class Step(NamedTuple):
    """What a step gives: x at the next time, the denoiser's answer at this one, and the sampler's state."""

    x: Tensor
    denoised: Denoised
    state: State


class Point(NamedTuple):
    """One item of a stream: x at time t, and the denoised image it was made from."""

    t: float
    x: Tensor
    denoised: Denoised


@dataclass(frozen=True)
class Sampler(ABC):
    """Frozen and stateless. steps: network evaluations of a first-order method; grid: a name in `GRIDS`, 'auto' for the
    best of them at this number of steps, or the times themselves, `steps` of them, falling to above 0 (what
    `unnoise.samplers.search` finds)."""

    steps: Many = 50
    grid: str | tuple[float, ...] = AUTO

    order: ClassVar[int] = 1
    """The power of the step size with which the error falls where no noise is drawn; 0 for samplers that draw it."""
    best_grids: ClassVar[Mapping[int, str]] = {1: "trailing"}
    """What 'auto' is, from so many steps on."""

    @property
    def draws_noise(self) -> bool:
        """Whether its steps draw noise, so that x_T alone does not say where it ends."""
        return self.order == 0

    def chosen_grid(self) -> str | tuple[float, ...]:
        """The grid, 'auto' resolved."""
        return best_grid(self.best_grids, self.steps) if self.grid == AUTO else self.grid

    def times(self, schedule: Schedule) -> Tensor:
        """The times visited, falling to 0, (steps + 1,) float64."""
        return times(schedule, self.chosen_grid(), self.steps)

    @abstractmethod
    def step(
        self,
        denoiser: Denoiser,
        x: Tensor,
        t: Tensor,
        s: Tensor,
        state: State,
        noise: Noise,
        cond: Conditions | None = None,
    ) -> Step:
        """From x at time t to x at time s < t. t, s: () float64 on the CPU; state: None at the first step."""

    @torch.no_grad()
    def stream(
        self, denoiser: Denoiser, x_T: Tensor, seeds: Sequence[int] | None = None, cond: Conditions | None = None
    ) -> Iterator[Point]:
        """Yields a Point after every step, the last one at t = 0.

        x_T (B, *): a draw of p(x_T). seeds: one per row, for samplers that draw noise (default: 0, 1, ...).
        """
        seeds = range(len(x_T)) if seeds is None else seeds
        if len(seeds) != len(x_T):
            raise UserError(f"need one seed per row: {len(x_T)} rows, {len(seeds)} seeds")
        noise, x, state = _OnDemand(seeds), x_T, None
        for t, s in _strides(self, denoiser.schedule):
            x, denoised, state = self.step(denoiser, x, t, s, state, noise, cond)
            yield Point(float(s), x, denoised)

    def run(
        self, denoiser: Denoiser, x_T: Tensor, seeds: Sequence[int] | None = None, cond: Conditions | None = None
    ) -> Tensor:
        """x_0 (B, *): the last item of `stream`."""
        x = x_T
        for point in self.stream(denoiser, x_T, seeds, cond):
            x = point.x
        return x


@lru_cache(maxsize=16)  # few: a sampler that inpaints holds its image
def _strides(sampler: Sampler, schedule: Schedule) -> tuple[tuple[Tensor, Tensor], ...]:
    """The pairs (t, s) of a run, computed once per (sampler, schedule)."""
    return tuple(pairwise(sampler.times(schedule)))


class _OnDemand:
    """The noise of one call, whose generators are made at the first draw: most samplers draw none."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = seeds

    @cached_property
    def _noise(self) -> SeededNoise:
        return SeededNoise(self.seeds, purpose=1)

    def normal(self, like: Tensor) -> Tensor:
        return self._noise.normal(like)

    def uniform(self, count: int) -> Tensor:
        return self._noise.uniform(count)
