"""Networks with closed forms, on N(0, STD^2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unnoise.data.batch import Batch
from unnoise.models.diffusion import Diffusion
from unnoise.networks.conditioning import ClassConditioner
from unnoise.process.parametrization import X0, Parametrization
from unnoise.process.schedule import VE, VP, CosineBetas, LinearBetas, RectifiedFlow, Schedule

STD = 0.5
SCHEDULES: list[Schedule] = [VE(), CosineBetas(10_000), LinearBetas(10_000, 1e-5, 2e-3), VP(), RectifiedFlow()]
Factor = Callable[[Tensor, Tensor], Tensor]


def answered(
    parametrization: Parametrization | None, schedule: Schedule, t: Tensor, x_t: Tensor, x_0: Tensor
) -> Tensor:
    """The network's answer that stands for x_0 (B, C, H, W); None: X0, whose answer is x_0."""
    if parametrization is None:
        return x_0
    behind = parametrization.at_rows(schedule, t)
    known, share = (value.reshape(-1, 1, 1, 1) for value in (behind.x_0_of_x_t, -behind.x_0_of_output))
    return (x_0 - known * x_t) / share


class OfTime(nn.Module):
    """A network whose answer makes x_0 = x_t times a function of alpha and sigma, for X0 or another
    parametrization with its input scale."""

    def __init__(self, schedule: Schedule, factor: Factor, parametrization: Parametrization | None = None) -> None:
        super().__init__()
        self.schedule, self.factor, self.parametrization = schedule, factor, parametrization
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor, level: Tensor, told: Any = None) -> Tensor:
        t = level * (self.schedule.t_max / 1000)
        alpha, sigma = (f(t).reshape(-1, 1, 1, 1) for f in (self.schedule.alpha, self.schedule.sigma))
        x_t = x * (alpha**2 + sigma**2).sqrt()
        return self.scale * answered(self.parametrization, self.schedule, t, x_t, self.factor(alpha, sigma) * x_t)


def end_of_the_path(alpha: Tensor, sigma: Tensor) -> Tensor:
    """f(x_t, t) / x_t: the flow keeps x_t / sqrt(alpha^2 STD^2 + sigma^2)."""
    return STD / ((alpha * STD) ** 2 + sigma**2).sqrt()


def mean_of_the_data(alpha: Tensor, sigma: Tensor) -> Tensor:
    """E[x_0 | x_t] / x_t."""
    return alpha * STD**2 / ((alpha * STD) ** 2 + sigma**2)


def straight_path(alpha: Tensor, sigma: Tensor) -> Tensor:
    """x_0 / x_t where x_0 = STD eps: the line between the ends of a path."""
    return STD / (alpha * STD + sigma)


def exact_model(schedule: Schedule, factor: Factor, parametrization: Parametrization | None = None) -> Diffusion:
    network = OfTime(schedule, factor, parametrization)
    return Diffusion(network, schedule, parametrization or X0(), shape=(1, 4, 4), clip=False)


def gaussian(n: int = 512) -> Batch:
    return Batch(STD * torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64), {})


MEANS = (0.0, 1.5, -1.0)
"""Of the classes 0 and 1 and of no class: the flow guided with scale w towards a class leads to N(m, STD^2) with
m = (1 - w) MEANS[2] + w MEANS[class], since all three have one variance."""


class Told(nn.Module):
    """The exact network, for X0 or another parametrization with its input scale, that is told u_t - u_s, or the
    guidance scale in [1, 3], or both.

    answer: (alpha, sigma, u_t - u_s) -> (x_0 - m) / (x_t - alpha m); m is 0 without conditions.
    """

    def __init__(
        self,
        schedule: Schedule,
        answer: Callable[[Tensor, Tensor, Tensor], Tensor],
        scale_at: int,
        parametrization: Parametrization | None = None,
    ) -> None:
        super().__init__()
        self.schedule, self.answer, self.scale_at = schedule, answer, scale_at
        self.parametrization = parametrization
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor, level: Tensor, told: Any = None) -> Tensor:
        t = level * (self.schedule.t_max / 1000)
        alpha, sigma = (f(t).reshape(-1, 1, 1, 1) for f in (self.schedule.alpha, self.schedule.sigma))
        x_t, m, gap = x * (alpha**2 + sigma**2).sqrt(), torch.zeros_like(alpha), torch.zeros_like(alpha)
        scalars = None if told is None else told.scalars
        if scalars is not None and self.scale_at != 0:
            gap = scalars[:, 0].reshape(-1, 1, 1, 1)
        if told is not None and told.vector is not None:
            w = 1.0 if scalars is None or self.scale_at < 0 else 1 + 2 * scalars[:, self.scale_at].reshape(-1, 1, 1, 1)
            m = MEANS[2] + w * (told.vector.double().reshape(-1, 1, 1, 1) - MEANS[2])
        x_0 = m + self.answer(alpha, sigma, gap) * (x_t - alpha * m)
        return self.scale * answered(self.parametrization, self.schedule, t, x_t, x_0)


def average(alpha: Tensor, sigma: Tensor, gap: Tensor) -> Tensor:
    """(z - u U) / x_t with the average velocity U = z (1 - r_s / r_t) / (u_t - u_s), r(u)^2 = (1 - u)^2 STD^2 + u^2."""
    u_t = sigma / (alpha + sigma)
    u_s = u_t - gap
    r_t, r_s = (((1 - u) * STD).square() + u.square() for u in (u_t, u_s))
    slope = (u_t + u_s - STD**2 * (2 - u_t - u_s)) / (r_t.sqrt() * (r_t.sqrt() + r_s.sqrt()))
    return (1 - u_t * slope) / (alpha + sigma)


def told_model(
    schedule: Schedule,
    answer: Any,
    *,
    flow_map: bool = False,
    scales: bool = False,
    parametrization: Parametrization | None = None,
) -> Diffusion:
    """The exact model that is told; with scales one of two classes, which no class is dropped from."""
    made = Diffusion(
        Told(schedule, answer, (int(flow_map) if scales else -1), parametrization),
        schedule,
        parametrization or X0(),
        shape=(1, 4, 4),
        clip=False,
        conditioner=ClassConditioner(2, dim=1, dropout=0.0) if scales else None,
        flow_map=flow_map,
        guidance_range=(1.0, 3.0) if scales else None,
    )
    if isinstance(made.conditioner, ClassConditioner):
        made.conditioner.table.weight.data = torch.tensor(MEANS, dtype=torch.float64)[:, None]
        made.conditioner.requires_grad_(False)
    return made


def untold(model: Diffusion) -> Diffusion:
    """The run that such a student comes from: asked twice where it is guided, and told nothing."""
    schedule = model.schedule
    made = told_model(schedule, lambda alpha, sigma, gap: mean_of_the_data(alpha, sigma))
    made.conditioner = model.conditioner
    return made


def two_classes(n: int = 512) -> Batch:
    label = torch.arange(n) % 2
    means = torch.tensor(MEANS, dtype=torch.float64)[label].reshape(-1, 1, 1, 1)
    return Batch(means + gaussian(n).image, {"label": label})
