"""alpha = cos(a), sigma = sin(a), the angle a rising as the square of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.process.schedule_base import Schedule, in_float64

END = math.pi / 2


@dataclass(frozen=True)
class Sine(Schedule):
    """The angle is t^2 pi / 2, t in [0, 1]."""

    @in_float64
    def alpha(self, t: Tensor) -> Tensor:
        return torch.cos(END * t * t)

    @in_float64
    def sigma(self, t: Tensor) -> Tensor:
        return torch.sin(END * t * t)

    @in_float64
    def d_alpha(self, t: Tensor) -> Tensor:
        return -2 * END * t * torch.sin(END * t * t)

    @in_float64
    def d_sigma(self, t: Tensor) -> Tensor:
        return 2 * END * t * torch.cos(END * t * t)

    @in_float64
    def log_snr(self, t: Tensor) -> Tensor:
        return -2 * torch.log(torch.tan(END * t * t))

    @in_float64
    def t(self, log_snr: Tensor) -> Tensor:
        return torch.sqrt(torch.atan(torch.exp(-log_snr / 2)) / END)
