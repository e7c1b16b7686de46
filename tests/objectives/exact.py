"""Networks with closed forms, on N(0, STD^2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unnoise.data.batch import Batch
from unnoise.models.diffusion import Diffusion
from unnoise.process.parametrization import X0
from unnoise.process.schedule import VE, VP, CosineBetas, LinearBetas, RectifiedFlow, Schedule

STD = 0.5
SCHEDULES: list[Schedule] = [VE(), CosineBetas(10_000), LinearBetas(10_000, 1e-5, 2e-3), VP(), RectifiedFlow()]
Factor = Callable[[Tensor, Tensor], Tensor]


class OfTime(nn.Module):
    """A network that answers x_t times a function of alpha and sigma, for the parametrization X0."""

    def __init__(self, schedule: Schedule, factor: Factor) -> None:
        super().__init__()
        self.schedule, self.factor = schedule, factor
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor, level: Tensor, told: Any = None) -> Tensor:
        t = level * (self.schedule.t_max / 1000)
        alpha, sigma = (f(t).reshape(-1, 1, 1, 1) for f in (self.schedule.alpha, self.schedule.sigma))
        return self.scale * self.factor(alpha, sigma) * x * (alpha**2 + sigma**2).sqrt()


def end_of_the_path(alpha: Tensor, sigma: Tensor) -> Tensor:
    """f(x_t, t) / x_t: the flow keeps x_t / sqrt(alpha^2 STD^2 + sigma^2)."""
    return STD / ((alpha * STD) ** 2 + sigma**2).sqrt()


def mean_of_the_data(alpha: Tensor, sigma: Tensor) -> Tensor:
    """E[x_0 | x_t] / x_t."""
    return alpha * STD**2 / ((alpha * STD) ** 2 + sigma**2)


def straight_path(alpha: Tensor, sigma: Tensor) -> Tensor:
    """x_0 / x_t where x_0 = STD eps: the line between the ends of a path."""
    return STD / (alpha * STD + sigma)


def exact_model(schedule: Schedule, factor: Factor) -> Diffusion:
    return Diffusion(OfTime(schedule, factor), schedule, X0(), shape=(1, 4, 4), clip=False)


def gaussian(n: int = 512) -> Batch:
    return Batch(STD * torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64), {})
