"""The best few times for one model: short trajectories compared with a fine one.

Dynamic programming over candidate times proposes a grid from the fine trajectory alone, as GITS does (Chen et al.
2024); it and the named grids compete in every solver, and coordinate descent on the error at the end refines the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import UserError
from unnoise.process.denoiser import Denoiser
from unnoise.process.gaussian import per_row
from unnoise.process.schedule_base import Schedule
from unnoise.samplers import GRIDS, IPNDM, AdamsBashforth, DPMSolver, Point, Sampler, UniPC
from unnoise.samplers.grids import times

SOLVERS: tuple[Sampler, ...] = (
    DPMSolver(order=1),
    DPMSolver(order=2),
    DPMSolver(order=3),
    UniPC(order=3),
    AdamsBashforth(order=2),
    AdamsBashforth(order=3),
    IPNDM(order=2),
    IPNDM(order=3),
    IPNDM(order=4),
)
"""What competes unless others are given: all cost one network call a step."""

FINE = DPMSolver(order=3)
CANDIDATES = 128
"""How many times compete at most; the fine trajectory visits them all."""


@dataclass(frozen=True)
class Tuned:
    """sampler: the winner, its times in `grid`. error: its distance from the fine trajectory's end, a root mean square
    over dimensions, averaged over rows. named: the errors of the named grids, each in its best solver; untuned: the
    best of these. calls: the network calls that the search took."""

    sampler: Sampler
    error: float
    named: dict[str, float]
    untuned: Sampler
    calls: int


@torch.no_grad()
def tune(
    denoiser: Denoiser,
    x_T: Tensor,
    steps: int,
    solvers: Sequence[Sampler] = SOLVERS,
    cond: Conditions | None = None,
    candidates: int = CANDIDATES,
    sweeps: int = 12,
) -> Tuned:
    """The sampler of `steps` steps whose images from x_T (B, *), draws of p(x_T), end nearest to the fine trajectory's.

    candidates: how many times compete, in equal strides of log-SNR, or all native steps where there are fewer; the fine
    trajectory visits them all. sweeps: of the coordinate descent, at most. About steps (8 solvers + 2 steps sweeps)
    network calls at most. Raises UserError for more steps than candidates.
    """
    race = _Race(denoiser, x_T, steps, cond, _candidates(denoiser.schedule, candidates))
    starts = {name: race.nearest(times(denoiser.schedule, name, steps)[:-1]) for name in GRIDS}
    grids = dict.fromkeys([*starts.values(), race.proposed()])
    tried = {(grid, solver): race.error(solver, grid) for grid in grids for solver in solvers}
    grid, solver = min(tried, key=lambda entry: tried[entry])
    grid, error = race.refined(solver, grid, tried[grid, solver], sweeps)
    best = {name: min(solvers, key=lambda s, start=start: tried[start, s]) for name, start in starts.items()}
    named = {name: tried[start, best[name]] for name, start in starts.items()}
    least = min(named, key=lambda name: named[name])
    untuned = replace(best[least], steps=steps, grid=least)
    return Tuned(race.sampler(solver, grid), error, named, untuned, race.calls)


def fine_trajectory(
    denoiser: Denoiser, x_T: Tensor, cond: Conditions | None = None, candidates: int = CANDIDATES
) -> list[Point]:
    """The trajectory of x_T (B, *) in as many steps as there are candidate times."""
    falling = _candidates(denoiser.schedule, candidates)
    fine = replace(FINE, steps=len(falling), grid=tuple(falling.tolist()))
    return list(fine.stream(denoiser, x_T, cond=cond))


Indices = tuple[int, ...]
"""A grid: the indices of its times among the candidates, rising; the first is 0, t_max."""


class _Race:
    """Grids of `steps` of the candidates, compared by where they lead."""

    def __init__(
        self, denoiser: Denoiser, x_T: Tensor, steps: int, cond: Conditions | None, candidates: Tensor
    ) -> None:
        if not 1 <= steps <= len(candidates):
            raise UserError(f"need 1 to {len(candidates)} steps, the number of candidate times, got {steps}")
        self.denoiser, self.x_T, self.steps, self.cond, self.candidates = denoiser, x_T, steps, cond, candidates
        self.fine = fine_trajectory(denoiser, x_T, cond, len(candidates))
        self.calls = len(candidates)

    def sampler(self, solver: Sampler, grid: Indices) -> Sampler:
        return replace(solver, steps=self.steps, grid=tuple(self.candidates[list(grid)].tolist()))

    def error(self, solver: Sampler, grid: Indices) -> float:
        """The mean over rows of the root mean square distance from the fine trajectory's end."""
        end = self.sampler(solver, grid).run(self.denoiser, self.x_T, cond=self.cond)
        self.calls += self.steps
        return float((end - self.fine[-1].x).flatten(1).square().mean(1).sqrt().mean())

    def nearest(self, falling: Tensor) -> Indices:
        """The candidates nearest to the given times in log-SNR, all distinct."""
        clock = self.denoiser.schedule.log_snr
        gaps = (clock(falling)[:, None] - clock(self.candidates)).abs().nan_to_num()
        order, last = torch.arange(len(falling)), len(self.candidates) - len(falling)
        distinct = (gaps.argmin(1) - order).clamp(0, last).cummax(0).values + order
        return (0, *distinct[1:].tolist())

    def proposed(self) -> Indices:
        """The indices of least summed first-order step errors, each over the standard deviation of x at its end."""
        costs = self._step_costs()
        count = len(self.candidates)
        best, parents = costs[:, count], []
        for _ in range(self.steps - 1):
            through = costs[:, :count] + best
            parents.append(through.argmin(1))
            best = through.min(1).values
        grid = [0]
        for parent in reversed(parents):
            grid.append(int(parent[grid[-1]]))
        return tuple(grid)

    def _step_costs(self) -> Tensor:
        """[i, j]: the error of a first-order step from index i to j of the fine trajectory; the last j is t = 0.
        Infinite unless i < j."""
        schedule, count = self.denoiser.schedule, len(self.candidates)
        ends = torch.cat([self.candidates, torch.zeros(1, dtype=torch.float64)])
        fine = torch.stack([self.x_T, *(point.x for point in self.fine)])
        alpha, sigma = (per_row(f(ends), fine) for f in (schedule.alpha, schedule.sigma))
        std = ((alpha.flatten() * self.fine[-1].x.std()) ** 2 + sigma.flatten() ** 2).sqrt()
        costs = torch.full((count, count + 1), torch.inf, dtype=torch.float64)
        for i, point in enumerate(self.fine):
            reached = alpha[i + 1 :] * point.denoised.x_0 + sigma[i + 1 :] * point.denoised.eps
            gaps = (reached - fine[i + 1 :]).flatten(2).square().mean(2).sqrt().mean(1)
            costs[i, i + 1 :] = (gaps / std[i + 1 :]).cpu().double()
        return costs

    def refined(self, solver: Sampler, grid: Indices, error: float, sweeps: int) -> tuple[Indices, float]:
        """Coordinate descent: each index moves by a stride where that lowers the error; when none does, the stride
        halves."""
        stride = max(1, len(self.candidates) // 16)
        for _ in range(sweeps):
            before = error
            for index in range(1, self.steps):
                for move in (-stride, stride):
                    moved = (*grid[:index], grid[index] + move, *grid[index + 1 :])
                    if self._rises(moved) and (found := self.error(solver, moved)) < error:
                        grid, error = moved, found
            if error == before and stride == 1:
                break
            stride = stride if error < before else max(1, stride // 2)
        return grid, error

    def _rises(self, grid: Indices) -> bool:
        return grid[-1] < len(self.candidates) and all(a < b for a, b in pairwise(grid))


def _candidates(schedule: Schedule, count: int) -> Tensor:
    """Falling times from t_max in equal strides of log-SNR; as many native steps as there are, at most."""
    native = count if schedule.grid is None else len(schedule.grid)
    return times(schedule, "log-snr", min(count, native))[:-1]
