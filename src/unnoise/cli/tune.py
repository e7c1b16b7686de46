"""unnoise tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.aliases import Spec
from unnoise.cli.options import SAMPLER, Device, Json, Whole
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
    steps: Whole = 10,
    samplers: Competing = "",
    trajectories: Whole = 32,
    iterations: Whole = 200,
    device: Device = None,
    json: Json = False,
) -> None:
    """Learn the best sampler of few steps for a run; `unnoise sample` takes it when asked for so many steps.

    Short trajectories with every sampler and grid are compared with a fine one, the best grid is improved time by
    time, and then times and coefficients are learnt together by gradients through the sampler: minutes, without data.
    What wins on other seeds is kept, and nothing where that is a named grid.

    Args:
        run: The folder of a diffusion run.
        steps: Network calls per image.
        trajectories: How many images are compared; more are slower and surer.
        iterations: Of learning coefficients; 0 tunes the times alone.
    """
    from unnoise.samplers.spec import split_samplers
    from unnoise.sampling.tune import tune_run

    result = tune_run(
        run,
        steps,
        samplers=split_samplers(samplers),
        trajectories=trajectories,
        iterations=iterations,
        device=device,
    )
    show(result, json, _lines(result), then=command("sample", run, "--steps", steps))


def _lines(result: Spec) -> list[str]:
    held_out, named = result["held_out"], sorted(result["named"].items(), key=lambda entry: entry[1])
    gain = 100 * (1 - result["error"] / held_out["untuned"])
    kept = f"{result['file']} ({result['kept']})" if result["file"] else "nothing: no gain over the best named grid"
    return [
        f"error          {', '.join(f'{name} {error:.4f}' for name, error in held_out.items())}",
        f"               (root mean square from the fine trajectory's end, {result['trajectories']} other seeds)",
        f"gain           {gain:.0f} % nearer than the best named grid, {result['untuned']}",
        f"named grids    {', '.join(f'{name} {error:.4f}' for name, error in named)}",
        f"teacher        {result['teacher']}",
        f"network calls  {result['network_calls']} of up to {result['trajectories']} images, {result['seconds']} s",
        f"kept in        {kept}",
    ]
