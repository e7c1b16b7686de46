"""unnoise tune."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unnoise.cli.options import SAMPLER, Device, Json
from unnoise.cli.output import command, show

Competing = Annotated[
    str,
    Parameter(
        help=f"Comma-separated samplers whose grids compete: {SAMPLER}; by default several orders of those that call "
        "the network once a step."
    ),
]


def tune(
    run: Path,
    /,
    *,
    steps: int = 10,
    samplers: Competing = "",
    trajectories: int = 32,
    device: Device = None,
    json: Json = False,
) -> None:
    """Find the best sampler of few steps for a run; `unnoise sample` takes it when asked for so many steps.

    Short trajectories with every sampler and grid are compared with a fine one, and the best grid is improved time by
    time: minutes, not hours.

    Args:
        run: The folder of a diffusion run.
        steps: Network calls per image.
        trajectories: How many images are compared; more are slower and surer.
    """
    from unnoise.samplers.spec import split_samplers
    from unnoise.sampling.tune import tune_run

    result = tune_run(run, steps, samplers=split_samplers(samplers), trajectories=trajectories, device=device)
    show(result, json, _lines(result), then=command("sample", run, "--steps", steps))


def _lines(result: Mapping[str, Any]) -> list[str]:
    named = sorted(result["named"].items(), key=lambda entry: entry[1])
    best, least = named[0]
    gain = f"{100 * (1 - result['error'] / least):.0f} % nearer than the best named grid, {best} ({least:.4f})"
    return [
        f"sampler        {result['sampler']}",
        f"error          {result['error']:.4f} (root mean square from the fine trajectory's end)",
        f"gain           {gain}",
        f"named grids    {', '.join(f'{name} {error:.4f}' for name, error in named)}",
        f"network calls  {result['network_calls']} of {result['trajectories']} images, {result['seconds']} s",
        f"kept in        {result['file']}",
    ]
