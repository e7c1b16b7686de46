"""Loss weights. A weight says how much an error of the network's own target counts at each time.

The published weights are written for errors of x_0 or of eps. For a row (a, b) with determinant d = alpha b - sigma a
an error e of the target is an error -sigma e / d of x_0 and alpha e / d of eps, so each becomes a factor on e^2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import posterior
from unnoise.process.parametrization import Parametrization
from unnoise.process.schedule_base import Schedule
from unnoise.process.variance import Beta, BetaTilde, OfTime
from unnoise.registry import lookup

FIXED: dict[str, OfTime] = {"beta": Beta(), "beta-tilde": BetaTilde()}
"""Variances of the reverse step that no network answers."""


class Weight(ABC):
    """(schedule, parametrization, t (B,)) -> the factor (B,) on the squared error of the target."""

    @abstractmethod
    def __call__(self, schedule: Schedule, parametrization: Parametrization, t: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Flat(Weight):
    """1: with Eps this is L_simple (Ho et al. 2020, equation 14)."""

    def __call__(self, schedule: Schedule, parametrization: Parametrization, t: Tensor) -> Tensor:
        return torch.ones_like(t)


@dataclass(frozen=True)
class MinSNR(Weight):
    """min(SNR, gamma) on errors of x_0 (Hang et al. 2023, section 3.4)."""

    gamma: float = 5.0

    def __call__(self, schedule: Schedule, parametrization: Parametrization, t: Tensor) -> Tensor:
        snr = schedule.log_snr(t).exp()
        return snr.clamp(max=self.gamma) * x_0_factor(schedule, parametrization, t)


@dataclass(frozen=True)
class P2(Weight):
    """1 / (k + SNR)^gamma on errors of eps (Choi et al. 2022, equation 8)."""

    k: float = 1.0
    gamma: float = 1.0

    def __call__(self, schedule: Schedule, parametrization: Parametrization, t: Tensor) -> Tensor:
        snr = schedule.log_snr(t).exp()
        return (self.k + snr) ** -self.gamma * snr * x_0_factor(schedule, parametrization, t)


@dataclass(frozen=True)
class EDMWeight(Weight):
    """(sigma^2 + sigma_data^2) / (sigma sigma_data)^2 on errors of x_0, sigma = sigma_t / alpha_t
    (Karras et al. 2022, table 1)."""

    sigma_data: float = 0.5

    def __call__(self, schedule: Schedule, parametrization: Parametrization, t: Tensor) -> Tensor:
        snr = schedule.log_snr(t).exp()
        return (self.sigma_data**-2 + snr) * x_0_factor(schedule, parametrization, t)


@dataclass(frozen=True)
class BoundWeight(Weight):
    """lambda_t, the weights of the exact bound for a fixed variance, times the number of steps: the mean over the times
    is the sum over t of the terms' squared errors, in nats per dimension.

    On native steps lambda_t = weight_0^2 / (2 var_t) on errors of x_0, weight_0 that of q(x_{t-1} | x_t, x_0): with Eps
    beta_t^2 / (2 sigma_t^2 (1 - beta_t) (1 - alpha_bar_t)) (Ho et al. 2020, equation 12). With 'beta-tilde' this is all
    of the KL; with 'beta' a constant is left out. At t = 1 it is the Gaussian decoder with the variance's own value at
    s = 0. In continuous time it is the limit of ever more steps, -1/2 d log-SNR / dt on errors of eps (Kingma et al.
    2021, equation 18).

    Args:
        variance: of p(x_{t-1} | x_t): 'beta' or 'beta-tilde'.
    """

    variance: str = "beta-tilde"

    def __post_init__(self) -> None:
        lookup(FIXED, self.variance, "variance of the weight 'bound'")

    def __call__(self, schedule: Schedule, parametrization: Parametrization, t: Tensor) -> Tensor:
        of_x_0 = x_0_factor(schedule, parametrization, t)
        if schedule.grid is None:
            return schedule.t_max * half_gamma_rate(schedule, t) * schedule.log_snr(t).exp() * of_x_0
        log_var = FIXED[self.variance].log_var(Denoised(t, t, t), schedule, t, t - 1)
        return len(schedule.grid) * 0.5 * posterior(schedule, t, t - 1).weight_0 ** 2 * (-log_var).exp() * of_x_0


WEIGHTS: dict[str, type[Weight]] = {
    "flat": Flat,
    "min-snr": MinSNR,
    "p2": P2,
    "edm": EDMWeight,
    "bound": BoundWeight,
}


def half_gamma_rate(schedule: Schedule, t: Tensor) -> Tensor:
    """-1/2 d log-SNR / dt = sigma' / sigma - alpha' / alpha: what a squared error of eps costs per time, in nats."""
    return schedule.d_sigma(t) / schedule.sigma(t) - schedule.d_alpha(t) / schedule.alpha(t)


def x_0_factor(schedule: Schedule, parametrization: Parametrization, t: Tensor) -> Tensor:
    """(sigma / d)^2: turns a squared error of the target into one of x_0."""
    a, b = parametrization.row(schedule, t)
    sigma = schedule.sigma(t)
    return (sigma / (schedule.alpha(t) * b - sigma * a)) ** 2
