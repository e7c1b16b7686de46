"""The commands of `unnoise edit` that work on codes: interpolate, arithmetic, invert, traverse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.edit import Device, Json, Out, edit
from unnoise.cli.output import show

Steps = Annotated[int, Parameter(help="DDIM steps each way, of a diffusion run.")]


@edit.command
def interpolate(
    run: Path,
    a: Path,
    b: Path,
    /,
    *,
    count: Annotated[int, Parameter(help="How many images, both ends included.")] = 8,
    steps: Steps = 100,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Go from one picture to another through codes: those of an autoencoder or a VAE, or a diffusion run's noise."""
    _edit("interpolate", run, (a, b), count, steps, out, device, json)


@edit.command
def arithmetic(
    run: Path,
    a: Path,
    b: Path,
    c: Path,
    /,
    *,
    steps: Steps = 100,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """A - B + C: what makes A out of B, done to C. The grid shows A, B, C and the result."""
    _edit("arithmetic", run, (a, b, c), 1, steps, out, device, json)


@edit.command
def invert(
    run: Path, image: Path, /, *, steps: Steps = 100, out: Out = None, device: Device = None, json: Json = False
) -> None:
    """Picture to code to picture, and what was lost on the way, as PSNR."""
    _edit("invert", run, (image,), 1, steps, out, device, json)


@edit.command
def traverse(
    run: Path,
    image: Path,
    /,
    *,
    count: Annotated[int, Parameter(help="Images per number of the code.")] = 8,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Move the numbers of a picture's code one by one, a row each: an autoencoder or a VAE."""
    _edit("traverse", run, (image,), count, 1, out, device, json)


def _edit(
    task: str,
    run: Path,
    images: tuple[Path, ...],
    count: int,
    steps: int,
    out: Path | None,
    device: str | None,
    json: bool,
) -> None:
    from unnoise.semantics import edit_codes

    show(edit_codes(run, task, images, count=count, steps=steps, out=out, device=device), json)
