"""Sampling in a few steps, from models that see the end of the path, or of a step, from anywhere on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoiser, towards
from unnoise.process.level import mix
from unnoise.process.schedule_base import Schedule
from unnoise.registry import Bounds, Many
from unnoise.samplers.grids import AUTO, from_share, times
from unnoise.samplers.sampler import Sampler, Step
from unnoise.seeding import Noise


@dataclass(frozen=True)
class Renoise(Sampler):
    """x_s = alpha_s x_0 + sigma_s z with new noise z, x_0 = f(x_t, t): the multistep sampler of consistency models
    (Song et al. 2023, algorithm 1), exact in any number of steps where f is.

    A named grid is asked for one time more than there are steps, and its least is left out: grids end where almost no
    noise is left, and renoising to there would change nothing.

    start: below 1 the first call is told that atan(sigma / alpha) is this share of a right angle, and later calls go on
    from there in equal strides of that angle. What the first one sees is noise alone all the same, of the deviation
    that images of deviation 1 would have there. Told that nothing is left of the image a network hardly looks at x_T;
    told of less noise it takes the noise for an image, from which a student of one call begins sooner (Luo et al. 2023,
    Diff-Instruct, and Zhou et al. 2024, score identity distillation, begin at sigma = 2.5 of 80).
    """

    steps: Many = 2
    start: Annotated[float, Bounds(above=0, most=1)] = 1.0

    order: ClassVar[int] = 0
    best_grids: ClassVar[Mapping[int, str]] = {1: "karras"}

    @property
    def draws_noise(self) -> bool:
        return self.steps > 1

    def times(self, schedule: Schedule) -> Tensor:
        if self.start < 1 and self.grid != AUTO:
            raise UserError(f"renoise takes its times from start={self.start:g} or from a grid, and was given both")
        grid = self.chosen_grid()
        if not isinstance(grid, str):
            return super().times(schedule)
        if self.steps < 1:
            raise UserError(f"need at least 1 step, got {self.steps}")
        if self.start < 1:
            return from_share(schedule, self.start, self.steps)
        falling = times(schedule, grid, self.steps + 1)
        return torch.cat([falling[:-2], falling[-1:]])

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
        schedule = denoiser.schedule
        begun = x if state is not None or self.start == 1 else noise_told(schedule, t) / schedule.prior_std * x
        denoised = denoiser(begun, t, cond)
        if s == 0:
            return Step(denoised.x_0, denoised, denoised)
        there = schedule.at(s)
        return Step(mix(there.alpha, denoised.x_0, there.sigma, noise.normal(x)), denoised, denoised)


def noise_told(schedule: Schedule, t: Tensor) -> float:
    """The standard deviation of noise alone that a network is told to be x_t: that of x_t where images have 1."""
    here = schedule.at(t)
    return math.hypot(here.alpha, here.sigma)


@dataclass(frozen=True)
class FlowMap(Sampler):
    """x_s = alpha_s x_0 + sigma_s eps with the model's answer for the step from t to s, which is where the flow leads
    in any number of steps where the model is exact (Geng et al. 2025, algorithm 2; Boffi et al. 2024).

    A model that cannot be told of s answers for s = t, which makes this DDIM.
    """

    steps: Many = 1

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
        denoised, there = towards(denoiser, s)(x, t, cond), denoiser.schedule.at(s)
        return Step(mix(there.alpha, denoised.x_0, there.sigma, denoised.eps), denoised, None)
