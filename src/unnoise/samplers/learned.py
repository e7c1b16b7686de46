"""The general linear multistep solver, whose times and coefficients are learnt for one model."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import NotApplicable, UserError
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.level import mix
from unnoise.process.schedule_base import Schedule
from unnoise.samplers.grids import times
from unnoise.samplers.sampler import Sampler, Step
from unnoise.seeding import Noise


@dataclass(frozen=True)
class Learned(Sampler):
    """x_s = alpha_s x_0,i + sigma_s eps_i + sum_{j < i} (u_ij (x_0,j - x_0,i) + v_ij (eps_j - eps_i)): a DDIM step
    from the newest of the answers 0, ..., i, and its corrections by all earlier ones.

    Every linear multistep method has this form (`as_learned`): what DPM-Solver++, UniPC, Adams-Bashforth and iPNDM
    derive, `unnoise tune` learns (S4S: Frankel et al. 2025; DyWeight: Zhao et al. 2026). One network call a step.

    Args:
        image_weights: u_10, u_20, u_21, u_30, ..., steps (steps - 1) / 2 numbers; all 0 where none are given.
        noise_weights: v, in the same order.
        network_times: the times that the network is given instead of those of the grid, one a step; empty: the same.
            Learned times may lie between native steps.
    """

    image_weights: tuple[float, ...] = ()
    noise_weights: tuple[float, ...] = ()
    network_times: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        lengths = (len(self.image_weights), len(self.noise_weights))
        count = row_begin(self.steps)
        if any(length not in (0, count) for length in lengths) or len(self.network_times) not in (0, self.steps):
            raise UserError(
                f"a learned sampler of {self.steps} steps has {count} image weights and as many noise weights, and "
                f"{self.steps} network times, got {lengths[0]}, {lengths[1]} and {len(self.network_times)}"
            )

    def times(self, schedule: Schedule) -> Tensor:
        return times(schedule, self.chosen_grid(), self.steps, between=True)

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
        earlier: tuple[Denoised, ...] = state or ()
        index, there = len(earlier), denoiser.schedule.at(s)
        if self.network_times:
            t = torch.tensor(self.network_times[index], dtype=torch.float64)
        denoised = denoiser(x, t, cond)
        x = mix(there.alpha, denoised.x_0, there.sigma, denoised.eps)
        for answer, u, v in zip(earlier, row(self.image_weights, index), row(self.noise_weights, index), strict=True):
            x = torch.add(x, answer.x_0 - denoised.x_0, alpha=u) if u else x
            x = torch.add(x, answer.eps - denoised.eps, alpha=v) if v else x
        return Step(x, denoised, (*earlier, denoised))


def row(weights: tuple[float, ...], index: int) -> tuple[float, ...]:
    """The weights of the answers 0, ..., index - 1 in step `index`."""
    begin = row_begin(index)
    return weights[begin : begin + index] if weights else (0.0,) * index


def row_begin(index: int) -> int:
    """Where the weights of step `index` begin in a lower triangle."""
    return index * (index - 1) // 2


def as_learned(sampler: Sampler, schedule: Schedule) -> Learned:
    """The same solver written as coefficients: the images are the same, rounding apart.

    Each answer of the network is a pair of unit vectors, so the solver's own step, which is linear in them, reads out
    its coefficients. Raises NotApplicable for a solver that draws noise or does not call the network once a step.
    """
    falling = sampler.times(schedule)
    symbols = _Symbols(schedule, sampler.steps)
    image_weights: list[float] = []
    noise_weights: list[float] = []
    state: State = None
    for index, (t, s) in enumerate(pairwise(falling)):
        x, _, state = sampler.step(symbols, symbols.x(index, t), t, s, state, _Refused())
        if symbols.calls != index + 1:
            raise NotApplicable(
                f"{type(sampler).__name__} calls the network more than once a step; give a multistep solver"
            )
        image_weights += x[0, 0, :index].tolist()
        noise_weights += x[0, 1, :index].tolist()
    return Learned(sampler.steps, tuple(falling[:-1].tolist()), tuple(image_weights), tuple(noise_weights))


class _Refused:
    """Noise for a solver that must draw none."""

    def normal(self, like: Tensor) -> Tensor:
        raise NotApplicable("a sampler that draws noise has no coefficients to learn; give a deterministic one")

    def uniform(self, count: int) -> Tensor:
        return self.normal(torch.empty(count))


class _Symbols:
    """A Denoiser whose answer i has unit vectors for its image and its noise: x (1, 2, steps) holds the coefficients of
    all images, and of all noises."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        self.schedule, self.steps, self.calls = schedule, steps, 0

    def x(self, index: int, t: Tensor) -> Tensor:
        """x_t as the mixture of answer `index`."""
        here = self.schedule.at(t)
        return mix(here.alpha, self._unit(0, index), here.sigma, self._unit(1, index))

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        index = min(self.calls, self.steps - 1)
        self.calls += 1
        return Denoised(x_t, self._unit(0, index), self._unit(1, index), schedule=self.schedule, t=t)

    def _unit(self, part: int, index: int) -> Tensor:
        unit = torch.zeros(1, 2, self.steps, dtype=torch.float64)
        unit[0, part, index] = 1
        return unit
