"""Guidance at some noise levels only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser, Wrapped

Guidance = Callable[[Denoiser], Denoiser]


@dataclass(frozen=True)
class Interval:
    """Guidance while low < sigma_t / alpha_t <= high, the plain denoiser elsewhere (Kynkäänniemi et al. 2024).

    guidance: any map of denoisers, for example a ClassifierFree. low, high: noise levels, comparable between schedules.
    Raises UserError unless 0 <= low < high.
    """

    guidance: Guidance
    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high:
            raise UserError(f"need noise levels 0 <= low < high, got {self.low} and {self.high}")

    @property
    def condition_names(self) -> tuple[str, ...]:
        """The conditions that the guidance itself takes."""
        return getattr(self.guidance, "condition_names", ())

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        guided = self.guidance(denoiser)
        return denoiser if guided is denoiser else _Limited(denoiser, guided, self.low, self.high)


@dataclass(frozen=True)
class _Limited(Wrapped):
    guided: Denoiser
    low: float
    high: float

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        level = torch.exp(-self.schedule.log_snr(t) / 2)
        inside = (self.low < level) & (level <= self.high)
        if inside.all():
            return self.guided(x_t, t, cond)
        if not inside.any():
            return self.denoiser(x_t, t, cond)
        return _choose(inside, self.guided(x_t, t, cond), self.denoiser(x_t, t, cond))


def _choose(rows: Tensor, chosen: Denoised, other: Denoised) -> Denoised:
    """The first for the rows (B,) that are True, the second for the others."""
    rows = rows.to(chosen.x_0.device).reshape(-1, *[1] * (chosen.x_0.ndim - 1))
    x_0, eps = torch.where(rows, chosen.x_0, other.x_0), torch.where(rows, chosen.eps, other.eps)
    return replace(other, x_0=x_0, eps=eps)
