"""unnoise tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.output import show


def tune(
    run: Path,
    /,
    *,
    steps: int = 10,
    trajectories: int = 32,
    device: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Find the best sampler of few steps for a run; `unnoise sample` takes it when asked for so many steps.

    Short trajectories with every solver and grid are compared with a fine one, and the best grid is improved time by
    time: minutes, not hours.

    Parameters
    ----------
    run
        The folder of a diffusion run.
    steps
        Network calls per image.
    trajectories
        How many images are compared; more are slower and surer.
    device
        cpu, cuda, mps; by default the best there is.
    json
        One JSON object on standard output.
    """
    from unnoise.sampling.tune import tune_run

    result = tune_run(run, steps, trajectories=trajectories, device=device)
    named = ", ".join(f"{name} {error:.4f}" for name, error in sorted(result["named"].items(), key=lambda at: at[1]))
    lines = [
        f"sampler        {result['sampler']}",
        f"error          {result['error']:.4f} (root mean square from the fine trajectory's end)",
        f"named grids    {named}",
        f"network calls  {result['network_calls']} of {result['trajectories']} images, {result['seconds']} s",
        f"kept in        {result['file']}",
    ]
    show(result, json, lines)
