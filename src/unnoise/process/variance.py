"""The variance of the reverse step p(x_s | x_t)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import per_row, posterior, transition
from unnoise.process.schedule import Schedule


class Variance(ABC):
    """log_var(denoised, schedule, t, s) -> log variance of p(x_s | x_t), broadcastable to x_t."""

    @abstractmethod
    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Beta(Variance):
    """That of q(x_t | x_s)."""

    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        return per_row(transition(schedule, t, s)[1].log(), denoised.x_t)


@dataclass(frozen=True)
class BetaTilde(Variance):
    """That of q(x_s | x_t, x_0)."""

    def log_var(self, denoised: Denoised, schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        return per_row(posterior(schedule, t, s).var.log(), denoised.x_t)


VARIANCES: dict[str, type[Variance]] = {"beta": Beta, "beta-tilde": BetaTilde}
