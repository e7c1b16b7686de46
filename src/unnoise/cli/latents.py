"""The commands of `unnoise edit` that work on codes: interpolate, arithmetic, invert, traverse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.edit import Telling, edit
from unnoise.cli.output import show
from unnoise.errors import UserError


@Parameter(name="*")
@dataclass(frozen=True)
class Coding(Telling):
    """What the edits through codes take."""

    steps: Annotated[int, Parameter(help="DDIM steps each way, of a diffusion run.")] = 100
    out: Annotated[Path | None, Parameter(help="A .png with all images, or a .gif that shows them in turn.")] = None


USUAL = Coding()


@edit.command
def interpolate(
    run: Path,
    a: str,
    b: str,
    /,
    *,
    count: Annotated[int, Parameter(help="How many images, both ends included.")] = 8,
    coding: Coding = USUAL,
) -> None:
    """Go from A to B through the codes of a run, or a diffusion run's noise; each a picture, or the seed of one."""
    _edit("interpolate", run, (a, b), count, coding)


@edit.command
def arithmetic(
    run: Path,
    /,
    *terms: Annotated[str, Parameter(allow_leading_hyphen=True, help="A B C, or A - B + C: pictures or seeds.")],
    coding: Coding = USUAL,
) -> None:
    """A - B + C: what makes A out of B, done to C. The grid shows A, B, C and the result."""
    if len(terms) == 5 and terms[1::2] != ("-", "+"):
        raise UserError(f"unnoise edit arithmetic takes A - B + C, got {' '.join(terms)}")
    _edit("arithmetic", run, terms[::2] if len(terms) == 5 else terms, 1, coding)


@edit.command
def invert(run: Path, image: Path, /, *, coding: Coding = USUAL) -> None:
    """Picture to code to picture, and what was lost on the way, as PSNR."""
    _edit("invert", run, (str(image),), 1, coding)


@edit.command
def traverse(
    run: Path,
    image: str,
    /,
    *,
    count: Annotated[int, Parameter(help="Images per number of the code.")] = 8,
    coding: Coding = USUAL,
) -> None:
    """Move the numbers of a code one by one, a row each: of a picture, or of a seed. Not of a diffusion run."""
    _edit("traverse", run, (image,), count, coding)


def _edit(task: str, run: Path, givens: tuple[str, ...], count: int, coding: Coding) -> None:
    from unnoise.editing.latent_space import edit_latents
    from unnoise.sampling.conditions import SampleConditions

    conditions = SampleConditions(coding.label, coding.prompt, coding.map_)
    result = edit_latents(
        run, task, givens, count=count, steps=coding.steps, conditions=conditions, out=coding.out, device=coding.device
    )
    show(result, coding.json)
