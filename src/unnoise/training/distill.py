"""From a trained diffusion run to one that samples in a few steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unnoise.aliases import Spec
from unnoise.errors import UserError
from unnoise.registry import lookup
from unnoise.runs.run import Run
from unnoise.training.train import train

METHODS: dict[str, dict[str, Any]] = {
    "consistency": {
        "objective.kind": "consistency",
        "objective.teacher": True,
        # As Song et al. 2023: intervals drawn alike that weigh the same. 25 - 1 is a multiple of 1, 2, 3 and 4, so that
        # `Renoise` in as many steps visits times that were trained: a student knows no others.
        "objective.intervals": 25,
        "objective.most_intervals": 25,
        "objective.gap_power": 0.0,
        "objective.timesteps": {"kind": "log-normal-sigma", "mean": 0.4, "std": 2.9},  # the moments of Karras' grid
        "sampler.kind": "renoise",
        "sampler.steps": 2,
    },
}
"""What each method changes in the recipe of the teacher."""


def distill(
    run: Run | str | Path,
    method: str = "consistency",
    out: str | Path | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    overrides: Spec | None = None,
    *,
    device: str | None = None,
) -> Run:
    """Trains a new run that draws in one or a few network calls what a diffusion run draws in many; the same call
    resumes.

    Args:
        run: the teacher, which stays as it is. The new run begins with its weights and has its data, schedule,
            parametrization and conditions.
        method: a name in METHODS.
        out: by default runs/RUN-METHOD.
        steps: when to stop, over all sessions; by default the teacher's own steps.
        minutes: the same, in minutes.
        seed: everything random follows from it.
        overrides: dotted keys, such as {'train.learning_rate': 1e-4}.
        device: by default the best there is.

    Raises:
        UserError: for a run that is no diffusion model, for one that is distilled already, and for one trained on an
            array.
    """
    changes = lookup(METHODS, method, "method")
    base = Run.open(run)
    _check(base, method)
    limit = {"train.minutes": 0.0 if minutes is None else minutes, **({} if steps is None else {"train.steps": steps})}
    folder = Path(out or Path("runs") / f"{base.folder.resolve().name}-{method}")
    chosen = {**changes, **limit, **(overrides or {})}
    return train(base.config["source"], out=folder, seed=seed, overrides=chosen, start=base.folder, device=device)


def _check(base: Run, method: str) -> None:
    kind, learned = base.config["model"]["kind"], base.config["objective"]["kind"]
    if kind != "diffusion":
        raise UserError(f"distilling needs a diffusion model; {base.folder} is of kind {kind}")
    if learned in METHODS:
        raise UserError(f"{base.folder} is a {learned} model already; distil the diffusion run that it comes from")
    if base.config["source"] == "array":
        raise UserError(f"{base.folder} was trained on an array, which a run does not keep; train it on a file of it")
