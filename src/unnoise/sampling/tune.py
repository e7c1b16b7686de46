"""Samplers tuned for a run: found once, kept in the run, taken when so many steps are asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from unnoise.aliases import Conditions, Record
from unnoise.errors import NotApplicable
from unnoise.files import write_atomic
from unnoise.models import CanDenoise
from unnoise.models.image_model import require_mean
from unnoise.process.denoiser import CountingDenoiser, Denoiser
from unnoise.progress import progress_bar
from unnoise.registry import Count, Positive, build, fitted, spec_of
from unnoise.runs.run import Run
from unnoise.runtime.precision import chosen_precision, computing_in
from unnoise.runtime.row_split import split_over_processes
from unnoise.runtime.world import join
from unnoise.samplers import SAMPLERS, Sampler
from unnoise.samplers.learning import Draws, distance, learn
from unnoise.samplers.search import CANDIDATES, FINE, SOLVERS, Tuned, fine_trajectory, tune
from unnoise.samplers.spec import parse_sampler, sampler_text
from unnoise.sampling.conditions import rows_of

TRAJECTORIES = 32
ITERATIONS = 200
CHECKED = 4
"""One trajectory in so many is not learnt from, and decides which iteration is the best."""
UNTUNED = "untuned"


def tune_run(
    folder: str | Path,
    steps: int,
    *,
    samplers: Sequence[str] = (),
    trajectories: int = TRAJECTORIES,
    iterations: int = ITERATIONS,
    seed: int = 10**6,
    device: str | None = None,
) -> Record:
    """Learns the sampler of `steps` steps for a run and keeps it in RUN/tuned/STEPS.json.

    First the times are searched, then times and coefficients are learnt from there on (`samplers.learning`). On as many
    trajectories of other seeds the best named grid, the tuned times and the learnt coefficients are compared; the best
    is kept, and nothing where that is the named grid.

    Args:
        folder: of a diffusion run.
        steps: network calls per image.
        samplers: texts such as 'dpm-solver++:order=2': whose grids compete; all of `samplers.search.SOLVERS` if empty.
        trajectories: how many images are learnt from, of the seeds `seed`, `seed` + 1, ...; as many seeds after them
            decide what is kept.
        iterations: of learning coefficients; 0: times alone.
        seed: of the first image.
        device: where the model computes; None: the best there is.

    Returns:
        {steps, sampler, kept ('times', 'coefficients' or 'untuned'), error (of `sampler`) and held_out (of each) on the
        other seeds, named (the best of each named grid on the seeds learnt from), teacher, network_calls,
        trajectories, iterations, seed, seconds, file (None where nothing is kept)}.

    Raises:
        UserError: for a run that is no diffusion model, an unknown sampler, and more steps than its schedule has.
    """
    world = join()
    run = Run.open(folder)
    fitted(steps, Positive, "steps")
    fitted(trajectories, Positive, "trajectories")
    fitted(iterations, Count, "iterations")
    solvers = [build(SAMPLERS, parse_sampler(text), "sampler") for text in samplers] or SOLVERS
    model = run.load(world.device(device)).requires_grad_(False)
    denoising = require_mean(model, "tuning")
    cond, begun, calls = _conditions(run, 2 * trajectories), time.perf_counter(), _Calls()
    with progress_bar() as progress, computing_in(model.device, chosen_precision(model.device)):
        task = progress.add_task(f"tuning {steps} steps", total=None)
        denoiser = CountingDenoiser(
            split_over_processes(denoising.guided()), lambda _: (calls.add(), progress.advance(task))
        )
        seen, unseen = (
            _draws(denoiser, denoising, seeds, model.completed(rows_of(cond, seeds[0] - seed, trajectories), seeds))
            for seeds in (range(first, first + trajectories) for first in (seed, seed + trajectories))
        )
        found = tune(denoiser, seen.x_T, steps, solvers, cond=seen.cond)
        rivals = _rivals(denoiser, seen, found, iterations)
        held_out = {name: _error(denoiser, sampler, unseen) for name, sampler in rivals.items()}
    kept = min(held_out, key=lambda name: held_out[name])
    result = {
        "steps": steps,
        "sampler": spec_of(SAMPLERS, rivals[kept]),
        "kept": kept,
        "error": held_out[kept],
        "held_out": held_out,
        "untuned": sampler_text(found.untuned),
        "named": found.named,
        "teacher": f"{sampler_text(FINE).split('@')[0]}@{CANDIDATES}:order={FINE.order}",
        "network_calls": calls.count,
        "trajectories": trajectories,
        "iterations": iterations,
        "seed": seed,
        **run.weights(),
        "seconds": round(time.perf_counter() - begun, 3),
    }
    if kept == UNTUNED:
        return {**result, "file": None}
    file = run.folder / "tuned" / f"{steps}.json"
    if world.is_first:
        write_atomic(file, json.dumps(result, indent=1))
    return {**result, "file": str(file)}


class _Calls:
    """How often the network was called."""

    count = 0

    def add(self) -> None:
        self.count += 1


def _draws(denoiser: Denoiser, model: CanDenoise, seeds: range, cond: Conditions | None) -> Draws:
    x_T = model.prior(seeds)
    return Draws(x_T, fine_trajectory(denoiser, x_T, cond)[-1].x, cond)


def _rivals(denoiser: Denoiser, seen: Draws, found: Tuned, iterations: int) -> dict[str, Sampler]:
    """What competes on other seeds. Coefficients are not learnt of a winner that is no multistep solver."""
    rivals: dict[str, Sampler] = {UNTUNED: found.untuned, "times": found.sampler}
    if iterations == 0:
        return rivals
    count = max(1, len(seen.x_T) // CHECKED)
    check, fit = _part(seen, 0, count), _part(seen, count, len(seen.x_T) - count)
    try:
        return {**rivals, "coefficients": learn(denoiser, fit, check, found.sampler, iterations)}
    except NotApplicable:
        return rivals


def _part(draws: Draws, start: int, count: int) -> Draws:
    rows = slice(start, start + count)
    return Draws(draws.x_T[rows], draws.ends[rows], rows_of(draws.cond, start, count))


@torch.no_grad()
def _error(denoiser: Denoiser, sampler: Sampler, draws: Draws) -> float:
    return float(distance(sampler.run(denoiser, draws.x_T, cond=draws.cond), draws.ends))


def _conditions(run: Run, count: int) -> Any:
    """Conditions of the run's own data, for a conditional run."""
    model = run.model()
    if not model.condition_names:
        return None
    images, _ = run.open_data("train")
    return images.batch([i % len(images) for i in range(count)]).cond
