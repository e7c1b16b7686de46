"""Which times to train on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.process.schedule_base import Schedule


class TimestepDistribution(ABC):
    """A distribution of times on a schedule, given by the inverse of its cumulative distribution."""

    @abstractmethod
    def quantile(self, schedule: Schedule, u: Tensor) -> Tensor:
        """The times t (B,) float64 below which a fraction u (B,) in [0, 1) of the distribution lies."""


@dataclass(frozen=True)
class OnGrid(TimestepDistribution):
    """Uniform on the native steps 1..T (Ho et al. 2020, algorithm 1)."""

    def quantile(self, schedule: Schedule, u: Tensor) -> Tensor:
        if schedule.grid is None:
            raise UserError(
                f"{type(schedule).__name__} has no native steps; use timesteps 'uniform', or a *-betas schedule"
            )
        return schedule.grid[(u * len(schedule.grid)).long()]


@dataclass(frozen=True)
class Uniform(TimestepDistribution):
    """Uniform on (0, t_max], kept `margin` of its length away from 0."""

    margin: float = 1e-3

    def quantile(self, schedule: Schedule, u: Tensor) -> Tensor:
        return schedule.t_max * (1 - (1 - self.margin) * u)


@dataclass(frozen=True)
class LogNormalSigma(TimestepDistribution):
    """log(sigma / alpha) ~ N(mean, std^2) (Karras et al. 2022, table 1)."""

    mean: float = -1.2
    std: float = 1.2

    def quantile(self, schedule: Schedule, u: Tensor) -> Tensor:
        log_sigma = self.mean + self.std * torch.special.ndtri(_inner(u))
        return schedule.t(-2 * log_sigma).clamp(max=schedule.t_max)


@dataclass(frozen=True)
class LogitNormal(TimestepDistribution):
    """logit(t / t_max) ~ N(mean, std^2) (Esser et al. 2024, equation 19)."""

    mean: float = 0.0
    std: float = 1.0

    def quantile(self, schedule: Schedule, u: Tensor) -> Tensor:
        return schedule.t_max * torch.sigmoid(self.mean + self.std * torch.special.ndtri(_inner(u)))


@dataclass(frozen=True)
class UShaped(TimestepDistribution):
    """p(u) proportional to cosh(steepness (u - 1/2)), u = sigma / (alpha + sigma): most often near both ends, where a
    straight path is hardest to learn (Lee et al. 2024, section 4.1, with steepness 4)."""

    steepness: float = 4.0

    def quantile(self, schedule: Schedule, u: Tensor) -> Tensor:
        inner = _inner(u)
        half = torch.tensor(self.steepness / 2, dtype=torch.float64).sinh()
        place = _inner(0.5 + ((2 * inner - 1) * half).asinh() / self.steepness)
        t = schedule.t(-2 * torch.logit(place)).clamp(max=schedule.t_max)
        return t if schedule.grid is None else t.round().clamp(min=1)


TIMESTEP_DISTRIBUTIONS: dict[str, type[TimestepDistribution]] = {
    "grid": OnGrid,
    "uniform": Uniform,
    "log-normal-sigma": LogNormalSigma,
    "logit-normal": LogitNormal,
    "u-shaped": UShaped,
}


def _inner(u: Tensor) -> Tensor:
    return u.clamp(1e-6, 1 - 1e-6)
