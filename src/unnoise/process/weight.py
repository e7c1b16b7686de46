"""Loss weights. A weight says how much an error of the network's own target counts at each time.

The published weights are written for errors of x_0 or of eps. For a row (a, b) with determinant d = alpha b - sigma a
an error e of the target is an error -sigma e / d of x_0 and alpha e / d of eps, so each becomes a factor on e^2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.process.parametrization import Parametrization
from unnoise.process.schedule_base import Schedule


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


WEIGHTS: dict[str, type[Weight]] = {"flat": Flat, "min-snr": MinSNR, "p2": P2, "edm": EDMWeight}


def x_0_factor(schedule: Schedule, parametrization: Parametrization, t: Tensor) -> Tensor:
    """(sigma / d)^2: turns a squared error of the target into one of x_0."""
    a, b = parametrization.row(schedule, t)
    sigma = schedule.sigma(t)
    return (sigma / (schedule.alpha(t) * b - sigma * a)) ** 2
