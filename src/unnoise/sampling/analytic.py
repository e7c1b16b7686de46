"""The analytic variance of a run's reverse steps: estimated once from its own images, kept in the run."""

from __future__ import annotations

import json
from dataclasses import replace

import torch

from unnoise.aliases import Record
from unnoise.files import write_atomic
from unnoise.io.json_file import read_json
from unnoise.process.variance import Analytic, estimate_gammas
from unnoise.registry import arguments_of
from unnoise.runs.run import Run
from unnoise.runtime.precision import chosen_precision, computing_in
from unnoise.samplers import Ancestral, Sampler
from unnoise.samplers.grids import times

IMAGES, LEVELS = 64, 50
"""Network calls are LEVELS, each of IMAGES images."""


def with_analytic_variance(run: Run, sampler: Sampler) -> Sampler:
    """The sampler; where its variance is 'analytic', with the gammas of the run's newest checkpoint (Bao et al. 2022).

    They are read from RUN/tuned/variance.json, which is written where there is none of this checkpoint.
    """
    if not isinstance(sampler, Ancestral) or sampler.variance != "analytic":
        return sampler
    file, weights = run.folder / "tuned" / "variance.json", run.weights()
    kept: Record = read_json(file) if file.is_file() else {}
    if any(kept.get(key) != value for key, value in weights.items()):
        found = _estimated(run)
        kept = {"times": found.times, "gammas": found.gammas, "images": IMAGES, **weights}
        write_atomic(file, json.dumps(kept, indent=1))
    fitting = {name: kept[name] for name in ("times", "gammas") if name in kept}
    return replace(sampler, variance=Analytic(**arguments_of(Analytic, fitting, str(file))))


@torch.no_grad()
def _estimated(run: Run) -> Analytic:
    model = run.diffusion("the analytic variance")
    images, _ = run.open_data("train", limit=IMAGES)
    batch = images.batch(range(min(IMAGES, len(images))), model.device)
    native = model.schedule.grid
    falling = times(model.schedule, "log-snr", LEVELS if native is None else min(LEVELS, len(native)))[:-1]
    seen = falling[model.schedule.alpha(falling) > 0]  # where no signal is left there is nothing to learn of it
    with computing_in(model.device, chosen_precision(model.device)):
        return estimate_gammas(model.guided(), model.encoded(batch), seen, cond=model.conditions(batch))
