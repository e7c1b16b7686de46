"""The commands of `unnoise edit` that draw: inpaint, outpaint, upscale, colourise, deblur, vary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from unnoise.aliases import Record
from unnoise.cli.options import PLAIN, DrawOptions, Picture, RunFolder, Whole
from unnoise.cli.output import show
from unnoise.cli.tables import listed

if TYPE_CHECKING:
    from unnoise.editing import Edit

edit = App(
    name="edit",
    help="Edit a picture with a trained diffusion run, of pixels or of latents, or through the latents of any run.",
    default_parameter=PLAIN,
)

METHODS = f"{listed('restoring')}; by default pigdm on pixels, mmps through the decoder of a latent run"
Method = Annotated[str | None, Parameter(help=f"{METHODS}.")]
MASK = "A picture as large as the image, or as the run's images: white is drawn, black is kept."
DRAW = DrawOptions()


@edit.command
def inpaint(
    run: RunFolder,
    image: Picture,
    /,
    *,
    mask: Annotated[Path, Parameter(help=MASK)],
    method: Annotated[str | None, Parameter(help=f"repaint, {METHODS}.")] = None,
    draw: DrawOptions = DRAW,
) -> None:
    """Draw the white pixels of a mask anew; all others stay as they are, to the bit."""
    from unnoise.editing import Inpaint

    _apply(run, Inpaint(image=image, mask=mask, method=method, **_shared(draw)), draw)


@edit.command
def outpaint(
    run: RunFolder,
    image: Picture,
    /,
    *,
    at: Annotated[str | None, Parameter(help="X,Y of the picture's left top corner in the run's canvas.")] = None,
    anchor: Annotated[str | None, Parameter(help=f"Instead of --at: {listed('anchors')}; by default centre.")] = None,
    method: Method = None,
    draw: DrawOptions = DRAW,
) -> None:
    """Draw what lies around a picture that is smaller than the run's images; it stays as it is, to the bit."""
    from unnoise.editing import Outpaint

    _apply(run, Outpaint(image=image, at=at, anchor=anchor, method=method, **_shared(draw)), draw)


@edit.command
def upscale(
    run: RunFolder,
    image: Picture,
    /,
    *,
    factor: Annotated[Whole, Parameter(help="How many times as wide and high.")] = 4,
    method: Method = None,
    draw: DrawOptions = DRAW,
) -> None:
    """Enlarge a small picture to the size of the run's images."""
    from unnoise.editing import Upscale

    _apply(run, Upscale(image=image, factor=factor, method=method, **_shared(draw)), draw)


@edit.command
def colourise(run: RunFolder, image: Picture, /, *, method: Method = None, draw: DrawOptions = DRAW) -> None:
    """Give colours to a grey picture, whose luma stays; needs a run of RGB images."""
    from unnoise.editing import Colourise

    _apply(run, Colourise(image=image, method=method, **_shared(draw)), draw)


@edit.command
def deblur(
    run: RunFolder,
    image: Picture,
    /,
    *,
    std: Annotated[float, Parameter(help="Standard deviation of the Gaussian blur, in pixels.")],
    noise: Annotated[
        float | None,
        Parameter(help="Standard deviation of the picture's noise, for pixels in [-1, 1]; by default estimated."),
    ] = None,
    method: Method = None,
    draw: DrawOptions = DRAW,
) -> None:
    """Sharpen a blurred picture."""
    from unnoise.editing import Deblur

    _apply(run, Deblur(image=image, std=std, noise=noise, method=method, **_shared(draw)), draw)


@edit.command
def vary(
    run: RunFolder,
    image: Picture,
    /,
    *,
    strength: Annotated[float, Parameter(help="0 gives the picture back, 1 forgets all but its cluster.")] = 0.5,
    draw: DrawOptions = DRAW,
) -> None:
    """Draw versions of a picture; with a label or a prompt, versions that follow it."""
    from unnoise.editing import Vary

    _apply(run, Vary(image=image, strength=strength, **_shared(draw)), draw)


def _shared(draw: DrawOptions) -> Record:
    """What all edits share: how the picture is fitted, and how the run samples."""
    return {"fit": draw.fit, "own_size": draw.own_size, "sampler": draw.sampler, "steps": draw.steps}


def _apply(run: RunFolder, task: Edit, draw: DrawOptions) -> None:
    from unnoise.editing import edit as apply

    result = apply(
        run,
        task,
        range(draw.seed, draw.seed + draw.number),
        conditions=draw.conditions,
        guidance=draw.guide,
        out=draw.out,
        overwrite=draw.overwrite,
        device=draw.device,
    )
    show(result, draw.json, then=f"look at {result['out']}")
