"""Sampling in a few steps, from models that see the end of the path, or of a step, from anywhere on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoiser, towards
from unnoise.process.level import mix
from unnoise.process.schedule_base import Schedule
from unnoise.registry import Many
from unnoise.samplers.grids import times
from unnoise.samplers.sampler import Sampler, Step
from unnoise.seeding import Noise


@dataclass(frozen=True)
class Renoise(Sampler):
    """x_s = alpha_s x_0 + sigma_s z with new noise z, x_0 = f(x_t, t): the multistep sampler of consistency models
    (Song et al. 2023, algorithm 1), exact in any number of steps where f is.

    A named grid is asked for one time more than there are steps, and its least is left out: grids end where almost no
    noise is left, and renoising to there would change nothing.
    """

    steps: Many = 2

    order: ClassVar[int] = 0
    best_grids: ClassVar[Mapping[int, str]] = {1: "karras"}

    def times(self, schedule: Schedule) -> Tensor:
        grid = self.chosen_grid()
        if not isinstance(grid, str):
            return super().times(schedule)
        if self.steps < 1:
            raise UserError(f"need at least 1 step, got {self.steps}")
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
        denoised = denoiser(x, t, cond)
        if s == 0:
            return Step(denoised.x_0, denoised, None)
        there = denoiser.schedule.at(s)
        return Step(mix(there.alpha, denoised.x_0, there.sigma, noise.normal(x)), denoised, None)


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
