"""Autoguidance: away from a smaller or less trained version of the model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoised, Denoiser, Wrapped


@dataclass(frozen=True)
class AutoGuidance:
    """x_0 = D_1(x_t) + scale (D_0(x_t) - D_1(x_t)), and eps likewise (Karras et al. 2024, equation 3), D_0 the main
    model and D_1 the guiding model. scale 1 is the main model itself, 0 the guiding one.

    Args:
        guiding_model: a smaller or less trained denoiser of the same data, on the same schedule; it gets the same cond.
        scale: the paper's w.

    Raises:
        UserError: when called on a denoiser of another schedule.
    """

    guiding_model: Denoiser
    scale: float

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        other = self.guiding_model.schedule
        if other != denoiser.schedule:
            raise UserError(f"autoguidance needs two models on one schedule, got {denoiser.schedule} and {other}")
        return denoiser if self.scale == 1 else _Guided(denoiser, self.guiding_model, self.scale)


@dataclass(frozen=True)
class _Guided(Wrapped):
    guiding_model: Denoiser
    scale: float

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        main, guiding = self.denoiser(x_t, t, cond), self.guiding_model(x_t, t, cond)
        x_0 = torch.lerp(guiding.x_0, main.x_0, self.scale)
        return replace(main, x_0=x_0, eps=torch.lerp(guiding.eps, main.eps, self.scale))
