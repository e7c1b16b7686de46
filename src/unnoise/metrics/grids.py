"""The times of a variational bound, and which of them an image visits."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.process.schedule import Schedule
from unnoise.samplers.grids import times
from unnoise.seeding import generator

CONTINUOUS_STEPS = 1000
EVERY_TIME_UP_TO = 10**8
"""Images x transitions x dimensions x draws up to which a bound takes every transition of every image."""


def rising_times(schedule: Schedule, steps: int | Tensor | None) -> Tensor:
    """The times (n,) float64 of a bound, rising.

    None: the native steps, or `CONTINUOUS_STEPS`. A number: strided native steps, or evenly spaced angles
    atan(sigma / alpha), a clock in which x_t moves alike on every schedule; both end at t_max.
    Raises UserError for given times that do not rise within (0, t_max].
    """
    if isinstance(steps, Tensor):
        return _checked(schedule, steps.double().cpu())
    if schedule.grid is not None:
        return schedule.grid if steps is None else times(schedule, "trailing", steps)[:-1].flip(0)
    return angles(schedule, CONTINUOUS_STEPS if steps is None else steps)


def angles(schedule: Schedule, steps: int) -> Tensor:
    """The times (steps,) whose angles atan(sigma / alpha) are evenly spaced, the last one t_max."""
    if steps < 1:
        raise UserError(f"need at least 1 step, got {steps}")
    last = torch.atan2(schedule.sigma(schedule.t_max), schedule.alpha(schedule.t_max))
    inner = last * torch.arange(1, steps, dtype=torch.float64) / steps
    return torch.cat([schedule.t(-2 * torch.tan(inner).log()), torch.tensor([schedule.t_max], dtype=torch.float64)])


def visits(transitions: int, x_0: Tensor, draws: int, sampled: int | None, seed: int) -> Tensor:
    """Which transitions 0..K - 1 each image visits, (N, m).

    All K, or a systematic sample of m: column j takes one of the j-th m-th of the grid, at a fraction that is
    stratified over the images, so that each transition is visited m / K times on average and an image's mean
    is unbiased.
    """
    images = len(x_0)
    if sampled is not None and sampled < 1:
        raise UserError(f"need at least 1 sampled time per image, got {sampled}")
    affordable = max(1, EVERY_TIME_UP_TO // (x_0.numel() * draws))
    visits_each = min(transitions, affordable if sampled is None else sampled)
    if visits_each == transitions:
        return torch.arange(transitions).expand(images, transitions)
    random = generator(seed, images)
    jitter = torch.rand(images, generator=random, dtype=torch.float64)
    fraction = (torch.randperm(images, generator=random) + jitter) / images
    indices = (torch.arange(visits_each) + fraction[:, None]) * (transitions / visits_each)
    return indices.floor().long().clamp(max=transitions - 1)


def _checked(schedule: Schedule, given: Tensor) -> Tensor:
    inside = len(given) > 0 and bool((given > 0).all() and (given.diff() > 0).all())
    if not inside or float(given[-1]) > schedule.t_max:
        raise UserError(f"need times that rise within (0, {schedule.t_max:g}], got {given.tolist()[:8]}")
    return given
