"""Schedules of discrete time, given by the variances beta_1..beta_T that the steps add."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.process.schedule_base import VariancePreserving, in_float64
from unnoise.registry import Many


class Betas(VariancePreserving):
    """Discrete time 1..T from `betas`: alpha_bar_t = prod_{i<=t} (1 - beta_i), alpha_t = sqrt(alpha_bar_t).

    Between the native steps log alpha_bar is linear, which keeps every function of a schedule defined for any t.
    (Ho et al. 2020, section 2.)
    """

    T: Many

    @cached_property
    def betas(self) -> Tensor:
        """(T,) float64: betas[t - 1] is the variance that step t adds, q(x_t | x_{t-1})."""
        return self._betas()

    @abstractmethod
    def _betas(self) -> Tensor: ...

    @cached_property
    def alpha_bar(self) -> Tensor:
        """(T,) float64: alpha_bar[t - 1] = alpha_t^2."""
        return (1 - self.betas).cumprod(0)

    @cached_property
    def _log_alphas(self) -> Tensor:
        return torch.cat([torch.zeros(1, dtype=torch.float64), 0.5 * torch.log1p(-self.betas).cumsum(0)])

    @property
    def grid(self) -> Tensor:
        return torch.arange(1, self.T + 1, dtype=torch.float64)

    @property
    def t_max(self) -> float:
        return float(self.T)

    def _log_alpha(self, t: Tensor) -> Tensor:
        left, log_alphas = self._segment(t), self._log_alphas.to(t.device)
        return torch.lerp(log_alphas[left], log_alphas[left + 1], t - left)

    def _d_log_alpha(self, t: Tensor) -> Tensor:
        return self._log_alphas.diff().to(t.device)[self._segment(t)]

    @in_float64
    def t(self, log_snr: Tensor) -> Tensor:
        log_alpha, log_alphas = 0.5 * torch.nn.functional.logsigmoid(log_snr), self._log_alphas.to(log_snr.device)
        right = torch.searchsorted(-log_alphas, -log_alpha.contiguous()).clamp(1, self.T)
        return right - (log_alpha - log_alphas[right]) / (log_alphas[right - 1] - log_alphas[right])

    def _segment(self, t: Tensor) -> Tensor:
        return t.detach().floor().long().clamp(0, self.T - 1)


@dataclass(frozen=True)
class LinearBetas(Betas):
    """Betas from `beta_start` to `beta_end` in equal steps (Ho et al. 2020, section 4).

    The ends are for T = 1000: with another T, scale them by 1000 / T to reach the same noise at x_T.
    """

    T: Many = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    def __post_init__(self) -> None:
        _check_betas(self.T, self.beta_start, self.beta_end)

    def _betas(self) -> Tensor:
        return torch.linspace(self.beta_start, self.beta_end, self.T, dtype=torch.float64)


@dataclass(frozen=True)
class ScaledLinearBetas(Betas):
    """Betas whose square roots rise from that of `beta_start` to that of `beta_end` in equal steps (the code of Rombach
    et al. 2022)."""

    T: Many = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012

    def __post_init__(self) -> None:
        _check_betas(self.T, self.beta_start, self.beta_end)

    def _betas(self) -> Tensor:
        ends = math.sqrt(self.beta_start), math.sqrt(self.beta_end)
        return torch.linspace(*ends, self.T, dtype=torch.float64).square()


@dataclass(frozen=True)
class GeometricBetas(Betas):
    """Betas from `beta_start` to `beta_end` in equal ratios."""

    T: Many = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.05

    def __post_init__(self) -> None:
        _check_betas(self.T, self.beta_start, self.beta_end)

    def _betas(self) -> Tensor:
        ends = math.log(self.beta_start), math.log(self.beta_end)
        return torch.linspace(*ends, self.T, dtype=torch.float64).exp()


@dataclass(frozen=True)
class CosineBetas(Betas):
    """alpha_bar_t = f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) pi / 2), betas capped at `max_beta`
    (Nichol & Dhariwal 2021, equation 17)."""

    T: Many = 1000
    s: float = 0.008
    max_beta: float = 0.999

    def __post_init__(self) -> None:
        _check_betas(self.T, self.max_beta, self.max_beta)

    def _betas(self) -> Tensor:
        t = torch.linspace(0, 1, self.T + 1, dtype=torch.float64)
        f = torch.cos((t + self.s) / (1 + self.s) * math.pi / 2) ** 2
        return (1 - f[1:] / f[:-1]).clamp(max=self.max_beta)


@dataclass(frozen=True)
class GivenBetas(Betas):
    """Any betas, listed: those of a model that somebody else trained. By default those of Ho et al. 2020."""

    values: tuple[float, ...] = tuple(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).tolist())

    def __post_init__(self) -> None:
        for value in self.values:
            _check_betas(len(self.values), value, value)

    @property
    def T(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return len(self.values)

    def _betas(self) -> Tensor:
        return torch.tensor(self.values, dtype=torch.float64)


def _check_betas(steps: int, first: float, last: float) -> None:
    if steps < 1:
        raise UserError(f"need T >= 1 steps, got {steps}")
    if not (0 < first <= last < 1):
        raise UserError(f"need 0 < beta_start <= beta_end < 1, got {first} and {last}")
