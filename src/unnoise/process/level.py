"""Where a time stands on its schedule: what every coefficient of a solver is made of."""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

Number = TypeVar("Number", float, Tensor)


class LevelOf(NamedTuple, Generic[Number]):
    """alpha, sigma and log_snr = log(alpha^2 / sigma^2), infinite where either is 0, at time t.

    Python floats for one time of a whole batch (`Schedule.at`): arithmetic of numbers costs a hundredth of that of 0-d
    tensors, and waits for no device. Tensors (B,) for a time per row (`Schedule.at_rows`).
    """

    t: Number
    alpha: Number
    sigma: Number
    log_snr: Number

    @property
    def half_log_snr(self) -> Number:
        """log(alpha / sigma), the time of DPM-Solver."""
        return 0.5 * self.log_snr


Level = LevelOf[float]


def level(t: float, alpha: float, sigma: float) -> Level:
    """The level of these numbers."""
    return LevelOf(t, alpha, sigma, 2 * (_log(alpha) - _log(sigma)))


def mix(a: float, x: Tensor, b: float, y: Tensor) -> Tensor:
    """a x + b y in two operations."""
    return torch.add(a * x, y, alpha=b)


def is_one_time(t: Tensor) -> bool:
    """Whether t () on the CPU holds for all rows, so that reading it waits for no device."""
    return t.ndim == 0 and t.device.type == "cpu"


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf
