"""Adding a gradient to the score: what classifier guidance and posterior samplers have in common."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unnoise.process.denoiser import Denoised
from unnoise.process.gaussian import per_row
from unnoise.process.schedule import Schedule


def add_score(denoised: Denoised, gradient: Tensor, schedule: Schedule, t: Tensor) -> Denoised:
    """The denoised image under score + gradient: eps - sigma_t gradient, and x_0 + sigma_t^2 / alpha_t gradient.

    gradient: of a log-density in x_t, of x_t's shape. Where alpha_t = 0 the noisy image says nothing, log-densities
    given it are flat, and nothing is added.
    """
    sigma = schedule.sigma(t)
    eps = denoised.eps - per_row(sigma, gradient) * gradient
    return replace(denoised, x_0=denoised.x_0 + per_row(score_scale(schedule, t), gradient) * gradient, eps=eps)


def score_scale(schedule: Schedule, t: Tensor) -> Tensor:
    """sigma_t^2 / alpha_t, by which gradients in x_t become shifts of x_0; 0 where alpha_t is 0."""
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    return torch.where(alpha > 0, sigma**2 / alpha, 0.0)
