"""Schedules of continuous time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.process.schedule_base import Schedule, VariancePreserving, in_float64


@dataclass(frozen=True)
class Cosine(Schedule):
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2), t in [0, 1]."""

    @in_float64
    def alpha(self, t: Tensor) -> Tensor:
        return torch.cos(t * math.pi / 2)

    @in_float64
    def sigma(self, t: Tensor) -> Tensor:
        return torch.sin(t * math.pi / 2)

    @in_float64
    def d_alpha(self, t: Tensor) -> Tensor:
        return -math.pi / 2 * self.sigma(t)

    @in_float64
    def d_sigma(self, t: Tensor) -> Tensor:
        return math.pi / 2 * self.alpha(t)

    @in_float64
    def log_snr(self, t: Tensor) -> Tensor:
        return -2 * torch.log(torch.tan(t * math.pi / 2))

    @in_float64
    def t(self, log_snr: Tensor) -> Tensor:
        return 2 / math.pi * torch.atan(torch.exp(-log_snr / 2))


@dataclass(frozen=True)
class VP(VariancePreserving):
    """The continuous limit of linear betas: log alpha = -(beta_max - beta_min) t^2 / 4 - beta_min t / 2, t in [0, 1]
    (Song et al. 2021, equation 33)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max:
            raise UserError(f"need 0 < beta_min <= beta_max, got {self.beta_min} and {self.beta_max}")

    def _log_alpha(self, t: Tensor) -> Tensor:
        return -0.25 * (self.beta_max - self.beta_min) * t**2 - 0.5 * self.beta_min * t

    def _d_log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * (self.beta_max - self.beta_min) * t - 0.5 * self.beta_min

    @in_float64
    def t(self, log_snr: Tensor) -> Tensor:
        # The root of (b1 - b0) t^2 / 4 + b0 t / 2 = softplus(-log_snr) / 2, in the form that does not cancel near 0.
        rise = torch.nn.functional.softplus(-log_snr)
        return 2 * rise / (self.beta_min + torch.sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * rise))


@dataclass(frozen=True)
class VE(Schedule):
    """alpha = 1, sigma = t, t in [0, sigma_max] (Karras et al. 2022: time is the noise level)."""

    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        if not self.sigma_max > 0:
            raise UserError(f"need sigma_max > 0, got {self.sigma_max}")

    @property
    def t_max(self) -> float:
        return self.sigma_max

    @property
    def prior_std(self) -> float:
        return self.sigma_max

    @in_float64
    def alpha(self, t: Tensor) -> Tensor:
        return 1 + 0 * t  # a constant that autograd can differentiate

    @in_float64
    def sigma(self, t: Tensor) -> Tensor:
        return t.clone()

    @in_float64
    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    @in_float64
    def d_sigma(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    @in_float64
    def log_snr(self, t: Tensor) -> Tensor:
        return -2 * torch.log(t)

    @in_float64
    def t(self, log_snr: Tensor) -> Tensor:
        return torch.exp(-log_snr / 2)


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """alpha = 1 - t, sigma = t, t in [0, 1]: straight lines to noise (Liu et al. 2022; Lipman et al. 2022)."""

    @in_float64
    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    @in_float64
    def sigma(self, t: Tensor) -> Tensor:
        return t.clone()

    @in_float64
    def d_alpha(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    @in_float64
    def d_sigma(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    @in_float64
    def log_snr(self, t: Tensor) -> Tensor:
        return 2 * (torch.log1p(-t) - torch.log(t))

    @in_float64
    def t(self, log_snr: Tensor) -> Tensor:
        return torch.sigmoid(-log_snr / 2)
