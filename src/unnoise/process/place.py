"""Coefficients of one time for a whole batch, as Python numbers computed once.

Sampling asks for alpha and sigma at the same few times, at every step of every call. They depend on (schedule, time)
alone, and arithmetic of numbers costs a hundredth of that of 0-d tensors.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from unnoise.process.gaussian import posterior
from unnoise.process.schedule import Schedule


@lru_cache(maxsize=8192)
def alpha_sigma(schedule: Schedule, t: float) -> tuple[float, float]:
    """alpha_t and sigma_t."""
    return float(schedule.alpha(t)), float(schedule.sigma(t))


@lru_cache(maxsize=8192)
def posterior_at(schedule: Schedule, t: float, s: float) -> tuple[float, float, float]:
    """weight_t, weight_0 and the variance of q(x_s | x_t, x_0), s < t."""
    weight_t, weight_0, var = posterior(schedule, t, s)
    return float(weight_t), float(weight_0), float(var)


def mix(a: float, x: Tensor, b: float, y: Tensor) -> Tensor:
    """a x + b y in two operations."""
    return torch.add(a * x, y, alpha=b)


def is_one_time(t: Tensor) -> bool:
    """Whether t () on the CPU holds for all rows, so that reading it waits for no device."""
    return t.ndim == 0 and t.device.type == "cpu"
