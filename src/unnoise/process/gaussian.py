"""Closed forms of the Gaussian forward process q and of the Gaussians that reverse it.

With alpha_{t|s} = alpha_t / alpha_s and sigma_{t|s}^2 = sigma_t^2 - alpha_{t|s}^2 sigma_s^2, for s < t:
q(x_t | x_0) = N(alpha_t x_0, sigma_t^2), q(x_t | x_s) = N(alpha_{t|s} x_s, sigma_{t|s}^2), and
q(x_s | x_t, x_0) is Gaussian too (Ho et al. 2020, equations 4 and 6; Kingma et al. 2021, appendix A).
"""

from __future__ import annotations

import math
from typing import Generic, NamedTuple

import torch
from torch import Tensor

from unnoise.host import sent
from unnoise.process.level import LevelOf, Number
from unnoise.process.schedule_base import Schedule, Time


def per_row(coefficient: Tensor, x: Tensor) -> Tensor:
    """A coefficient per row (B,) or for all rows (), shaped to multiply x (B, ...), in x's dtype.

    A single coefficient stays on the CPU, where arithmetic takes it as a number: nothing waits for a device.
    """
    if coefficient.ndim == 0:
        return coefficient.to(x.dtype)
    return sent(coefficient, x.device, x.dtype).reshape(-1, *[1] * (x.ndim - 1))


def perturb(schedule: Schedule, x_0: Tensor, eps: Tensor, t: Time) -> Tensor:
    """x_t = alpha_t x_0 + sigma_t eps, a draw of q(x_t | x_0) when eps is standard normal. t: () or (B,)."""
    return per_row(schedule.alpha(_tensor(t)), x_0) * x_0 + per_row(schedule.sigma(_tensor(t)), x_0) * eps


def transition(schedule: Schedule, t: Time, s: Time) -> tuple[Tensor, Tensor]:
    """alpha_{t|s} and the variance sigma_{t|s}^2 of q(x_t | x_s), s < t; on native steps (t, t - 1) the variance is
    beta_t where the schedule preserves variance."""
    return transition_between(schedule.at_rows(_tensor(t)), schedule.at_rows(_tensor(s)))


def transition_between(here: LevelOf[Number], there: LevelOf[Number]) -> tuple[Number, Number]:
    """`transition` from level t to level s, of numbers or tensors."""
    alpha_ts = here.alpha / there.alpha
    return alpha_ts, here.sigma**2 - alpha_ts**2 * there.sigma**2


class Posterior(NamedTuple, Generic[Number]):
    """q(x_s | x_t, x_0) = N(weight_t x_t + weight_0 x_0, var): Ho et al.'s mu-tilde and beta-tilde."""

    weight_t: Number
    weight_0: Number
    var: Number

    def mean(self: Posterior[Tensor], x_t: Tensor, x_0: Tensor) -> Tensor:
        """mu-tilde of a time per row."""
        return per_row(self.weight_t, x_t) * x_t + per_row(self.weight_0, x_0) * x_0


def posterior(schedule: Schedule, t: Time, s: Time) -> Posterior[Tensor]:
    """The coefficients of q(x_s | x_t, x_0), s < t, of one time or one per row."""
    return posterior_between(schedule.at_rows(_tensor(t)), schedule.at_rows(_tensor(s)))


def posterior_between(here: LevelOf[Number], there: LevelOf[Number]) -> Posterior[Number]:
    """`posterior` from level t to level s, of numbers or tensors.

    weight_t = alpha_{t|s} sigma_s^2 / sigma_t^2, weight_0 = alpha_s sigma_{t|s}^2 / sigma_t^2,
    var = sigma_s^2 sigma_{t|s}^2 / sigma_t^2 (Ho et al. 2020, equation 7, for any pair of times).
    """
    alpha_ts, var_ts = transition_between(here, there)
    var_s, var_t = there.sigma**2, here.sigma**2
    return Posterior(alpha_ts * var_s / var_t, there.alpha * var_ts / var_t, var_s * var_ts / var_t)


def gaussian_log_prob(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log N(x; mean, exp(log_var)), elementwise, in nats."""
    return -0.5 * (math.log(2 * math.pi) + log_var + (x - mean) ** 2 * torch.exp(-log_var))


def gaussian_kl(mean_1: Tensor, log_var_1: Tensor, mean_2: Tensor, log_var_2: Tensor) -> Tensor:
    """KL(N(mean_1, exp(log_var_1)) || N(mean_2, exp(log_var_2))), elementwise, in nats.

    = (log_var_2 - log_var_1 + exp(log_var_1 - log_var_2) + (mean_1 - mean_2)^2 exp(-log_var_2) - 1) / 2.
    """
    ratio = log_var_1 - log_var_2
    return 0.5 * (torch.expm1(ratio) - ratio + (mean_1 - mean_2) ** 2 * torch.exp(-log_var_2))


def discretised_log_prob(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log of the mass that N(mean, exp(log_var)) gives to each pixel's bucket, elementwise, in nats.

    The 256 levels of x lie 2/255 apart in [-1, 1]; a bucket is [x - 1/255, x + 1/255], open at -1 and at 1
    (Ho et al. 2020, equation 13). Differences of cumulative probabilities are taken in log space, on the side of the
    mean where they do not cancel.
    """
    precision = torch.exp(-0.5 * log_var)
    upper = torch.where(x > 0.999, torch.inf, (x - mean + 1 / 255) * precision)
    lower = torch.where(x < -0.999, -torch.inf, (x - mean - 1 / 255) * precision)
    flip = lower + upper > 0
    lower, upper = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    log_upper, log_lower = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower)
    return log_upper + torch.log(-torch.expm1(log_lower - log_upper))


def _tensor(t: Time) -> Tensor:
    return torch.as_tensor(t, dtype=torch.float64)
