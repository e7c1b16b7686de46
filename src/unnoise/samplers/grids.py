"""Which times a sampler visits: falling from where it starts to 0.

A grid is a function (schedule, steps) -> the `steps` times above 0, rising. On a discrete schedule they are snapped
to native steps, the only ones its model has seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.process.schedule_base import Schedule
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


def karras(schedule: Schedule, steps: int) -> Tensor:
    """sigma / alpha at equal strides of its 7th root (Karras et al. 2022, equation 5)."""
    low, high = _ratios(schedule)
    roots = torch.linspace(low ** (1 / RHO), high ** (1 / RHO), steps, dtype=torch.float64)
    return _at_ratios(schedule, roots**RHO)


def log_snr(schedule: Schedule, steps: int) -> Tensor:
    """Equal strides of log(alpha / sigma) (Lu et al. 2022a, section 3.4)."""
    low, high = _ratios(schedule)
    return _at_ratios(schedule, torch.linspace(math.log(low), math.log(high), steps, dtype=torch.float64).exp())


def angle(schedule: Schedule, steps: int) -> Tensor:
    """atan(sigma / alpha) = angle_max (i / steps)^1.5. Equal strides of the angle are those of the cosine schedule and
    of TrigFlow (Lu & Song 2024); the power, which shortens the last ones, was chosen by measurement (docs/samplers.md).
    """
    return _at_angles(schedule, steps, 1.5)


def angle_squared(schedule: Schedule, steps: int) -> Tensor:
    """atan(sigma / alpha) = angle_max (i / steps)^2."""
    return _at_angles(schedule, steps, 2.0)


RHO = 7.0
LEAST_RATIO, GREATEST_RATIO = 0.002, 80.0
"""The range of sigma / alpha where the schedule itself sets none (Karras et al. 2022, table 1)."""

GRIDS: dict[str, Grid] = {
    "trailing": trailing,
    "uniform": uniform,
    "quadratic": quadratic,
    "karras": karras,
    "log-snr": log_snr,
    "angle": angle,
    "angle-squared": angle_squared,
}
AUTO = "auto"
"""The grid that a sampler takes by default: the best named one at its number of steps."""


def best_grid(table: Mapping[int, str], steps: int) -> str:
    """The name of the best grid: table has 'from so many steps on' -> name, rising. Measured in docs/samplers.md."""
    return [name for first, name in table.items() if first <= max(steps, 1)][-1]


def at_most_native(schedule: Schedule, steps: int) -> int:
    """`steps`, or as many as the schedule has native ones where those are fewer."""
    return steps if schedule.grid is None else min(steps, len(schedule.grid))


def times(schedule: Schedule, grid: str | tuple[float, ...], steps: int, between: bool = False) -> Tensor:
    """The steps + 1 falling times, 0 last, float64. grid: a name, or the falling times above 0 themselves.

    between: whether given times may lie between native steps.

    Raises UserError for an unknown grid, fewer than one step, more steps than the schedule has, and for given times
    that are not `steps` falling ones in (0, t_max], native where the schedule has native steps.
    """
    if steps < 1:
        raise UserError(f"need at least 1 step, got {steps}")
    falling = _named(schedule, grid, steps) if isinstance(grid, str) else _given(schedule, grid, steps, between)
    return torch.cat([falling, torch.zeros(1, dtype=torch.float64)])


def _named(schedule: Schedule, grid: str, steps: int) -> Tensor:
    rising = lookup(GRIDS, grid, "grid")(schedule, steps)
    return (rising if schedule.grid is None else _snap(rising, len(schedule.grid))).flip(0)


def _given(schedule: Schedule, grid: tuple[float, ...], steps: int, between: bool) -> Tensor:
    falling = torch.tensor(grid, dtype=torch.float64)
    if len(falling) != steps:
        raise UserError(f"the grid lists {len(falling)} times for {steps} steps; give as many steps as times")
    if not (falling[-1] > 0 and falling[0] <= schedule.t_max and (falling.diff() < 0).all()):
        raise UserError(f"a grid's times must fall within (0, {schedule.t_max:g}], got {list(grid)[:8]}")
    if schedule.grid is not None and not between and not torch.equal(falling, falling.round()):
        raise UserError(f"this schedule has the steps 1, 2, ..., {len(schedule.grid)} only, got {list(grid)[:8]}")
    return falling


def from_share(schedule: Schedule, share: float, steps: int) -> Tensor:
    """The steps + 1 falling times, 0 last, at equal strides of atan(sigma / alpha) from `share` of a right angle to 0,
    native where the schedule has native steps."""
    rising = at_shares(schedule, share * torch.arange(1, steps + 1, dtype=torch.float64) / steps)
    snapped = rising if schedule.grid is None else _snap(rising, len(schedule.grid))
    return torch.cat([snapped.flip(0), torch.zeros(1, dtype=torch.float64)])


def at_shares(schedule: Schedule, share: Tensor) -> Tensor:
    """The times (N,) at which atan(sigma / alpha) is `share` (N,) in (0, 1) of a right angle; t_max where the schedule
    does not get there."""
    return schedule.t(-2 * (share * (math.pi / 2)).tan().log()).clamp(max=schedule.t_max)


def _ratios(schedule: Schedule) -> tuple[float, float]:
    """The least and greatest sigma / alpha of a grid."""
    high = math.exp(-0.5 * float(schedule.log_snr(schedule.t_max)))
    low = LEAST_RATIO if schedule.grid is None else math.exp(-0.5 * float(schedule.log_snr(1.0)))
    return low, min(high, GREATEST_RATIO)


def _at_ratios(schedule: Schedule, rising: Tensor) -> Tensor:
    """The times of these sigma / alpha, the last one t_max whatever the greatest ratio."""
    inner = schedule.t(-2 * rising[:-1].log())
    return torch.cat([inner, torch.tensor([schedule.t_max], dtype=torch.float64)])


def _at_angles(schedule: Schedule, steps: int, power: float) -> Tensor:
    """The times at which atan(sigma / alpha) rises to its greatest with the power of the step."""
    greatest = math.atan(_ratios(schedule)[1])
    return _at_ratios(schedule, (greatest * (torch.arange(1, steps + 1, dtype=torch.float64) / steps) ** power).tan())


def _snap(rising: Tensor, native: int) -> Tensor:
    """Rounds to native steps, moving those that fall together up, and at the end of the schedule down."""
    steps = len(rising)
    if steps > native:
        raise UserError(f"{steps} steps asked for, but the model's schedule has {native}; ask for at most {native}")
    order = torch.arange(1, steps + 1, dtype=torch.float64)
    distinct = (rising.round().clamp(min=1) - order).cummax(0).values + order
    return torch.minimum(distinct, native - steps + order)
