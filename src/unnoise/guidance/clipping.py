"""Keeping the denoised image in range."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.process.denoiser import Denoised, Denoiser, Wrapped, towards


@dataclass(frozen=True)
class Clipped(Wrapped):
    """x_0 is clamped to [low, high], and eps follows so that alpha x_0 + sigma eps stays x_t (Ho et al. 2020).

    Of a flow map whose step ends before 0 nothing is clamped: that x_0 only says where the step ends, and is no image.
    """

    low: float = -1.0
    high: float = 1.0

    def towards(self, s: Tensor) -> Denoiser:
        told = towards(self.denoiser, s)
        return told if told is not self.denoiser and bool((s > 0).any()) else replace(self, denoiser=told)

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        denoised = self.denoiser(x_t, t, cond)
        return denoised.with_x0(denoised.x_0.clamp(self.low, self.high))
