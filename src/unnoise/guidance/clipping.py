"""Keeping the denoised image in range."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.process.denoiser import Denoised, Wrapped


@dataclass(frozen=True)
class Clipped(Wrapped):
    """x_0 is clamped to [low, high], and eps follows so that alpha x_0 + sigma eps stays x_t (Ho et al. 2020)."""

    low: float = -1.0
    high: float = 1.0

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        denoised = self.denoiser(x_t, t, cond)
        return denoised.with_x0(denoised.x_0.clamp(self.low, self.high))
