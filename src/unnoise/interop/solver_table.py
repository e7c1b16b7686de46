"""A deterministic sampler as a table: every solver here is linear in the noise and the denoiser's answers, so its
coefficients say all of it, and one loop over their rows is any of them.

The coefficients are found by running the sampler itself on unit vectors: x_T is the first, and the denoiser's k-th
answer (x_0, eps) is the next two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Conditions
from unnoise.errors import NotApplicable
from unnoise.process.denoiser import Denoised
from unnoise.process.schedule import Schedule
from unnoise.samplers import RK45, Sampler
from unnoise.samplers.spec import sampler_text

MOST_CALLS = 1024
LONGEST_MEMORY = 6
"""Answers that a solver may use at once."""
EXACT = 1e-9
"""How far a row may be from what the sampler does, of the largest coefficient."""


@dataclass(frozen=True)
class SolverTable:
    """times: at which the denoiser is called, (K,). memory: how many of the last calls a row speaks of.

    rows (K, 3 memory): after call k the next x is the sum, over the last calls, the newest first, of
    row[3 j] x + row[3 j + 1] x_0 + row[3 j + 2] eps, x being what the denoiser was given there.
    """

    times: tuple[float, ...]
    memory: int
    rows: Tensor


def solver_table(sampler: Sampler, schedule: Schedule) -> SolverTable:
    """The table of a sampler on a schedule.

    Raises:
        NotApplicable: for samplers that draw noise, and for those whose steps depend on the images.
    """
    if isinstance(sampler, RK45):
        raise NotApplicable("rk45 chooses its steps by the images it draws, which a fixed graph cannot")
    counted = _Probe(schedule, 1)
    _run(sampler, counted)
    calls = len(counted.times)
    if calls > MOST_CALLS:
        raise NotApplicable(f"{sampler_text(sampler)} calls the network {calls} times; a graph may do so {MOST_CALLS}")
    probe = _Probe(schedule, 1 + 2 * calls)
    end = _run(sampler, probe)
    given = torch.stack([*probe.given, end]).numpy()
    for memory in range(1, LONGEST_MEMORY + 1):
        rows = [_row(given, call, memory) for call in range(calls)]
        if all(row is not None for row in rows):
            return SolverTable(tuple(probe.times), memory, torch.from_numpy(np.stack(rows)))  # type: ignore[arg-type]
    raise NotApplicable(f"{sampler_text(sampler)} uses more than the last {LONGEST_MEMORY} answers of the network")


def _run(sampler: Sampler, probe: _Probe) -> Tensor:
    start = torch.zeros(1, probe.size, dtype=torch.float64)
    start[0, 0] = 1
    times = [float(t) for t in sampler.times(probe.schedule)]
    x, state = start, None
    for t, s in pairwise(times):
        here, there = (torch.tensor(time, dtype=torch.float64) for time in (t, s))
        x, _, state = sampler.step(probe, x, here, there, state, _NoNoise(sampler), None)
    return x[0]


def _row(given: np.ndarray, call: int, memory: int) -> np.ndarray | None:
    """The next x from the last calls, the newest first; None where they do not suffice."""
    size = given.shape[1]
    columns = np.zeros((size, 3 * memory))
    for back in range(min(memory, call + 1)):
        k = call - back
        columns[:, 3 * back] = given[k]
        columns[1 + 2 * k, 3 * back + 1] = columns[2 + 2 * k, 3 * back + 2] = 1
    target = given[call + 1]
    row = np.linalg.lstsq(columns, target, rcond=1e-12)[0]
    error = np.abs(columns @ row - target).max()
    return row if error <= EXACT * max(1.0, np.abs(target).max()) else None


@dataclass
class _Probe:
    """A denoiser that answers with unit vectors and keeps what it was given."""

    schedule: Schedule
    size: int
    times: list[float] = field(default_factory=list)
    given: list[Tensor] = field(default_factory=list)

    def __call__(self, x_t: Tensor, t: Tensor, cond: Conditions | None = None) -> Denoised:
        call = len(self.times)
        self.times.append(float(t))
        self.given.append(x_t[0])
        x_0, eps = (self._unit(1 + 2 * call + answer) for answer in range(2))
        return Denoised(x_t, x_0, eps, schedule=self.schedule, t=t)

    def _unit(self, index: int) -> Tensor:
        unit = torch.zeros(1, self.size, dtype=torch.float64)
        if index < self.size:
            unit[0, index] = 1
        return unit


@dataclass(frozen=True)
class _NoNoise:
    """The noise of a graph, which has none but what it is given."""

    sampler: Sampler

    def normal(self, like: Tensor) -> Tensor:
        raise NotApplicable(
            f"{sampler_text(self.sampler)} draws noise in its steps, and a graph is given noise once: choose a "
            "deterministic --sampler, such as ddim, dpm-solver++, heun or unipc"
        )

    def uniform(self, count: int) -> Tensor:
        return self.normal(torch.empty(count))
