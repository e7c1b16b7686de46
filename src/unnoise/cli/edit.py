"""unnoise edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from unnoise.cli.output import show

edit = App(name="edit", help="Edit a picture with a trained run: inpaint, upscale, deblur or vary it.")

Number = Annotated[int, Parameter(name=["--number", "-n"], help="How many versions.")]
Seed = Annotated[int, Parameter(help="Version i has seed SEED + i.")]
Steps = Annotated[int, Parameter(help="Network evaluations per image.")]
Method = Annotated[str, Parameter(help="pigdm, mmps (nearest, slow), ddnm (fast, rough) or dps.")]
Out = Annotated[Path | None, Parameter(help="The strip's .png; each version is written beside it.")]
Device = Annotated[str | None, Parameter(help="cpu, cuda, mps; by default the best there is.")]
Json = Annotated[bool, Parameter(negative="", help="One JSON object on standard output.")]


@edit.command
def inpaint(
    run: Path,
    image: Path,
    /,
    *,
    mask: Path,
    number: Number = 4,
    method: Annotated[str, Parameter(help="pigdm, mmps (nearest), ddnm (fast, rough), dps or repaint.")] = "pigdm",
    steps: Steps = 100,
    seed: Seed = 0,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Draw the white pixels of a mask anew; all others stay as they are, to the bit."""
    from unnoise.edits import edit as apply
    from unnoise.edits import inpaint_file

    work = inpaint_file(image, mask, method=method, steps=steps)
    show(apply(run, "inpaint", work, range(seed, seed + number), out=out, device=device), json)


@edit.command
def upscale(
    run: Path,
    image: Path,
    /,
    *,
    factor: Annotated[int, Parameter(help="How many times as wide and high.")] = 4,
    number: Number = 4,
    method: Method = "pigdm",
    steps: Steps = 100,
    seed: Seed = 0,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Enlarge a small picture to the size of the run's images."""
    from unnoise.edits import edit as apply
    from unnoise.edits import upscale_file

    work = upscale_file(image, factor, method=method, steps=steps)
    show(apply(run, "upscale", work, range(seed, seed + number), out=out, device=device), json)


@edit.command
def deblur(
    run: Path,
    image: Path,
    /,
    *,
    std: Annotated[float, Parameter(help="Deviation of the Gaussian blur, in pixels.")],
    noise: Annotated[float, Parameter(help="Deviation of the picture's noise, for pixels in [-1, 1].")] = 0.01,
    number: Number = 4,
    method: Method = "pigdm",
    steps: Steps = 100,
    seed: Seed = 0,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Sharpen a blurred picture."""
    from unnoise.edits import deblur_file
    from unnoise.edits import edit as apply

    work = deblur_file(image, std, noise=noise, method=method, steps=steps)
    show(apply(run, "deblur", work, range(seed, seed + number), out=out, device=device), json)


@edit.command
def vary(
    run: Path,
    image: Path,
    /,
    *,
    strength: Annotated[float, Parameter(help="0 gives the picture back, 1 forgets it.")] = 0.5,
    number: Number = 4,
    steps: Steps = 100,
    seed: Seed = 0,
    out: Out = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Draw versions of a picture."""
    from unnoise.edits import edit as apply
    from unnoise.edits import vary_file

    work = vary_file(image, strength, steps=steps)
    show(apply(run, "vary", work, range(seed, seed + number), out=out, device=device), json)
