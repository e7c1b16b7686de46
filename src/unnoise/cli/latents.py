"""The commands of `unnoise edit` that work on latents: interpolate, arithmetic, invert, traverse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unnoise.cli.edit import edit
from unnoise.cli.options import Device, Json, LatentOptions, Overwrite, Picture, RunFolder, Whole
from unnoise.cli.output import show
from unnoise.errors import UserError

LATENTS = LatentOptions()
End = Annotated[str, Parameter(help="The file of a picture, a folder of them, whose latents are averaged, or a seed.")]


@edit.command
def interpolate(
    run: RunFolder,
    a: End,
    b: End,
    /,
    *,
    count: Annotated[Whole, Parameter(help="How many images, both ends included.")] = 8,
    options: LatentOptions = LATENTS,
) -> None:
    """Go from A to B through the latents of a run, or a diffusion run's noise; each a picture, or the seed of one."""
    _edit("interpolate", run, (a, b), options, count=count)


@edit.command
def arithmetic(
    run: RunFolder,
    /,
    *terms: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="A B C, or A - B + C: pictures, folders of them, whose latents are averaged, or seeds.",
        ),
    ],
    options: LatentOptions = LATENTS,
) -> None:
    """A - B + C: the change that makes A out of B, applied to C. The grid shows A, B, C and the result."""
    if len(terms) == 5 and terms[1::2] != ("-", "+"):
        raise UserError(f"unnoise edit arithmetic takes A - B + C, got {' '.join(terms)}")
    _edit("arithmetic", run, terms[::2] if len(terms) == 5 else terms, options)


@edit.command
def invert(run: RunFolder, image: Picture, /, *, options: LatentOptions = LATENTS) -> None:
    """Encode a picture, decode it again, and measure what was lost, as PSNR."""
    _edit("invert", run, (str(image),), options)


@edit.command
def denoise(
    run: RunFolder,
    image: Picture,
    /,
    *,
    noise: Annotated[float, Parameter(help="Its standard deviation, for pixels in [-1, 1]; of a diffusion run.")] = 0.5,
    out: Annotated[Path | None, Parameter(help="A .png; by default in the run's samples folder.")] = None,
    overwrite: Overwrite = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Take the noise out of a picture, by an autoencoder (recipe dae) or by one call of a diffusion run."""
    from unnoise.editing.denoise import denoise_picture

    result = denoise_picture(run, image, noise=noise, out=out, overwrite=overwrite, device=device)
    show(result, json, then=f"look at {result['out']}")


@edit.command
def traverse(
    run: RunFolder,
    image: str,
    /,
    *,
    count: Annotated[Whole, Parameter(help="Images per dimension of the latent.")] = 8,
    options: LatentOptions = LATENTS,
) -> None:
    """Vary the dimensions of a latent one by one, a row each: of a picture, or of a seed. Not of a diffusion run."""
    _edit("traverse", run, (image,), options, count=count)


def _edit(task: str, run: RunFolder, givens: tuple[str, ...], options: LatentOptions, **count: int) -> None:
    from unnoise.editing.edit_latents import edit_latents

    result = edit_latents(
        run,
        task,
        givens,
        **count,
        steps=options.steps,
        conditions=options.conditions,
        out=options.out,
        overwrite=options.overwrite,
        device=options.device,
    )
    show(result, options.json, then=f"look at {result['out']}")
