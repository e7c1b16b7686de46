"""DDPM's ancestral sampler and DDIM."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from unnoise.aliases import Conditions, State
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.gaussian import posterior_between
from unnoise.process.level import mix
from unnoise.process.schedule_base import Schedule
from unnoise.process.variance import VARIANCES, Beta, BetaTilde, OfTime, Variance
from unnoise.registry import Many, build, lookup
from unnoise.samplers.sampler import Sampler, Step
from unnoise.seeding import Noise

OF_TIME: dict[Any, OfTime] = {"beta": Beta(), "beta-tilde": BetaTilde()}
"""Variances that are numbers."""


@dataclass(frozen=True)
class Ancestral(Sampler):
    """x_s ~ N(mu-tilde(x_t, x_0), exp(log_var)), and the mean alone at s = 0 (Ho et al. 2020, algorithm 2).

    variance: 'beta-tilde' (that of q(x_s | x_t, x_0)), 'beta' (that of q(x_t | x_s)), 'learned', 'analytic' (the best
    for a run, estimated from its own images: `sampling.analytic`), or a `Variance` itself.
    """

    steps: Many = 1000
    variance: str | Variance = "beta-tilde"

    order: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if isinstance(self.variance, str):
            lookup(VARIANCES, self.variance, "variance")

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
        here, there = denoiser.schedule.at(t), denoiser.schedule.at(s)
        weight_t, weight_0, _ = posterior_between(here, there)
        mean = mix(weight_t, x, weight_0, denoised.x_0)
        if there.t == 0:
            return Step(mean, denoised, None)
        if self.variance in OF_TIME:
            std = math.sqrt(OF_TIME[self.variance].var(here, there))
            return Step(torch.add(mean, noise.normal(x), alpha=std), denoised, None)
        return Step(mean + self._std(denoised, denoiser.schedule, t, s) * noise.normal(x), denoised, None)

    def _std(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        if self.variance == "analytic":
            raise UserError(
                "the analytic variance is estimated for a run: give Ancestral(variance=estimate_gammas(...))"
            )
        variance = build(VARIANCES, self.variance, "variance") if isinstance(self.variance, str) else self.variance
        return (0.5 * variance.log_var(denoised, schedule, t, s)).exp().to(denoised.x_t.dtype)


@dataclass(frozen=True)
class DDIM(Sampler):
    """x_s = alpha_s x_0 + sqrt(sigma_s^2 - c^2) eps + c z (Song et al. 2021, equation 12), with the standard deviation
    c = eta sigma_s sqrt(1 - (alpha_t sigma_s / (alpha_s sigma_t))^2) = eta sqrt(beta-tilde).

    eta = 0 is deterministic; eta = 1 has the marginals of DDPM's ancestral sampler.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta must lie in [0, 1], got {self.eta}")

    @property
    def draws_noise(self) -> bool:
        return self.eta > 0

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
        here, there = denoiser.schedule.at(t), denoiser.schedule.at(s)
        ratio = here.alpha * there.sigma / (there.alpha * here.sigma)
        c = self.eta * there.sigma * math.sqrt(max(0.0, 1 - ratio**2))
        x = mix(there.alpha, denoised.x_0, math.sqrt(max(0.0, there.sigma**2 - c**2)), denoised.eps)
        if c > 0:
            x = torch.add(x, noise.normal(x), alpha=c)
        return Step(x, denoised, None)
