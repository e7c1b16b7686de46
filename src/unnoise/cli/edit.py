"""The commands of `unnoise edit` that draw: inpaint, outpaint, upscale, colourise, deblur, vary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from unnoise.cli.output import show

if TYPE_CHECKING:
    from unnoise.editing import Edit

edit = App(
    name="edit",
    help="Edit a picture with a trained diffusion run, of pixels or of latents, or through the codes of any run.",
)

Method = Annotated[
    str | None,
    Parameter(
        help="pigdm (the default on pixels), mmps (nearest, slow; the default through the decoder of a latent run, "
        "where it is an approximation), ddnm (fast, rough) or dps (on pixels)."
    ),
]


@dataclass(frozen=True)
class Telling:
    """What every edit takes: what a conditional run is told, where it computes, how it answers."""

    label: Annotated[str | None, Parameter(help="A class, by name or number, of a class-conditional run.")] = None
    prompt: Annotated[str | None, Parameter(help="A text, of a run trained on captions.")] = None
    map_: Annotated[
        Path | None,
        Parameter(name="--map", help="A PNG whose pixels are class numbers, of a run trained on segmentation maps."),
    ] = None
    device: Annotated[str | None, Parameter(help="cpu, cuda, mps; by default the best there is.")] = None
    json: Annotated[bool, Parameter(negative="", help="One JSON object on standard output.")] = False


@Parameter(name="*")
@dataclass(frozen=True)
class Drawing(Telling):
    """What the edits that draw take."""

    number: Annotated[int, Parameter(name=["--number", "-n"], help="How many versions.")] = 4
    steps: Annotated[int, Parameter(help="Steps of the sampler.")] = 100
    seed: Annotated[int, Parameter(help="Version i has seed SEED + i.")] = 0
    guidance: Annotated[
        float, Parameter(help="Scale of classifier-free guidance towards label, prompt or map; 1 is none.")
    ] = 1.0
    out: Annotated[
        Path | None, Parameter(help="The strip's .png, before | after ...; each version is written beside it.")
    ] = None


USUAL = Drawing()


@edit.command
def inpaint(
    run: Path,
    image: Path,
    /,
    *,
    mask: Annotated[Path, Parameter(help="A picture as large as the image; white is drawn, black is kept.")],
    method: Annotated[
        str | None,
        Parameter(
            help="pigdm (the default on pixels), mmps (nearest, slow; the default through the decoder of a latent run, "
            "where it is an approximation), ddnm (fast, rough), dps (on pixels) or repaint."
        ),
    ] = None,
    drawing: Drawing = USUAL,
) -> None:
    """Draw the white pixels of a mask anew; all others stay as they are, to the bit."""
    from unnoise.editing import Inpaint

    _apply(run, Inpaint(image=image, mask=mask, method=method, steps=drawing.steps), drawing)


@edit.command
def outpaint(
    run: Path,
    image: Path,
    /,
    *,
    at: Annotated[str | None, Parameter(help="X,Y of the picture's left top corner in the run's canvas.")] = None,
    anchor: Annotated[
        str | None, Parameter(help="centre (the default), left, top, right, bottom, top-left, ... instead of --at.")
    ] = None,
    method: Method = None,
    drawing: Drawing = USUAL,
) -> None:
    """Draw what lies around a picture that is smaller than the run's images; it stays as it is, to the bit."""
    from unnoise.editing import Outpaint

    _apply(run, Outpaint(image=image, at=at, anchor=anchor, method=method, steps=drawing.steps), drawing)


@edit.command
def upscale(
    run: Path,
    image: Path,
    /,
    *,
    factor: Annotated[int, Parameter(help="How many times as wide and high.")] = 4,
    method: Method = None,
    drawing: Drawing = USUAL,
) -> None:
    """Enlarge a small picture to the size of the run's images."""
    from unnoise.editing import Upscale

    _apply(run, Upscale(image=image, factor=factor, method=method, steps=drawing.steps), drawing)


@edit.command
def colourise(run: Path, image: Path, /, *, method: Method = None, drawing: Drawing = USUAL) -> None:
    """Give colours to a grey picture, whose luma stays; needs a run of RGB images."""
    from unnoise.editing import Colourise

    _apply(run, Colourise(image=image, method=method, steps=drawing.steps), drawing)


@edit.command
def deblur(
    run: Path,
    image: Path,
    /,
    *,
    std: Annotated[float, Parameter(help="Deviation of the Gaussian blur, in pixels.")],
    noise: Annotated[float, Parameter(help="Deviation of the picture's noise, for pixels in [-1, 1].")] = 0.01,
    method: Method = None,
    drawing: Drawing = USUAL,
) -> None:
    """Sharpen a blurred picture."""
    from unnoise.editing import Deblur

    _apply(run, Deblur(image=image, std=std, noise=noise, method=method, steps=drawing.steps), drawing)


@edit.command
def vary(
    run: Path,
    image: Path,
    /,
    *,
    strength: Annotated[float, Parameter(help="0 gives the picture back, 1 forgets it.")] = 0.5,
    drawing: Drawing = USUAL,
) -> None:
    """Draw versions of a picture; with a label or a prompt, versions of it that are such."""
    from unnoise.editing import Vary

    _apply(run, Vary(image=image, strength=strength, steps=drawing.steps), drawing)


def _apply(run: Path, work: Edit, drawing: Drawing) -> None:
    from unnoise.editing import edit as apply
    from unnoise.sampling.conditions import SampleConditions
    from unnoise.sampling.guidance_options import GuidanceOptions

    result = apply(
        run,
        work,
        range(drawing.seed, drawing.seed + drawing.number),
        conditions=SampleConditions(drawing.label, drawing.prompt, drawing.map_),
        guidance=GuidanceOptions(drawing.guidance),
        out=drawing.out,
        device=drawing.device,
    )
    show(result, drawing.json)
