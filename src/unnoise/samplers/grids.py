"""Which times a sampler visits: falling from where it starts to 0.

A grid is a function (schedule, steps) -> the `steps` times above 0, rising. On a discrete schedule they are snapped
to native steps, the only ones its model has seen.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unnoise.process.schedule import Schedule
from unnoise.registry import lookup

Grid = Callable[[Schedule, int], Tensor]


def trailing(schedule: Schedule, steps: int) -> Tensor:
    """Equal strides that end at t_max: t_i = t_max i / steps (Lin et al. 2024, table 2; tau of Song et al. 2021)."""
    return torch.arange(1, steps + 1, dtype=torch.float64) * (schedule.t_max / steps)


def uniform(schedule: Schedule, steps: int) -> Tensor:
    """Equal strides over the native steps from the first to the last, both included; without native steps, trailing."""
    if schedule.grid is None or steps == 1:
        return trailing(schedule, steps)
    return torch.linspace(1, schedule.t_max, steps, dtype=torch.float64)


def quadratic(schedule: Schedule, steps: int) -> Tensor:
    """t_i = t_max (i / steps)^2: more steps near the clean end (Song et al. 2021, appendix D.2)."""
    return schedule.t_max * (torch.arange(1, steps + 1, dtype=torch.float64) / steps) ** 2


GRIDS: dict[str, Grid] = {"trailing": trailing, "uniform": uniform, "quadratic": quadratic}


def times(schedule: Schedule, grid: str, steps: int) -> Tensor:
    """The steps + 1 falling times, 0 last, float64.

    Raises ValueError for an unknown grid, fewer than one step, or more steps than the schedule has.
    """
    if steps < 1:
        raise ValueError(f"need at least 1 step, got {steps}")
    rising = lookup(GRIDS, grid, "grid")(schedule, steps)
    if schedule.grid is not None:
        rising = _snap(rising, len(schedule.grid))
    return torch.cat([rising.flip(0), torch.zeros(1, dtype=torch.float64)])


def _snap(rising: Tensor, native: int) -> Tensor:
    """Rounds to native steps, keeping them distinct: the i-th time is at least i."""
    steps = len(rising)
    if steps > native:
        raise ValueError(f"{steps} steps asked for, but the model's schedule has {native}; ask for at most {native}")
    order = torch.arange(1, steps + 1, dtype=torch.float64)
    rounded = torch.maximum(rising.round(), order)
    return torch.minimum(rounded, native - steps + order)
