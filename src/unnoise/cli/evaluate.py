"""unnoise evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.output import show


def evaluate(
    run: Path,
    /,
    *,
    data: str | None = None,
    split: str = "test",
    metrics: str = "bpd",
    number: Annotated[int, Parameter(name=["--number", "-n"])] = 1000,
    seed: int = 0,
    device: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure a run; the result is kept in its evaluations folder with how it was made.

    Parameters
    ----------
    run
        The folder of a run.
    data
        A source of images; by default the one the run was trained on.
    split
        train or test; test falls back to train where the source has no split, and says so.
    metrics
        Comma-separated: bpd (bits per dimension: prior, denoising, decoder).
    number
        At most so many images.
    seed
        Of the noise.
    device
        cpu, cuda, mps; by default the best there is.
    json
        One JSON object on standard output.
    """
    from unnoise.evaluation import evaluate as measure

    names = tuple(name.strip() for name in metrics.split(","))
    result = measure(run, data, names, split=split, n=number, seed=seed, device=device)
    lines = [
        f"run        {result['run']}, step {result['step']}",
        f"data       {result['data']['source']} ({result['data']['split']}), {result['n']} images",
        *(f"{name:<10} {value:.5f} bits/dim" for name, value in result["bits_per_dim"].items()),
        f"variance   {result['variance']}",
        f"seconds    {result['seconds']}",
    ]
    show(result, json, lines)
