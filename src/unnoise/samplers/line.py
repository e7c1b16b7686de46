"""The straight line between two levels in the (alpha, sigma) plane, along which solvers step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unnoise.process.denoiser import Denoised
from unnoise.process.level import Level


def along_line(x: Tensor, here: Level, there: Level, answers: Sequence[Denoised], weights: Sequence[float]) -> Tensor:
    """x_s = x_t + (alpha_s - alpha_t) sum_i w_i x_0,i + (sigma_s - sigma_t) sum_i w_i eps_i.

    The probability flow leads from t to s along any path in the (alpha, sigma) plane. On the straight one
    d x = x_0 d alpha + eps d sigma has constant coefficients, so a quadrature rule for x_0 and eps is a solver: on the
    schedule VE it steps in sigma (Karras et al. 2022), on RectifiedFlow in t (Lipman et al. 2022), and nothing
    is singular.
    """
    d_alpha, d_sigma = there.alpha - here.alpha, there.sigma - here.sigma
    for denoised, weight in zip(answers, weights, strict=True):
        x = torch.add(x, denoised.x_0, alpha=weight * d_alpha)
        x = torch.add(x, denoised.eps, alpha=weight * d_sigma)
    return x


def position_on_line(past: Level, here: Level, there: Level) -> float:
    """The tau at which the line through `here` (tau = 0) and `there` (1) has the alpha / sigma of `past`."""
    d_alpha, d_sigma = there.alpha - here.alpha, there.sigma - here.sigma
    return (past.sigma * here.alpha - here.sigma * past.alpha) / (past.alpha * d_sigma - past.sigma * d_alpha)
