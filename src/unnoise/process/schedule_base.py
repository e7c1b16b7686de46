"""Noise schedules: `x_t = alpha_t x_0 + sigma_t eps`, time running from 0 (clean) to `t_max` (noise)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

import torch
from torch import Tensor

from unnoise.process.level import Level, LevelOf, level

Time = float | Tensor
S = TypeVar("S")


def in_float64(function: Callable[[S, Tensor], Tensor]) -> Callable[[S, Time], Tensor]:
    """A function of time for numbers and tensors: computed in float64 whatever it is given, answered in the floating
    type that it was given (float64 for numbers and integers)."""

    @wraps(function)
    def call(self: S, t: Time) -> Tensor:
        given = t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)
        result = function(self, given.to(torch.float64))
        return result.to(given.dtype) if given.is_floating_point() else result

    return call


class Schedule(ABC):
    """alpha(t), sigma(t), their derivatives in t, log_snr(t) and its inverse, for t in [0, t_max].

    log_snr falls strictly, so it has an inverse and is a clock that all schedules share.
    `grid` holds the native steps 1..T of a discrete-time process, or is None.
    `prior_std` is the standard deviation of p(x_T): 1, or sigma at t_max where the variance explodes.
    A schedule is a frozen dataclass, or a module where it is learned; its hash changes when its values do, because
    what solvers compute of it is remembered. Its functions of time are written for float64 tensors and decorated with
    `in_float64`.
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

    @abstractmethod
    def alpha(self, t: Time, /) -> Tensor:
        """The factor of x_0 in x_t."""

    @abstractmethod
    def sigma(self, t: Time, /) -> Tensor:
        """The standard deviation of the noise in x_t."""

    @abstractmethod
    def d_alpha(self, t: Time, /) -> Tensor:
        """d alpha / d t."""

    @abstractmethod
    def d_sigma(self, t: Time, /) -> Tensor:
        """d sigma / d t."""

    @abstractmethod
    def log_snr(self, t: Time, /) -> Tensor:
        """log(alpha_t^2 / sigma_t^2): +inf at t = 0, falling."""

    @abstractmethod
    def t(self, log_snr: Time, /) -> Tensor:
        """The time at which the log signal-to-noise ratio has the given value."""

    def noise_share(self, t: Tensor, /) -> Tensor:
        """u = sigma / (alpha + sigma): the time of the straight line x_t / (alpha + sigma) = (1 - u) x_0 + u eps, along
        which the flow has the velocity eps - x_0 on every schedule."""
        sigma = self.sigma(t)
        return sigma / (self.alpha(t) + sigma)

    def network_time(self, t: Tensor, /) -> Tensor:
        """What a network is told of t, on a scale of 0 (a clean image) to 1000 (noise)."""
        return t * (1000 / self.t_max)

    def at(self, t: Time) -> Level:
        """The level of one time for a whole batch, computed once: a number, or () on the CPU."""
        return _level(self, float(t))

    def at_rows(self, t: Tensor) -> LevelOf[Tensor]:
        """The levels of a time per row, (B,)."""
        return LevelOf(t, self.alpha(t), self.sigma(t), self.log_snr(t))


@lru_cache(maxsize=8192)
def _level(schedule: Schedule, t: float) -> Level:
    return level(t, float(schedule.alpha(t)), float(schedule.sigma(t)))


class VariancePreserving(Schedule):
    """Schedules with alpha^2 + sigma^2 = 1, given by log alpha(t) and its derivative."""

    @abstractmethod
    def _log_alpha(self, t: Tensor) -> Tensor:
        """log alpha_t, 0 at t = 0 and falling."""

    @abstractmethod
    def _d_log_alpha(self, t: Tensor) -> Tensor:
        """d log alpha / d t."""

    @in_float64
    def alpha(self, t: Tensor) -> Tensor:
        return self._log_alpha(t).exp()

    @in_float64
    def sigma(self, t: Tensor) -> Tensor:
        return (-torch.expm1(2 * self._log_alpha(t))).sqrt()

    @in_float64
    def d_alpha(self, t: Tensor) -> Tensor:
        return self.alpha(t) * self._d_log_alpha(t)

    @in_float64
    def d_sigma(self, t: Tensor) -> Tensor:
        return -(self.alpha(t) ** 2) * self._d_log_alpha(t) / self.sigma(t)

    @in_float64
    def log_snr(self, t: Tensor) -> Tensor:
        log_alpha = self._log_alpha(t)
        return 2 * log_alpha - torch.log(-torch.expm1(2 * log_alpha))
