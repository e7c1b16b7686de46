"""The midpoint rule for the probability-flow ODE: two network calls a step, second order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from unnoise.process.denoiser import Denoiser
from unnoise.samplers import Sampler, Step
from unnoise.seeding import Noise


@dataclass(frozen=True)
class Midpoint(Sampler):
    """x_s = x_t + (s - t) v(x_m, m), m = (t + s) / 2, x_m = x_t + (m - t) v(x_t, t)."""

    order: ClassVar[int] = 2

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, state: Any, noise: Noise, cond: Any = None
    ) -> Step:
        denoised = denoiser(x, t, cond)
        if s == 0:
            return Step(denoised.x_0, denoised, None)
        middle = (t + s) / 2
        halfway = x + float(middle - t) * denoised.velocity
        return Step(x + float(s - t) * denoiser(halfway, middle, cond).velocity, denoised, None)
