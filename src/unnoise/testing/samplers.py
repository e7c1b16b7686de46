"""What every sampler must be."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import Cosine, RectifiedFlow, Schedule
from unnoise.samplers import RK45, Sampler

BROAD = GaussianMixture(
    torch.tensor([1.0, 2.0, 1.0]), torch.tensor([[0.6, -0.6], [-0.5, 0.2], [0.3, 0.7]]), torch.tensor([0.4, 0.5, 0.6])
)
"""A distribution whose denoiser is known exactly."""
COARSE = 60
SLACK = 0.35
"""How far a measured order may lie below the declared one: the step size is not yet small."""


def check_sampler(sampler: Sampler) -> None:
    """Raises AssertionError unless the same seeds give the same bits, a sample does not depend on the others of its
    batch, `run` is the last item of `stream`, and, where no noise is drawn, the error falls with the declared order."""
    for schedule in (Cosine(), RectifiedFlow()):
        _check_seeds(sampler, schedule)
        if sampler.order > 0:
            found = measured_order(sampler, schedule)
            assert found > sampler.order - SLACK, f"on {schedule} the order is {found:.2f}, not {sampler.order}"


def _check_seeds(sampler: Sampler, schedule: Schedule) -> None:
    denoiser, x_T = BROAD.denoiser(schedule), noise(schedule, 6)
    whole = sampler.run(denoiser, x_T, seeds=range(6))
    assert torch.equal(whole, sampler.run(denoiser, x_T, seeds=range(6))), "the same seeds must give the same bits"
    part = sampler.run(denoiser, x_T[2:4], seeds=[2, 3])
    torch.testing.assert_close(part, whole[2:4], rtol=1e-9, atol=1e-9, msg="a sample must not depend on its batch")
    last = list(sampler.stream(denoiser, x_T, range(6)))[-1]
    assert last.t == 0, "a stream must end at t = 0"
    assert torch.equal(last.x, whole), "run must be the last item of stream"


def noise(schedule: Schedule, n: int) -> Tensor:
    """x_T (n, 2), float64."""
    draws = torch.Generator().manual_seed(0)
    return schedule.prior_std * torch.randn(n, 2, generator=draws, dtype=torch.float64)


def measured_order(sampler: Sampler, schedule: Schedule) -> float:
    """The slope of the error against the step size, between COARSE steps and twice as many."""
    exact = _at_the_end(RK45(rtol=1e-11, atol=1e-11), schedule, 20)
    errors = [float((_at_the_end(sampler, schedule, steps) - exact).norm()) for steps in (COARSE, 2 * COARSE)]
    return math.log2(errors[0] / errors[1])


def _at_the_end(sampler: Sampler, schedule: Schedule, steps: int) -> Tensor:
    """x after so many steps, from t_max to where atan(sigma / alpha) is 0.3, the first ones short."""
    start = math.atan2(float(schedule.sigma(schedule.t_max)), float(schedule.alpha(schedule.t_max)))
    angles = start - (start - 0.3) * (torch.arange(steps + 1, dtype=torch.float64) / steps) ** 2
    times = schedule.t(-2 * angles.tan().log())
    times[0] = schedule.t_max
    chosen = replace(sampler, steps=steps + 1, grid=tuple(times.tolist()))
    return list(chosen.stream(BROAD.denoiser(schedule), noise(schedule, 8)))[-2].x
