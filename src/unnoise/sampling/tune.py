"""Samplers tuned for a run: found once, kept in the run, taken when so many steps are asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unnoise.files import write_atomic
from unnoise.models import CanDenoise
from unnoise.models.image_model import require
from unnoise.process.denoiser import CountingDenoiser
from unnoise.progress import progress_bar
from unnoise.registry import build, spec_of
from unnoise.runs.run import Run
from unnoise.runtime.precision import autocast, takes_bf16
from unnoise.samplers import SAMPLERS
from unnoise.samplers.search import SOLVERS, tune
from unnoise.samplers.spec import parse_sampler

TRAJECTORIES = 32


def tune_run(
    folder: str | Path,
    steps: int,
    *,
    samplers: Sequence[str] = (),
    trajectories: int = TRAJECTORIES,
    seed: int = 10**6,
    device: str | None = None,
) -> dict[str, Any]:
    """Searches the sampler of `steps` steps for a run and keeps it in RUN/tuned/STEPS.json.

    Args:
        folder: of a diffusion run.
        steps: network calls per image.
        samplers: texts such as 'dpm-solver++:order=2': whose grids compete; all of `samplers.search.SOLVERS` if empty.
        trajectories: how many images the search compares, from the seeds `seed`, `seed` + 1, ...; images of other seeds
            are new to it.
        seed: of the first image.
        device: where the model computes; None: the best there is.

    Returns:
        {steps, sampler, error, named (the best of each named grid), network_calls, trajectories, seconds, file}.

    Raises:
        UserError: for a run that is no diffusion model, an unknown sampler, and more steps than its schedule has.
    """
    run = Run.open(folder)
    solvers = [build(SAMPLERS, parse_sampler(text), "sampler") for text in samplers] or SOLVERS
    model = run.load(device)
    denoising = require(model, CanDenoise, "tuning")
    seeds = range(seed, seed + trajectories)
    begun = time.perf_counter()
    with progress_bar() as progress, autocast(model.device, takes_bf16(model.device)):
        task = progress.add_task(f"tuning {steps} steps", total=None)
        denoiser = CountingDenoiser(denoising.guided(), lambda _: progress.advance(task))
        found = tune(denoiser, denoising.prior(seeds), steps, solvers, cond=_conditions(run, trajectories))
    result = {
        "steps": steps,
        "sampler": spec_of(SAMPLERS, found.sampler),
        "error": found.error,
        "named": found.named,
        "network_calls": found.calls,
        "trajectories": trajectories,
        "seed": seed,
        **run.weights(),
        "seconds": round(time.perf_counter() - begun, 3),
    }
    file = run.folder / "tuned" / f"{steps}.json"
    write_atomic(file, json.dumps(result, indent=1))
    return {**result, "file": str(file)}


def _conditions(run: Run, count: int) -> Any:
    """Conditions of the run's own data, for a conditional run."""
    model = run.model()
    if not model.condition_names:
        return None
    images, _ = run.open_data("train", limit=count)
    return images.batch(range(count)).cond
