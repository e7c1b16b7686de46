"""The figures of a course on generative models, drawn from the same functions that train and sample.

`FIGURES` is the list that the command `unnoise show` and its help read. A figure is one function of one module; its
arguments are what the figure is drawn of, its keywords the options that apply to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.files import claim, ends_in
from unnoise.registry import check_keys, lookup

if TYPE_CHECKING:
    from unnoise.lectures.slide import Drawn


class Entry(NamedTuple):
    """takes: what stands behind the figure's name on the command line; says: what the figure shows."""

    takes: str
    says: str


FIGURES: dict[str, Entry] = {
    "forward": Entry("PHOTO", "a picture as noise takes it over, above the schedule's alpha, sigma and log-SNR"),
    "schedules": Entry("", "alpha-bar, SNR and log-SNR of every schedule"),
    "marginals": Entry("", "q(x_t) of mixtures on the line and in the plane over t, with the score field"),
    "divergences": Entry("", "KL, Jensen-Shannon and Wasserstein as one distribution moves away from another"),
    "trajectories": Entry("RUN", "the same x_T at several numbers of steps, and paths in the plane"),
    "latents": Entry("RUN [RUN]", "the plane of two latents: points by class, the decoded grid, x ~ p(x | z)"),
    "corruption": Entry("RUN [RUN]", "a linear probe of an autoencoder's and a denoising one's latents over noise"),
    "labels": Entry("RUN", "accuracy over labels: from a trained encoder, frozen or fine-tuned, and from scratch"),
    "transfer": Entry("RUN SOURCE", "training on SOURCE from what RUN has learned, and from scratch: both curves"),
    "classification": Entry("RUN", "a generative classifier beside a discriminative one, on images of no class too"),
    "modes": Entry("", "25 Gaussians: which of them a GAN, a VAE and a diffusion model find"),
    "game": Entry("RUN", "a GAN's run: losses, accuracies, gradient norms of both players, classes at every preview"),
    "collapse": Entry("", "a GAN that draws a few modes of eight, and three cures"),
    "rates": Entry("", "modes that a GAN, a VAE and diffusion find at six learning rates"),
    "stacked": Entry("[SOURCE]", "1,000 modes, three digits as channels: those that each family finds, and the KL"),
    "robustness": Entry("[SOURCE]", "GAN, VAE and diffusion on few, noisy, wrongly labelled and imbalanced images"),
    "cost": Entry("[SOURCE]", "quality over the time of training and over network calls, of GAN, VAE and diffusion"),
    "corrections": Entry("[RUN]", "a trajectory disturbed on its way under ODE and SDE, and the distance at its end"),
    "vanishing": Entry("", "the generator's gradient against the discriminator's accuracy, in two games"),
    "forgetting": Entry("", "which samples of earlier generators each discriminator still catches"),
}
"""Each is drawn by the function of its name in the module of its name."""


FOLDER = "folder"
"""Given to figures that train for long: beside `out`, what they keep to go on with."""


def show(
    name: str, *given: str | Path, out: str | Path | None = None, overwrite: bool = False, **options: Any
) -> Record:
    """Draws a figure of the course and writes it.

    Args:
        name: a key of FIGURES.
        given: what the figure is drawn of, such as a picture file or a run.
        out: a .png, or a .gif for a figure in which time moves; by default NAME.png in the current folder. A figure
            in which time moves is written as both unless a .gif is asked for.
        overwrite: whether files may be written over that are no figures of unnoise; those are drawn anew.
        options: keywords of the figure's function; None stands for its default.

    Returns:
        {figure, out, files, ...}: the file, all files written, and the numbers in the figure.

    Raises:
        UserError: for a figure that does not exist, for what it does not take, for a .gif where nothing moves, and
            for a file that is there already.
    """
    from unnoise.lectures.slide import save, style

    target = ends_in(Path(out) if out is not None else Path(f"{name}.png"), ".png", ".gif")
    draw = drawer(name)
    _check_given(name, given, draw)
    chosen = {option: value for option, value in options.items() if value is not None}
    taken = keywords(draw)
    check_keys(chosen, [option for option in taken if option != FOLDER], f"figure {name!r}")
    _claim(target, [Path(one) for one in given if isinstance(one, (str, Path))], overwrite)
    if FOLDER in taken:
        chosen[FOLDER] = target.with_suffix("")
    with style():
        drawn = draw(*given, **chosen)
        files = save(drawn, target)
    return {"figure": name, "out": str(target), "files": [str(file) for file in files], **drawn.numbers}


def _claim(target: Path, inputs: list[Path], overwrite: bool) -> None:
    from unnoise.io.picture_reader import drawn_here

    for file in {target, target.with_suffix(".gif")}:
        claim(file, overwrite=overwrite or drawn_here(file), inputs=inputs)


def drawer(name: str) -> Callable[..., Drawn]:
    """The function that draws a figure."""
    lookup(FIGURES, name, "figure")
    return getattr(import_module(f"unnoise.lectures.{name}"), name)


def keywords(draw: Callable[..., Drawn]) -> list[str]:
    """The options that a figure takes."""
    parameters: Mapping[str, inspect.Parameter] = inspect.signature(draw).parameters
    return [parameter.name for parameter in parameters.values() if parameter.kind is parameter.KEYWORD_ONLY]


def _check_given(name: str, given: tuple[str | Path, ...], draw: Callable[..., Drawn]) -> None:
    parameters = inspect.signature(draw).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(parameter.default is parameter.empty for parameter in positional)
    if not needed <= len(given) <= len(positional):
        takes = FIGURES[name].takes or "nothing"
        raise UserError(f"unnoise show {name} takes {takes} after its name, got {len(given)} argument(s)")
