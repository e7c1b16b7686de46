"""Formulas of the course that no model needs, for its figures and for `docs/theory.md`."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from unnoise.objectives.adversarial import cross_entropy
from unnoise.process.schedule import Schedule, Time

Logit = Callable[[Tensor], Tensor]

REACH, POINTS = 12.0, 20_001
"""The line is integrated over so many standard deviations around both means."""


def optimal_logit(data: Normal, samples: Normal) -> Logit:
    """The best discriminator's logit, log p_data(x) - log p_samples(x).

    D* = p_data / (p_data + p_samples) is its sigmoid (Goodfellow et al. 2014, proposition 1).
    """
    return lambda x: data.log_prob(x) - samples.log_prob(x)


def game_value(data: Normal, samples: Normal, logit: Logit) -> float:
    """E_data[log D] + E_samples[log(1 - D)] on the line, D = sigmoid(logit), by the trapezoid rule.

    At the optimal logit it is 2 JS(data, samples) - 2 log 2 (Goodfellow et al. 2014, theorem 1).
    """
    ends = [float(law.mean + side * REACH * law.stddev) for law in (data, samples) for side in (-1, 1)]
    x = torch.linspace(min(ends), max(ends), POINTS, dtype=torch.float64)
    given, sure = logit(x), torch.full_like(x, math.inf)  # a logit so sure that its term is 0
    data_term = data.log_prob(x).exp() * cross_entropy(given, -sure)
    sample_term = samples.log_prob(x).exp() * cross_entropy(sure, given)
    return -float(torch.trapezoid(data_term + sample_term, x))


def drift_and_diffusion(schedule: Schedule, t: Time) -> tuple[Tensor, Tensor]:
    """f(t) and g(t)^2 of the forward SDE d x = f x dt + g d w, whose marginals are N(alpha x_0, sigma^2).

    f = alpha' / alpha, g^2 = 2 sigma sigma' - 2 f sigma^2 (Song et al. 2021, appendix B; Kingma et al. 2021).
    """
    drift = schedule.d_alpha(t) / schedule.alpha(t)
    sigma = schedule.sigma(t)
    return drift, 2 * sigma * schedule.d_sigma(t) - 2 * drift * sigma**2
