"""Errors of samplers against the exact answer, at equal network calls: ours on each grid, and diffusers' schedulers.

The problem is a ring of eight Gaussians in the plane with its exact denoiser, on Ho et al.'s linear betas, so whatever
is wrong with a sample is the sampler's fault. Two errors: the distance of each sample from the exact end of its own
trajectory (root mean square over dimensions, mean over samples; deterministic samplers only), and the sliced
Wasserstein-2 distance of all samples from the distribution, whose floor is that of as many exact draws.

    python benchmarks/accuracy.py [--calls 5 10 20] [--samples 10000] [--out benchmarks/results/accuracy]

Writes OUT.json and OUT.md. The grid is tuned seven times, on draws of x_T of their own, none of them those it is
measured on: the row shows the median and the range.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unnoise.process.analytic import GaussianMixture
from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.schedule import LinearBetas, Schedule
from unnoise.samplers import (
    DDIM,
    GRIDS,
    AdamsBashforth,
    Ancestral,
    DPMSolver,
    Heun,
    Langevin,
    Sampler,
    SDEDPMSolver,
    UniPC,
)
from unnoise.samplers.search import tune
from unnoise.seeding import generator

ANGLES = torch.arange(8) * math.pi / 4
RING = GaussianMixture(torch.ones(8), torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1), 0.1)
SCHEDULE = LinearBetas()
TUNING_DRAWS = 256
TUNINGS = 7
STOCHASTIC = (Ancestral, SDEDPMSolver, Langevin)

OURS: dict[str, Sampler] = {
    "DDIM": DDIM(),
    "Heun": Heun(),
    "DPM-Solver++ 2M": DPMSolver(order=2),
    "DPM-Solver++ 3M": DPMSolver(order=3),
    "UniPC-2": UniPC(order=3),
    "UniPC-3": UniPC(order=4),
    "Adams-Bashforth 2": AdamsBashforth(order=2),
    "Adams-Bashforth 3": AdamsBashforth(order=3),
    "DDPM": Ancestral(),
    "SDE-DPM-Solver++ 2M": SDEDPMSolver(),
    "Langevin": Langevin(),
}
TWICE = ("Heun", "Langevin")
"""Samplers whose n steps take 2 n - 1 calls."""

LU = {"use_lu_lambdas": True, "final_sigmas_type": "zero"}
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "DDPM": ("DDPMScheduler", {"clip_sample": False}),
    "DDIM leading": ("DDIMScheduler", {"clip_sample": False}),
    "DDIM trailing": ("DDIMScheduler", {"clip_sample": False, "timestep_spacing": "trailing"}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler karras": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "Euler exponential": ("EulerDiscreteScheduler", {"use_exponential_sigmas": True}),
    "Heun": ("HeunDiscreteScheduler", {}),
    "Heun karras": ("HeunDiscreteScheduler", {"use_karras_sigmas": True}),
    "DPM-Solver++ 2M": ("DPMSolverMultistepScheduler", {}),
    "DPM-Solver++ 2M trailing": ("DPMSolverMultistepScheduler", {"timestep_spacing": "trailing"}),
    "DPM-Solver++ 2M karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "DPM-Solver++ 2M log-snr": ("DPMSolverMultistepScheduler", LU),
    "DPM-Solver++ 3M": ("DPMSolverMultistepScheduler", {"solver_order": 3}),
    "DPM-Solver++ 3M log-snr": ("DPMSolverMultistepScheduler", {**LU, "solver_order": 3}),
    "SDE-DPM-Solver++ 2M karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
    ),
    "UniPC": ("UniPCMultistepScheduler", {}),
    "UniPC karras": ("UniPCMultistepScheduler", {"use_karras_sigmas": True}),
    "UniPC exponential": ("UniPCMultistepScheduler", {"use_exponential_sigmas": True}),
    "DEIS": ("DEISMultistepScheduler", {}),
    "DEIS exponential": ("DEISMultistepScheduler", {"use_exponential_sigmas": True}),
    "PNDM": ("PNDMScheduler", {"skip_prk_steps": True}),
    "LMS": ("LMSDiscreteScheduler", {}),
    "LMS karras": ("LMSDiscreteScheduler", {"use_karras_sigmas": True}),
}
DOUBLE = ("HeunDiscreteScheduler",)
"""Peers whose n steps take 2 n - 1 calls."""


@dataclass
class Counted:
    """A Denoiser that counts its calls."""

    denoiser: Denoiser
    calls: int = 0

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        self.calls += 1
        return self.denoiser(x_t, t, cond)


class Problem:
    """Draws of x_T, the exact ends of their trajectories, and draws of the data."""

    def __init__(self, samples: int) -> None:
        self.denoiser = RING.denoiser(SCHEDULE)
        self.x_T = torch.randn(samples, 2, generator=generator(0, 1), dtype=torch.float64)
        self.tuning = [
            torch.randn(TUNING_DRAWS, 2, generator=generator(0, 2 + i), dtype=torch.float64) for i in range(TUNINGS)
        ]
        self.ends = UniPC(order=4, steps=1000, grid="trailing").run(self.denoiser, self.x_T)
        self.data = RING.sample(samples, seed=1)

    def errors(self, x_0: Tensor, stochastic: bool) -> dict[str, float | None]:
        gap = None if stochastic else float((x_0 - self.ends).square().mean(1).sqrt().mean())
        return {"trajectory": gap, "distribution": sliced(x_0, self.data)}


def sliced(a: Tensor, b: Tensor, directions: int = 64) -> float:
    """Sliced Wasserstein-2 over evenly spaced directions of the plane."""
    angles = torch.arange(directions, dtype=torch.float64) * math.pi / directions
    along = torch.stack([angles.cos(), angles.sin()])
    return float(((a @ along).sort(0).values - (b @ along).sort(0).values).square().mean().sqrt())


def ours(problem: Problem, calls: int) -> Iterator[dict[str, Any]]:
    for name, sampler in OURS.items():
        for grid in GRIDS:
            steps = (calls + 1) // 2 if name in TWICE else calls
            chosen = replace(sampler, steps=steps, grid=grid)
            yield measured(problem, "unnoise", f"{name} {grid}", chosen, isinstance(sampler, STOCHASTIC))
    yield tuned(problem, calls)


def tuned(problem: Problem, calls: int) -> dict[str, Any]:
    """The tuning of median error, and the errors of all of them."""
    samplers = [tune(problem.denoiser, draws, calls).sampler for draws in problem.tuning]
    rows = [{**measured(problem, "unnoise", "tuned", s, False), "sampler": repr(s)} for s in samplers]
    rows.sort(key=lambda row: row["trajectory"])
    return {**rows[TUNINGS // 2], "tunings": [row["trajectory"] for row in rows]}


def measured(problem: Problem, library: str, name: str, sampler: Sampler, stochastic: bool) -> dict[str, Any]:
    counted = Counted(problem.denoiser)
    x_0 = sampler.run(counted, problem.x_T)
    return {"library": library, "name": name, "calls": counted.calls, **problem.errors(x_0, stochastic)}


def peers(problem: Problem, calls: int) -> Iterator[dict[str, Any]]:
    import diffusers  # type: ignore[import-not-found]

    for name, (kind, options) in PEERS.items():
        scheduler = getattr(diffusers, kind)(num_train_timesteps=SCHEDULE.T, **options)
        steps = (calls + 1) // 2 if kind in DOUBLE else calls
        x_0, made = drive(problem, scheduler, steps)
        stochastic = name.startswith(("DDPM", "SDE"))
        yield {"library": "diffusers", "name": name, "calls": made, **problem.errors(x_0, stochastic)}


def drive(problem: Problem, scheduler: Any, steps: int) -> tuple[Tensor, int]:
    """x_0 and the network calls of a scheduler's loop as its pipelines run it; its time 0 is our native step 1."""
    scheduler.set_timesteps(steps)
    x, draws = problem.x_T * scheduler.init_noise_sigma, torch.Generator().manual_seed(0)
    takes_generator = "generator" in scheduler.step.__code__.co_varnames
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t)
        eps = problem.denoiser(scaled, torch.as_tensor(float(t) + 1, dtype=torch.float64)).eps
        options = {"generator": draws} if takes_generator else {}
        x = scheduler.step(eps, t, x, **options).prev_sample
    return x.double(), len(scheduler.timesteps)


def markdown(rows: list[dict[str, Any]], floor: float) -> str:
    """A table of each error: rows are samplers, the least error of the last column first."""
    asked = sorted({row["asked"] for row in rows})
    parts = []
    for error, title in (("trajectory", "Distance from the exact end"), ("distribution", "Sliced Wasserstein-2")):
        cells: dict[tuple[str, str], dict[int, str]] = {}
        for row in rows:
            if row[error] is not None:
                extra = "" if row["calls"] == row["asked"] else f" ({row['calls']} calls)"
                if error == "trajectory" and "tunings" in row:
                    extra = f" ({row['tunings'][0]:.4f} to {row['tunings'][-1]:.4f})"
                cells.setdefault((row["library"], row["name"]), {})[row["asked"]] = f"{row[error]:.4f}{extra}"
        ordered = sorted(cells, key=lambda key: float(cells[key].get(10, cells[key][asked[0]]).split()[0]))
        note = f" (floor {floor:.4f})" if error == "distribution" else ""
        head = f"| library | sampler | {' | '.join(map(str, asked))} |\n|---|---|{'---|' * len(asked)}\n"
        body = "\n".join(f"| {a} | {b} | {' | '.join(cells[a, b].get(n, '') for n in asked)} |" for a, b in ordered)
        parts.append(f"## {title}{note}, by network calls\n\n{head}{body}\n")
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="errors of samplers at equal network calls")
    parser.add_argument("--calls", nargs="+", type=int, default=[5, 10, 20])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "accuracy")
    options = parser.parse_args()
    problem = Problem(options.samples)
    rows = []
    for calls in options.calls:
        for library in (ours, peers):
            try:
                rows += [{"asked": calls, **row} for row in library(problem, calls)]
            except ImportError as error:
                print(f"absent ({error}): pip install diffusers")
    floor = sliced(RING.sample(options.samples, seed=2), problem.data)
    versions = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    facts = {
        "floor": floor,
        "samples": options.samples,
        "torch": torch.__version__,
        "diffusers": versions.get("diffusers"),
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps({"conditions": facts, "rows": rows}, indent=1))
    options.out.with_suffix(".md").write_text(markdown(rows, floor))
    print(markdown(rows, floor))


if __name__ == "__main__":
    main()
