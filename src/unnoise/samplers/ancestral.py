"""DDPM's ancestral sampler and DDIM."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.place import mix, posterior_at
from unnoise.process.schedule import Schedule
from unnoise.process.variance import VARIANCES, Variance
from unnoise.registry import build, lookup
from unnoise.samplers.knots import Knot, knot
from unnoise.samplers.sampler import Sampler, Step
from unnoise.seeding import Noise


@dataclass(frozen=True)
class Ancestral(Sampler):
    """x_s ~ N(mu-tilde(x_t, x_0), exp(log_var)), and the mean alone at s = 0 (Ho et al. 2020, algorithm 2).

    variance: 'beta-tilde' (that of q(x_s | x_t, x_0)), 'beta' (that of q(x_t | x_s)) or 'learned'.
    """

    steps: int = 1000
    variance: str | Variance = "beta-tilde"

    order: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if isinstance(self.variance, str):
            lookup(VARIANCES, self.variance, "variance")

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, state: Any, noise: Noise, cond: Any = None
    ) -> Step:
        denoised = denoiser(x, t, cond)
        weight_t, weight_0, _ = posterior_at(denoiser.schedule, float(t), float(s))
        mean = mix(weight_t, x, weight_0, denoised.x_0)
        if s == 0:
            return Step(mean, denoised, None)
        return Step(mean + self._std(denoised, denoiser.schedule, t, s) * noise.normal(x), denoised, None)

    def _std(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> float | Tensor:
        if isinstance(self.variance, str) and self.variance in OF_TIME:
            return _std_at(self.variance, schedule, float(t), float(s))
        variance = build(VARIANCES, self.variance, "variance") if isinstance(self.variance, str) else self.variance
        log_var = variance.log_var(denoised, schedule, t, s)
        return (0.5 * log_var).exp().to(denoised.x_t.dtype)


OF_TIME = ("beta", "beta-tilde")
"""Variances that depend on the two times alone."""


@lru_cache(maxsize=8192)
def _std_at(variance: str, schedule: Schedule, t: float, s: float) -> float:
    times, anything = torch.tensor([t, s], dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    log_var = VARIANCES[variance]().log_var(Denoised(anything, anything, anything), schedule, times[0], times[1])
    return math.exp(0.5 * float(log_var))


@dataclass(frozen=True)
class DDIM(Sampler):
    """x_s = alpha_s x_0 + sqrt(sigma_s^2 - c^2) eps + c z, c = eta sqrt(beta-tilde) (Song et al. 2021, equation 12).

    eta = 0 is deterministic; eta = 1 has the marginals of DDPM's ancestral sampler.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta must lie in [0, 1], got {self.eta}")

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, state: Any, noise: Noise, cond: Any = None
    ) -> Step:
        denoised = denoiser(x, t, cond)
        alpha, drawn_std, kept_std = _ddim(knot(denoiser.schedule, t), knot(denoiser.schedule, s), self.eta)
        x = mix(alpha, denoised.x_0, kept_std, denoised.eps)
        if drawn_std > 0:
            x = torch.add(x, noise.normal(x), alpha=drawn_std)
        return Step(x, denoised, None)


def _ddim(here: Knot, there: Knot, eta: float) -> tuple[float, float, float]:
    """alpha_s, the deviation c of the noise drawn and that of the predicted noise kept.

    beta-tilde = sigma_s^2 (1 - (alpha_t sigma_s / (alpha_s sigma_t))^2): the variance of q(x_s | x_t, x_0).
    """
    ratio = here.alpha * there.sigma / (there.alpha * here.sigma)
    drawn = eta * there.sigma * math.sqrt(max(0.0, 1 - ratio**2))
    return there.alpha, drawn, math.sqrt(max(0.0, there.sigma**2 - drawn**2))
