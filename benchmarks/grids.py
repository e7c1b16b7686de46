"""Which named grid is the best for which solver at which number of calls: exact problems that differ in everything.

    python benchmarks/grids.py [--held-out] [--runs RUN ...] [--calls 3 5 8 10 20 50] [--out benchmarks/results/grids]

Writes OUT.md. A problem is a mixture of Gaussians on a schedule, with its exact denoiser; the error is the root mean
square distance from the exact end of each trajectory, and the table has its geometric mean over the problems, relative
to the least of the table on each. The defaults (`best_grids`) were chosen without --held-out. With --runs the problems
are trained runs, and the ends are those of 200 calls of Adams-Bashforth 3 on `angle`; the network's own error
is in both.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from unnoise.models.diffusion import Diffusion
from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoiser
from unnoise.process.schedule import VE, VP, CosineBetas, LinearBetas, RectifiedFlow
from unnoise.runs.run import Run
from unnoise.runtime.precision import chosen_precision, computing_in
from unnoise.samplers import DDIM, GRIDS, IPNDM, AdamsBashforth, DPMSolver, Heun, Sampler, UniPC
from unnoise.seeding import SeededNoise

SCHEDULES = (LinearBetas(), CosineBetas(), VP(), RectifiedFlow(), VE())
SOLVERS: tuple[Sampler, ...] = (
    DDIM(),
    Heun(),
    *(DPMSolver(order=order) for order in (2, 3)),
    *(UniPC(order=order) for order in (3, 4)),
    *(AdamsBashforth(order=order) for order in (2, 3, 4)),
    *(IPNDM(order=order) for order in (2, 3, 4)),
)
Problem = tuple[Denoiser, Tensor, Tensor]
"""Denoiser, x_T and the ends."""
CHOSEN_ON = ((2, 6, 1, 0.05, 0.3), (4, 8, 2, 0.05, 0.3), (6, 12, 3, 0.05, 0.3), (2, 3, 4, 0.2, 0.5))
HELD_OUT = ((3, 10, 11, 0.08, 0.2), (4, 5, 12, 0.05, 0.4), (8, 20, 13, 0.1, 0.3))
"""Dimensions, components, seed, and the ends of the components' standard deviations."""


def mixture(dim: int, components: int, seed: int, low: float, high: float) -> GaussianMixture:
    random = torch.Generator().manual_seed(seed)
    means = 0.7 * torch.randn(components, dim, generator=random, dtype=torch.float64)
    stds = low * (high / low) ** torch.rand(components, generator=random, dtype=torch.float64)
    return GaussianMixture(0.3 + torch.rand(components, generator=random, dtype=torch.float64), means, stds)


def problems(held_out: bool, rows: int = 100) -> Iterator[Problem]:
    """Denoiser, x_T and the exact ends."""
    for shape in HELD_OUT if held_out else CHOSEN_ON:
        for schedule in SCHEDULES:
            denoiser, random = mixture(*shape).denoiser(schedule), torch.Generator().manual_seed(7)
            x_T = schedule.prior_std * torch.randn(rows, shape[0], generator=random, dtype=torch.float64)
            yield denoiser, x_T, exact_ends(denoiser, x_T)


def trained(runs: list[Path], rows: int = 16) -> Iterator[Problem]:
    """The same of trained runs."""
    for folder in runs:
        model = Run.open(folder).load("cpu")
        assert isinstance(model, Diffusion), f"{folder} holds no diffusion model"
        x_T = model.prior(range(rows))
        yield model, x_T, AdamsBashforth(steps=200, grid="angle", order=3).run(model, x_T)


def exact_ends(denoiser: Denoiser, x: Tensor) -> Tensor:
    """500 steps of fourth order, between native steps too, down to sigma / alpha = 1e-4."""
    schedule = denoiser.schedule
    greatest = min(math.exp(-0.5 * float(schedule.log_snr(schedule.t_max))), 80.0)
    falling = schedule.t(-2 * torch.linspace(math.log(greatest), math.log(1e-4), 500, dtype=torch.float64))
    falling[0] = schedule.t_max
    state, solver = None, AdamsBashforth(order=4)
    for t, s in pairwise([*falling, torch.zeros((), dtype=torch.float64)]):
        x, _, state = solver.step(denoiser, x, t, s, state, SeededNoise(()))
    return x


def errors(problem: Problem, calls: int) -> Tensor:
    """(solvers, grids)."""
    return torch.tensor([[_error(solver, grid, calls, *problem) for grid in GRIDS] for solver in SOLVERS])


def _error(solver: Sampler, grid: str, calls: int, denoiser: Denoiser, x_T: Tensor, ends: Tensor) -> float:
    steps = (calls + 1) // 2 if isinstance(solver, Heun) else calls
    x_0 = replace(solver, steps=steps, grid=grid).run(denoiser, x_T)
    return float((x_0 - ends).square().flatten(1).mean(1).sqrt().mean())


def table(of: list[Problem], calls: int) -> str:
    found = torch.stack([errors(problem, calls) for problem in of])
    mean = (found / found.amin((1, 2), keepdim=True)).log().mean(0).exp()
    lines = [f"## {calls} calls", "", f"| solver | {' | '.join(GRIDS)} |", f"|---|{'---|' * len(GRIDS)}"]
    for solver, row in zip(SOLVERS, mean.tolist(), strict=True):
        lines.append(f"| {type(solver).__name__} {solver.order} | {' | '.join(f'{value:.2f}' for value in row)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--calls", type=int, nargs="+", default=[3, 5, 8, 10, 20, 50])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "grids")
    options = parser.parse_args()
    precision = chosen_precision("cpu", "auto") if options.runs else "fp32"
    with torch.no_grad(), computing_in("cpu", precision):
        chosen = list(trained(options.runs) if options.runs else problems(options.held_out))
        text = "\n\n".join(table(chosen, calls) for calls in options.calls)
    options.out.with_suffix(".md").write_text(f"{text}\n")
    print(text)


if __name__ == "__main__":
    main()
