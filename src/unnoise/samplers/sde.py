"""Samplers of the reverse SDE: the noise that they draw forgets the errors of earlier steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import posterior_between
from unnoise.process.level import Level, mix
from unnoise.samplers.sampler import Sampler, Step
from unnoise.seeding import Noise


@dataclass(frozen=True)
class SDEDPMSolver(Sampler):
    """x_s = e^-h sigma_s / sigma_t x_t + alpha_s (1 - e^-2h) D + sigma_s sqrt(1 - e^-2h) z: SDE-DPM-Solver++(2M), D the
    denoised image extrapolated from the last two answers to the middle of the step (Lu et al. 2022b, section 5)."""

    order: ClassVar[int] = 0
    best_grids: ClassVar[Mapping[int, str]] = {1: "log-snr"}

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
        here, there = denoiser.schedule.at(t), denoiser.schedule.at(s)
        denoised = denoiser(x, t, cond)
        if there.t == 0:
            return Step(denoised.x_0, denoised, None)
        h = there.half_log_snr - here.half_log_snr
        drawn = -math.expm1(-2 * h)
        middle = _middle(denoised, here, h, state)
        x = mix(math.exp(-h) * there.sigma / here.sigma, x, there.alpha * drawn, middle)
        x = torch.add(x, noise.normal(x), alpha=there.sigma * math.sqrt(drawn))
        return Step(x, denoised, (here, denoised))


def _middle(denoised: Denoised, here: Level, h: float, state: tuple[Level, Denoised] | None) -> Tensor:
    """The denoised image at the middle of a step of h, by the line through this answer and the one before."""
    if state is None:
        return denoised.x_0
    before, answer = state
    return torch.lerp(denoised.x_0, answer.x_0, -0.5 * h / (here.half_log_snr - before.half_log_snr))


@dataclass(frozen=True)
class Langevin(Sampler):
    """Predictor-corrector: an ancestral step with the variance beta-tilde, then `corrections` Langevin steps at the new
    time s, x + delta score + sqrt(2 delta) z (Song et al. 2021, algorithms 2 to 5).

    delta = 2 alpha_{t|s}^2 (snr sigma_s)^2: alpha_{t|s}^2 is the paper's alpha_i = 1 - beta_i, of the step just made,
    and 1 where the variance explodes. The paper measures the score's norm; here it has its expected value, that of
    noise of standard deviation 1 / sigma_s, so that rows and batches are independent.
    steps (1 + corrections) - corrections network calls.
    """

    corrections: int = 1
    snr: float = 0.16

    order: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if self.corrections < 0 or not self.snr > 0:
            raise UserError(f"need corrections >= 0 and snr > 0, got {self.corrections} and {self.snr}")

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
        here, there = denoiser.schedule.at(t), denoiser.schedule.at(s)
        weight_t, weight_0, var = posterior_between(here, there)
        x = torch.add(mix(weight_t, x, weight_0, denoised.x_0), noise.normal(x), alpha=math.sqrt(var))
        delta = 2 * (here.alpha / there.alpha * self.snr * there.sigma) ** 2
        for _ in range(self.corrections):
            x = torch.add(x, denoiser(x, s, cond).eps, alpha=-delta / there.sigma)
            x = torch.add(x, noise.normal(x), alpha=math.sqrt(2 * delta))
        return Step(x, denoised, None)
