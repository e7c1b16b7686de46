"""How straight the paths of a probability flow are."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.process.denoiser import Denoiser
from unnoise.samplers.ancestral import DDIM
from unnoise.samplers.grids import at_most_native


@torch.no_grad()
def straightness(denoiser: Denoiser, x_T: Tensor, cond: Conditions | None = None, steps: int = 50) -> float:
    """S = integral E[(z_1 - z_0 - dz/du)^2] du per dimension, along the flow's own paths from x_T (B, *): 0 where one
    step is exact (Liu et al. 2023, equation 4).

    z = x_t / (alpha + sigma) at u = sigma / (alpha + sigma) are the coordinates in which x_0 and eps are joined by a
    straight line on every schedule; dz/du = eps - x_0. steps: of DDIM, in equal strides of the schedule's time.
    """
    schedule = denoiser.schedule
    sampler = DDIM(steps=at_most_native(schedule, steps), grid="trailing")
    t = sampler.times(schedule)
    u = schedule.noise_share(t).tolist()
    points = list(sampler.stream(denoiser, x_T, cond=cond))
    chord = (x_T / float(schedule.alpha(t[0]) + schedule.sigma(t[0])) - points[-1].x) / u[0]
    bends = [(chord - (point.denoised.eps - point.denoised.x_0)).square().mean() for point in points]
    return sum(float(bend) * (a - b) / u[0] for bend, a, b in zip(bends, u, u[1:], strict=False))
