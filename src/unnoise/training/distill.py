"""From a trained diffusion run to one that samples in a few steps."""

from __future__ import annotations

from pathlib import Path

from unnoise.aliases import Spec
from unnoise.errors import UserError
from unnoise.models import Diffusion
from unnoise.progress import notice
from unnoise.registry import lookup
from unnoise.runs.run import Run
from unnoise.samplers.straightness import straightness
from unnoise.training.methods import METHODS, Method, method_of
from unnoise.training.train import train

STRAIGHTNESS_ROWS, STRAIGHTNESS_STEPS = 64, 20
"""Paths that straightness is measured on, and DDIM's steps along each."""


def distill(
    run: Run | str | Path,
    method: str = "distribution-matching",
    out: str | Path | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    overrides: Spec | None = None,
    *,
    calls: int | None = None,
    device: str | None = None,
) -> Run:
    """Trains a new run that draws in one or a few network calls what a diffusion run draws in many; the same call
    resumes.

    Args:
        run: the teacher, which stays as it is. The new run begins with its weights and has its data, schedule,
            parametrization and conditions. `distribution-matching` also takes a student by `consistency`, whose weights
            it begins with and whose teacher it has.
        method: a name in METHODS.
        out: by default runs/RUN-METHOD.
        steps: when to stop, over all sessions; by default the teacher's own steps.
        minutes: the same, in minutes.
        seed: everything random follows from it.
        overrides: dotted keys, such as {'train.learning_rate': 1e-4}.
        calls: network calls that samples are to take, of a method whose students are made for a number of them.
        device: by default the best there is.

    Raises:
        UserError: for a run that is no diffusion model, for one that is distilled already, and for one trained on an
            array; for `calls` of a method that takes any number.
    """
    chosen_method = lookup(METHODS, method, "method")
    made_for = {} if calls is None else _made_for(calls, method, chosen_method)
    base = Run.open(run)
    _check(base, chosen_method)
    limit = {"train.minutes": 0.0 if minutes is None else minutes, **({} if steps is None else {"train.steps": steps})}
    folder = Path(out or Path("runs") / f"{base.folder.resolve().name}-{method}")
    given = {**(overrides or {}), **made_for}
    notice(f"{method}: {chosen_method.about}")
    fitted = chosen_method.fitted
    found = {} if fitted is None else fitted(base, folder, limit["train.minutes"], device)
    chosen = {**chosen_method.changes, **found, **limit}
    part = "objective."
    options = {key[len(part) :]: value for key, value in {**chosen, **given}.items() if key.startswith(part)}
    chosen = {**chosen, "sampler": chosen_method.sampler(options), **given}
    made = train(base.config["source"], out=folder, seed=seed, overrides=chosen, start=base.folder, device=device)
    if chosen_method.straightens and made.summary is not None:
        paths = {"teacher": _straightness(base, device), "student": _straightness(made, device)}
        made.summary["straightness"] = paths
    return made


def _made_for(calls: int, method: str, chosen: Method) -> Spec:
    if not chosen.for_calls:
        others = " or ".join(name for name, one in METHODS.items() if one.for_calls)
        raise UserError(
            f"students by {method} draw in any number of calls ('unnoise sample --steps K'): leave --calls out, or "
            f"choose --method {others}"
        )
    return {"objective.calls": calls}


def _straightness(run: Run, device: str | None) -> float:
    """Of the run's flow, without guidance, for the conditions of its first images; the same draws for every run."""
    model = run.load(device)
    assert isinstance(model, Diffusion)
    images, _ = run.open_data("train")
    rows = range(min(STRAIGHTNESS_ROWS, len(images)))
    cond = model.conditions(images.batch(rows, model.device))
    return round(straightness(model.guided(), model.prior(rows), cond, STRAIGHTNESS_STEPS), 6)


def _check(base: Run, chosen: Method) -> None:
    kind, learned = base.config["model"]["kind"], method_of(base.config["objective"]["kind"])
    if kind != "diffusion":
        raise UserError(f"distilling needs a diffusion model; {base.folder} is of kind {kind}")
    if learned is not None and not METHODS[learned].flow and learned not in chosen.goes_on:
        raise UserError(f"{base.folder} is a student by {learned} already; distil the diffusion run that it comes from")
    if base.config["source"] == "array":
        raise UserError(f"{base.folder} was trained on an array, which a run does not keep; train it on a file of it")
