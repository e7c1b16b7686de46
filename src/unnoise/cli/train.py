"""unnoise train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.options import Device, Json, SetOptions, SomeWhole, Whole
from unnoise.cli.output import command, show
from unnoise.cli.tables import listed
from unnoise.runtime.launch import start_processes, started_by_torchrun

Source = Annotated[
    str,
    Parameter(
        help="A folder of images (sub-folders are classes), a zip or tar of one, an .npy/.npz, MNIST-style IDX files, "
        f"CIFAR-10's binary batches, or a built-in name: {listed('sources')}."
    ),
]
Recipe = Annotated[
    str | None,
    Parameter(
        help=f"The path of a .toml file or a built-in recipe: {listed('recipes')}; by default auto, or with --from "
        "that run's own."
    ),
]


def train(
    source: Source,
    /,
    *,
    recipe: Recipe = None,
    from_: Annotated[Path | None, Parameter(name="--from")] = None,
    out: Path | None = None,
    set_: SetOptions = None,
    minutes: float | None = None,
    steps: SomeWhole = None,
    quality: Annotated[
        str | None, Parameter(help=f"{listed('qualities')}: how much time, where --minutes says nothing.")
    ] = None,
    size: SomeWhole = None,
    seed: Whole = 0,
    device: Device = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    devices: str | None = None,
    strict: Annotated[bool, Parameter(negative="")] = False,
    processes: SomeWhole = None,
    json: Json = False,
) -> None:
    """Train a model on a source of images; the same command again resumes.

    Ctrl-C finishes the step, saves and exits. Nothing is written outside the run's folder and the cache.

    Args:
        from_: A run whose weights this one begins with, as far as they fit; it says what did not. To adapt a run to a
            handful of images: --from RUN --set model.lora.rank=8.
        out: The run's folder; by default runs/SOURCE-RECIPE.
        set_: KEY=VALUE, overriding the recipe: --set train.batch_size=32 --set model.schedule.kind=cosine-betas.
        minutes: Stop after so many minutes of training, over all sessions of the run.
        steps: Stop after so many steps, over all sessions of the run.
        size: The shorter side of the images in pixels, as --set data.size; by default found from the data.
        seed: Everything random follows from it.
        dry_run: Print the plan and stop.
        processes: Train in so many processes on this machine, each with a GPU of its own where there are GPUs;
            `torchrun -m unnoise train` does the same on several machines (docs/clusters.md).
        devices: With --dry-run: what it would take elsewhere, such as 8xH100; every figure says whether it is an
            estimate.
        strict: Refuse a source with broken files instead of skipping them.
    """
    if processes is not None and not started_by_torchrun():
        sys.exit(start_processes(processes, sys.argv[1:]))
    from unnoise.runs.config import parse_overrides
    from unnoise.training.train import train as run_training

    overrides = parse_overrides(set_ or []) | ({"data.strict": True} if strict else {})
    overrides |= {} if quality is None else {"dial.quality": quality}
    overrides |= {} if size is None else {"data.size": size}
    run = run_training(
        source,
        recipe,
        out,
        steps,
        minutes,
        seed,
        overrides,
        start=from_,
        device=device,
        dry_run=dry_run,
        devices=devices,
    )
    assert run.plan is not None
    if run.summary is None:
        show(run.plan.to_dict(), json, run.plan.lines(), then="the same command without --dry-run")
        return
    show(run.summary, json, then=command("sample", run.folder))
