"""Coefficients of one time for a whole batch, as Python numbers computed once.

Sampling asks for alpha and sigma at the same few times, at every step of every call. They depend on (schedule, time)
alone, and arithmetic of numbers costs a hundredth of that of 0-d tensors.
"""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor

from unnoise.process.schedule import Schedule


@lru_cache(maxsize=8192)
def alpha_sigma(schedule: Schedule, t: float) -> tuple[float, float]:
    """alpha_t and sigma_t."""
    return float(schedule.alpha(t)), float(schedule.sigma(t))


def is_one_time(t: Tensor) -> bool:
    """Whether t () on the CPU holds for all rows, so that reading it waits for no device."""
    return t.ndim == 0 and t.device.type == "cpu"
