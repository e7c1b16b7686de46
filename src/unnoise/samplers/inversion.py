"""From images to the noise they come from, and between two noises."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from unnoise.process.denoiser import Denoiser
from unnoise.samplers.ancestral import DDIM
from unnoise.samplers.knots import knot


@torch.no_grad()
def invert(
    denoiser: Denoiser, x_0: Tensor, sampler: DDIM | None = None, cond: Any = None, iterations: int = 4
) -> Tensor:
    """x_T (B, *) that the sampler turns into x_0 (B, *): DDIM run upwards (Song et al. 2021, section 4.3).

    A step down is x_s = alpha_s x_0 + sigma_s eps(x_t), so x_t = alpha_t / alpha_s x_s + (sigma_t - alpha_t sigma_s /
    alpha_s) eps(x_t): the x_t on both sides is found by fixed-point iteration, where DDIM's inversion puts eps(x_s) and
    stops. iterations: network calls a step, 1 being DDIM's own inversion but for its first step. sampler: DDIM with
    eta = 0, 100 steps in equal strides from the first native step unless given. Raises ValueError where it draws noise.
    """
    sampler = sampler or DDIM(steps=100, grid="uniform")
    if sampler.eta > 0:
        raise ValueError(f"only a deterministic sampler can be inverted: need eta = 0, got {sampler.eta}")
    if iterations < 1:
        raise ValueError(f"need at least 1 iteration, got {iterations}")
    x = x_0
    for s, t in pairwise(sampler.times(denoiser.schedule).flip(0)):
        x = _up(denoiser, x, s, t, cond, iterations)
    return x


def _up(denoiser: Denoiser, x_s: Tensor, s: Tensor, t: Tensor, cond: Any, iterations: int) -> Tensor:
    low, high = knot(denoiser.schedule, s), knot(denoiser.schedule, t)
    kept = high.alpha / low.alpha
    x_t = kept * x_s
    for _ in range(iterations):
        x_t = kept * x_s + (high.sigma - kept * low.sigma) * denoiser(x_t, t, cond).eps
    return x_t


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """From a (B, *) at share 0 to b at 1 along the great circle of each row: noise between two noises has the norm of
    noise, which a straight line halves (Shoemake 1985). Rows that are parallel are joined by a line."""
    unit_a, unit_b = (v.flatten(1) / v.flatten(1).norm(dim=1, keepdim=True) for v in (a, b))
    angle = (unit_a * unit_b).sum(1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    straight = sine < 1e-6
    safe = torch.where(straight, torch.ones_like(sine), sine)
    of_a = torch.where(straight, torch.full_like(sine, 1 - share), ((1 - share) * angle).sin() / safe)
    of_b = torch.where(straight, torch.full_like(sine, share), (share * angle).sin() / safe)
    return (of_a * a.flatten(1) + of_b * b.flatten(1)).reshape(a.shape)


def interpolate(a: Tensor, b: Tensor, count: int, between: Callable[[Tensor, Tensor, float], Tensor] = slerp) -> Tensor:
    """`count` points from a to b, both included, (count, B, *)."""
    if count < 2:
        raise ValueError(f"need at least the 2 ends, got {count}")
    return torch.stack([between(a, b, i / (count - 1)) for i in range(count)])
