"""unnoise show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.options import Device, Json, Overwrite, SomeWhole
from unnoise.cli.output import show as print_result
from unnoise.lectures import FIGURES


def show(
    what: Annotated[str, Parameter(help=f"{', '.join(FIGURES)}.")],
    /,
    *given: Annotated[str, Parameter(help="What the figure is drawn of: a picture file, or runs.")],
    schedule: Annotated[str | None, Parameter(help="A noise schedule, of the figures that have one.")] = None,
    seed: Annotated[SomeWhole, Parameter(help="Of the figures that draw random numbers.")] = None,
    steps: Annotated[SomeWhole, Parameter(help="Training steps, of the figures that train networks.")] = None,
    minutes: Annotated[
        float | None, Parameter(help="Of every training, of the figures that train on images; --steps instead.")
    ] = None,
    n: Annotated[SomeWhole, Parameter(name=("-n", "--number"), help="Samples of every measurement.")] = None,
    out: Annotated[
        Path | None,
        Parameter(help="A .png, or a .gif where time moves; by default WHAT.png, and WHAT.gif too where time moves."),
    ] = None,
    overwrite: Overwrite = False,
    device: Device = None,
    json: Json = False,
) -> None:
    from unnoise.lectures import show as draw

    options = {"schedule": schedule, "seed": seed, "steps": steps, "minutes": minutes, "n": n, "device": device}
    print_result(draw(what, *given, out=out, overwrite=overwrite, **options), json)


show.__doc__ = "Draw a figure of the course.\n\n" + "\n".join(
    f"* `{f'{name} {entry.takes}'.strip()}`: {entry.says}" for name, entry in FIGURES.items()
)
