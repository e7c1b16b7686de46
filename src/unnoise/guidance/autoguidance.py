"""Autoguidance: away from a worse version of the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.schedule import Schedule


@dataclass(frozen=True)
class AutoGuidance:
    """x_0 = worse(x_t) + scale (x_0(x_t) - worse(x_t)), and eps likewise (Karras et al. 2024, equation 3).

    worse: a smaller or less trained denoiser of the same data, on the same schedule; it gets the same cond.
    scale 1 is the better denoiser itself, 0 the worse one. Raises UserError for two schedules.
    """

    worse: Denoiser
    scale: float

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        if self.worse.schedule != denoiser.schedule:
            raise UserError(
                f"autoguidance needs two models on one schedule, got {denoiser.schedule} and {self.worse.schedule}"
            )
        return denoiser if self.scale == 1 else _Guided(denoiser, self.worse, self.scale)


@dataclass(frozen=True)
class _Guided:
    denoiser: Denoiser
    worse: Denoiser
    scale: float

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        better, worse = self.denoiser(x_t, t, cond), self.worse(x_t, t, cond)
        x_0 = torch.lerp(worse.x_0, better.x_0, self.scale)
        return replace(better, x_0=x_0, eps=torch.lerp(worse.eps, better.eps, self.scale))
