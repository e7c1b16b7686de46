"""unnoise distill."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.options import Device, Json, SetOptions, SomeWhole, Whole
from unnoise.cli.output import command, show
from unnoise.cli.tables import listed

Method = Annotated[str, Parameter(help=f"{listed('distilling')}.")]


def distill(
    run: Path,
    /,
    *,
    method: Method = "distribution-matching",
    calls: SomeWhole = None,
    out: Path | None = None,
    set_: SetOptions = None,
    minutes: float | None = None,
    steps: SomeWhole = None,
    seed: Whole = 0,
    device: Device = None,
    json: Json = False,
) -> None:
    """Make a run that draws in 1 to 4 network calls from a diffusion run; the same command again resumes.

    The new run begins with the weights of the old one and has its data, schedule and conditions; the old one stays.

    Args:
        run: The folder of a diffusion run: the teacher.
        calls: Network calls that samples are to take, of adversarial, distribution-matching and progressive; by default
            2. Made for one alone, a student is better in one.
        out: The new run's folder; by default runs/RUN-METHOD.
        set_: KEY=VALUE, overriding what the method sets: --set train.learning_rate=1e-4 --set objective.least=0.05.
        minutes: Stop after so many minutes of training, over all sessions of the run.
        steps: Stop after so many steps, over all sessions of the run; by default as many as the teacher's recipe has.
        seed: Everything random follows from it.
    """
    from unnoise.runs.config import parse_overrides
    from unnoise.training.distill import distill as run_distillation

    given = parse_overrides(set_ or [])
    made = run_distillation(run, method, out, steps, minutes, seed, given, calls=calls, device=device)
    assert made.summary is not None
    show(made.summary, json, then=command("sample", made.folder))
