"""Noise schedules: `x_t = alpha_t x_0 + sigma_t eps`, time running from 0 (clean) to `t_max` (noise).

A schedule is a pair of functions of time. `log_snr(t) = log(alpha_t^2 / sigma_t^2)` falls strictly, so it has an
inverse and is a clock that all schedules share. Functions take numbers or tensors, compute in float64 whatever they
are given, and answer in the floating type they were given (float64 for numbers and integers).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unnoise.errors import UserError

Time = float | Tensor


class Schedule(ABC):
    """alpha(t), sigma(t), their derivatives in t, log_snr(t) and its inverse, for t in [0, t_max].

    `grid` holds the native steps 1..T of a discrete-time process, or is None.
    `prior_std` is the standard deviation of p(x_T): 1, or sigma at t_max where the variance explodes.
    """

    @property
    def t_max(self) -> float:
        return 1.0

    @property
    def prior_std(self) -> float:
        return 1.0

    @property
    def grid(self) -> Tensor | None:
        return None

    def alpha(self, t: Time) -> Tensor:
        """The factor of x_0 in x_t."""
        return _in_float64(self._alpha, t)

    def sigma(self, t: Time) -> Tensor:
        """The standard deviation of the noise in x_t."""
        return _in_float64(self._sigma, t)

    def d_alpha(self, t: Time) -> Tensor:
        """d alpha / d t."""
        return _in_float64(self._d_alpha, t)

    def d_sigma(self, t: Time) -> Tensor:
        """d sigma / d t."""
        return _in_float64(self._d_sigma, t)

    def log_snr(self, t: Time) -> Tensor:
        """log(alpha_t^2 / sigma_t^2): +inf at t = 0, falling."""
        return _in_float64(self._log_snr, t)

    def t(self, log_snr: Time) -> Tensor:
        """The time at which the log signal-to-noise ratio has the given value."""
        return _in_float64(self._t, log_snr)

    @abstractmethod
    def _alpha(self, t: Tensor) -> Tensor: ...

    @abstractmethod
    def _sigma(self, t: Tensor) -> Tensor: ...

    @abstractmethod
    def _d_alpha(self, t: Tensor) -> Tensor: ...

    @abstractmethod
    def _d_sigma(self, t: Tensor) -> Tensor: ...

    @abstractmethod
    def _log_snr(self, t: Tensor) -> Tensor: ...

    @abstractmethod
    def _t(self, log_snr: Tensor) -> Tensor: ...


class VariancePreserving(Schedule):
    """Schedules with alpha^2 + sigma^2 = 1, given by log alpha(t) and its derivative."""

    @abstractmethod
    def _log_alpha(self, t: Tensor) -> Tensor:
        """log alpha_t, 0 at t = 0 and falling."""

    @abstractmethod
    def _d_log_alpha(self, t: Tensor) -> Tensor:
        """d log alpha / d t."""

    def _alpha(self, t: Tensor) -> Tensor:
        return self._log_alpha(t).exp()

    def _sigma(self, t: Tensor) -> Tensor:
        return (-torch.expm1(2 * self._log_alpha(t))).sqrt()

    def _d_alpha(self, t: Tensor) -> Tensor:
        return self._alpha(t) * self._d_log_alpha(t)

    def _d_sigma(self, t: Tensor) -> Tensor:
        return -(self._alpha(t) ** 2) * self._d_log_alpha(t) / self._sigma(t)

    def _log_snr(self, t: Tensor) -> Tensor:
        log_alpha = self._log_alpha(t)
        return 2 * log_alpha - torch.log(-torch.expm1(2 * log_alpha))


class Betas(VariancePreserving):
    """Discrete time 1..T from `betas`: alpha_bar_t = prod_{i<=t} (1 - beta_i), alpha_t = sqrt(alpha_bar_t).

    Between the native steps log alpha_bar is linear, which keeps every function of a schedule defined for any t.
    (Ho et al. 2020, section 2.)
    """

    T: int

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

    def _t(self, log_snr: Tensor) -> Tensor:
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

    T: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    def __post_init__(self) -> None:
        _check_betas(self.T, self.beta_start, self.beta_end)

    def _betas(self) -> Tensor:
        return torch.linspace(self.beta_start, self.beta_end, self.T, dtype=torch.float64)


@dataclass(frozen=True)
class GeometricBetas(Betas):
    """Betas from `beta_start` to `beta_end` in equal ratios."""

    T: int = 1000
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

    T: int = 1000
    s: float = 0.008
    max_beta: float = 0.999

    def __post_init__(self) -> None:
        _check_betas(self.T, self.max_beta, self.max_beta)

    def _betas(self) -> Tensor:
        t = torch.linspace(0, 1, self.T + 1, dtype=torch.float64)
        f = torch.cos((t + self.s) / (1 + self.s) * math.pi / 2) ** 2
        return (1 - f[1:] / f[:-1]).clamp(max=self.max_beta)


@dataclass(frozen=True)
class Cosine(Schedule):
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2), t in [0, 1]."""

    def _alpha(self, t: Tensor) -> Tensor:
        return torch.cos(t * math.pi / 2)

    def _sigma(self, t: Tensor) -> Tensor:
        return torch.sin(t * math.pi / 2)

    def _d_alpha(self, t: Tensor) -> Tensor:
        return -math.pi / 2 * self._sigma(t)

    def _d_sigma(self, t: Tensor) -> Tensor:
        return math.pi / 2 * self._alpha(t)

    def _log_snr(self, t: Tensor) -> Tensor:
        return -2 * torch.log(torch.tan(t * math.pi / 2))

    def _t(self, log_snr: Tensor) -> Tensor:
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

    def _t(self, log_snr: Tensor) -> Tensor:
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

    def _alpha(self, t: Tensor) -> Tensor:
        return 1 + 0 * t  # a constant that autograd can differentiate

    def _sigma(self, t: Tensor) -> Tensor:
        return t.clone()

    def _d_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def _d_sigma(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def _log_snr(self, t: Tensor) -> Tensor:
        return -2 * torch.log(t)

    def _t(self, log_snr: Tensor) -> Tensor:
        return torch.exp(-log_snr / 2)


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """alpha = 1 - t, sigma = t, t in [0, 1]: straight lines to noise (Liu et al. 2022; Lipman et al. 2022)."""

    def _alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def _sigma(self, t: Tensor) -> Tensor:
        return t.clone()

    def _d_alpha(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def _d_sigma(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def _log_snr(self, t: Tensor) -> Tensor:
        return 2 * (torch.log1p(-t) - torch.log(t))

    def _t(self, log_snr: Tensor) -> Tensor:
        return torch.sigmoid(-log_snr / 2)


Straight = RectifiedFlow
"""The name of earlier versions."""

SCHEDULES: dict[str, type[Schedule]] = {
    "linear-betas": LinearBetas,
    "cosine-betas": CosineBetas,
    "geometric-betas": GeometricBetas,
    "cosine": Cosine,
    "vp": VP,
    "ve": VE,
    "rectified-flow": RectifiedFlow,
    "straight": RectifiedFlow,
}


def _in_float64(function: Callable[[Tensor], Tensor], t: Time) -> Tensor:
    given = t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)
    result = function(given.to(torch.float64))
    return result.to(given.dtype) if given.is_floating_point() else result


def _check_betas(steps: int, first: float, last: float) -> None:
    if steps < 1:
        raise UserError(f"need T >= 1 steps, got {steps}")
    if not (0 < first <= last < 1):
        raise UserError(f"need 0 < beta_start <= beta_end < 1, got {first} and {last}")
