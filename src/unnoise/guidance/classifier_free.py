"""Classifier-free guidance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.process.denoiser import Denoised, Denoiser, Wrapped
from unnoise.process.gaussian import per_row


@dataclass(frozen=True)
class ClassifierFree:
    """eps = eps(x_t) + scale (eps(x_t | cond) - eps(x_t)), and x_0 likewise (Ho & Salimans 2022, equation 6 with
    scale = 1 + w). scale 1 is the conditional model itself, 0 the unconditional one; a number, or one for each row
    (B,).

    Called on a Denoiser it gives the guided Denoiser.
    """

    scale: float | Tensor

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        return denoiser if not isinstance(self.scale, Tensor) and self.scale == 1 else _Guided(denoiser, self.scale)


@dataclass(frozen=True)
class _Guided(Wrapped):
    scale: float | Tensor

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        with_cond, without = self.denoiser(x_t, t, cond), self.denoiser(x_t, t, None)
        scale = per_row(self.scale, x_t) if isinstance(self.scale, Tensor) else self.scale
        x_0 = torch.lerp(without.x_0, with_cond.x_0, scale)
        return replace(with_cond, x_0=x_0, eps=torch.lerp(without.eps, with_cond.eps, scale))
