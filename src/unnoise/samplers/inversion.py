"""From images to the noise they come from, and between two noises."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoiser
from unnoise.samplers.ancestral import DDIM


@torch.no_grad()
def invert(
    denoiser: Denoiser, x_0: Tensor, sampler: DDIM | None = None, cond: Conditions | None = None, iterations: int = 4
) -> Tensor:
    """x_T (B, *) that the sampler turns into x_0 (B, *): DDIM run upwards (Song et al. 2021, section 4.3).

    With n^2 = alpha_t^2 + sigma_t^2 and v = (alpha_t eps - sigma_t x_0) / n^2 a step down is the rotation
    x_s = c x_t + d v(x_t), c = (alpha_s alpha_t + sigma_s sigma_t) / n^2, d = sigma_s alpha_t - alpha_s sigma_t, so
    x_t = (x_s - d v(x_t)) / c. The x_t on both sides is found by fixed-point iteration, which contracts at both ends of
    a schedule, where the forms in eps or in x_0 do at one; DDIM's inversion puts v(x_s) and stops.
    iterations: network calls a step. sampler: DDIM with eta = 0, 100 steps in equal strides from the first native step
    unless given. Raises UserError where it draws noise.
    """
    sampler = sampler or DDIM(steps=100, grid="uniform")
    if sampler.eta > 0:
        raise UserError(f"only a deterministic sampler can be inverted: need eta = 0, got {sampler.eta}")
    if iterations < 1:
        raise UserError(f"need at least 1 iteration, got {iterations}")
    x = x_0
    for s, t in pairwise(sampler.times(denoiser.schedule).flip(0)):
        x = _up(denoiser, x, s, t, cond, iterations)
    return x


def _up(denoiser: Denoiser, x_s: Tensor, s: Tensor, t: Tensor, cond: Conditions | None, iterations: int) -> Tensor:
    low, high = denoiser.schedule.at(s), denoiser.schedule.at(t)
    norm = high.alpha**2 + high.sigma**2
    cosine = (low.alpha * high.alpha + low.sigma * high.sigma) / norm
    sine = low.sigma * high.alpha - low.alpha * high.sigma
    x_t = x_s / cosine
    for _ in range(iterations):
        denoised = denoiser(x_t, t, cond)
        v = (high.alpha * denoised.eps - high.sigma * denoised.x_0) / norm
        x_t = (x_s - sine * v) / cosine
    return x_t


def slerp(a: Tensor, b: Tensor, fraction: float) -> Tensor:
    """From a (B, *) at fraction 0 to b at 1 along the great circle of each row (Shoemake 1985): noise between noises
    has the norm of noise, which a straight line halves. Rows that are parallel are joined by a line."""
    unit_a, unit_b = (v.flatten(1) / v.flatten(1).norm(dim=1, keepdim=True) for v in (a, b))
    angle = (unit_a * unit_b).sum(1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    straight = sine < 1e-6
    safe = torch.where(straight, torch.ones_like(sine), sine)
    of_a = torch.where(straight, torch.full_like(sine, 1 - fraction), ((1 - fraction) * angle).sin() / safe)
    of_b = torch.where(straight, torch.full_like(sine, fraction), (fraction * angle).sin() / safe)
    return (of_a * a.flatten(1) + of_b * b.flatten(1)).reshape(a.shape)


def interpolate(a: Tensor, b: Tensor, count: int, between: Callable[[Tensor, Tensor, float], Tensor] = slerp) -> Tensor:
    """`count` points from a to b, both included, (count, B, *)."""
    if count < 2:
        raise UserError(f"need at least the 2 ends, got {count}")
    return torch.stack([between(a, b, i / (count - 1)) for i in range(count)])
