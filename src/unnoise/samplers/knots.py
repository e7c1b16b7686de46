"""Where a time stands on its schedule, as Python numbers: what a solver's coefficients are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from unnoise.process.denoiser import Denoised
from unnoise.process.place import alpha_sigma
from unnoise.process.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Knot:
    """alpha and sigma at one time, and half_log_snr = log(alpha / sigma), infinite where either is 0."""

    t: float
    alpha: float
    sigma: float
    half_log_snr: float


def knot(schedule: Schedule, t: Tensor) -> Knot:
    """The knot of time t, () on the CPU."""
    return _knot(schedule, float(t))


@lru_cache(maxsize=8192)
def _knot(schedule: Schedule, t: float) -> Knot:
    alpha, sigma = alpha_sigma(schedule, t)
    return Knot(t, alpha, sigma, _log(alpha) - _log(sigma))


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def along_chord(x: Tensor, here: Knot, there: Knot, said: Sequence[Denoised], weights: Sequence[float]) -> Tensor:
    """x_s = x_t + (alpha_s - alpha_t) sum_i w_i x_0,i + (sigma_s - sigma_t) sum_i w_i eps_i.

    The probability flow leads from t to s along any path in the (alpha, sigma) plane. On the straight one
    d x = x_0 d alpha + eps d sigma has constant coefficients, so a quadrature rule for x_0 and eps is a solver: on the
    schedule VE it steps in sigma (Karras et al. 2022), on RectifiedFlow in t (Lipman et al.
    2022), and nothing is singular.
    """
    d_alpha, d_sigma = there.alpha - here.alpha, there.sigma - here.sigma
    for denoised, weight in zip(said, weights, strict=True):
        x = torch.add(x, denoised.x_0, alpha=weight * d_alpha)
        x = torch.add(x, denoised.eps, alpha=weight * d_sigma)
    return x


def place_on_chord(past: Knot, here: Knot, there: Knot) -> float:
    """The tau at which the line through `here` (tau = 0) and `there` (1) has the alpha / sigma of `past`."""
    d_alpha, d_sigma = there.alpha - here.alpha, there.sigma - here.sigma
    return (past.sigma * here.alpha - here.sigma * past.alpha) / (past.alpha * d_sigma - past.sigma * d_alpha)
