"""Images from a run, to files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from unnoise.aliases import Record, Spec
from unnoise.data import save_gif
from unnoise.errors import UserError
from unnoise.files import claim
from unnoise.models import ImageModel
from unnoise.runs.run import Run
from unnoise.runtime.precision import chosen_precision
from unnoise.samplers import Sampler
from unnoise.sampling.batches import counted_calls, fitting_batch, sample_in_batches
from unnoise.sampling.cascade import open_stages
from unnoise.sampling.conditions import SampleConditions
from unnoise.sampling.gif import GifFrames
from unnoise.sampling.guidance_options import GuidanceOptions
from unnoise.sampling.outputs import planned, seeds_text, write_images
from unnoise.sampling.sampler_choice import choose_sampler, sampler_words


def generate(
    folder: str | Path,
    seeds: Sequence[int],
    *,
    sampler: str | None = None,
    options: Spec | None = None,
    conditions: SampleConditions | None = None,
    guidance: GuidanceOptions | None = None,
    then: Sequence[str | Path] = (),
    precision: str = "auto",
    compile: str = "auto",
    batch_size: int | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    device: str | None = None,
) -> Record:
    """Generates one image per seed with a run and writes them.

    Args:
        folder: of the run.
        seeds: image i depends on seed i alone.
        sampler: a name or a text such as 'ddim@50'; None: the run's own, or what `unnoise tune` found for its steps.
        options: of the sampler, set over its own.
        conditions, guidance: what a conditional run is to draw, and how strongly it is pushed there.
        then: runs that enlarge the images, one after the other.
        precision, compile, batch_size: as in `sample_in_batches`; they change the speed, not the pictures.
        out: a .png (one grid), a .gif (the grid, step by step), an .npy, an .npz, or a folder (a .png per seed); None:
            a grid in the run's samples folder, named by what made it.
        overwrite: whether files that are there already may be written over.
        device: where the models compute; None: the best there is.

    Returns:
        {images, shape, out, seconds, network_calls, sampler, precision, seeds}, and `then` for a cascade.

    Raises:
        UserError: for what does not fit the run, and for files that are there already.
    """
    if not seeds:
        raise UserError("need at least 1 image, got 0")
    run = Run.open(folder)
    chosen = _sampler(run, sampler, options or {})
    conditions, guidance = conditions or SampleConditions(), guidance or GuidanceOptions()
    out = out or run.folder / "samples" / f"{_name(chosen, conditions, guidance, then, seeds)}.png"
    for file in planned(out, seeds):
        claim(file, overwrite=overwrite, inputs=conditions.files())
    model = run.load(device)
    gif = _gif_frames(model, out, then)
    cond = conditions.for_model(model, run.classes, classifier_guided=guidance.classifier is not None)
    guide = guidance.for_model(model, cond)
    stages = open_stages(run, then, conditions, guidance, device)
    settings: Record = {"batch_size": batch_size, "precision": precision, "compile": compile}
    begun = time.perf_counter()
    first = batch_size or fitting_batch(model, seeds, cond, guide, precision)
    with counted_calls(model) as calls:
        images = sample_in_batches(model, seeds, cond, chosen, guide, **{**settings, "batch_size": first}, gif=gif)
    total = calls[0]
    for stage in stages:
        images, more = stage.enlarged(images, seeds, **settings)
        total += more
    seconds = time.perf_counter() - begun
    if gif is None:
        write_images(images, seeds, out)
    else:
        save_gif(gif.frames(), out)
    return {
        "images": len(images),
        "shape": list(images.shape),
        "out": str(out),
        "seconds": round(seconds, 3),
        "network_calls": total,
        "sampler": None if chosen is None else repr(chosen),
        "precision": chosen_precision(model.device, precision),
        "seeds": [seeds[0], seeds[-1]],
        **({"then": [str(stage) for stage in then]} if then else {}),
    }


def _sampler(run: Run, sampler: str | None, options: Spec) -> Sampler | None:
    """The sampler that was asked for, or the run's own; None for a model that needs none."""
    asked = sampler is not None or bool(options)
    return choose_sampler(run, sampler, options) if asked or "sampler" in run.config else None


def _name(
    sampler: Sampler | None,
    conditions: SampleConditions,
    guidance: GuidanceOptions,
    then: Sequence[str | Path],
    seeds: Sequence[int],
) -> str:
    """What made the images, as a name for their file."""
    how = "images" if sampler is None else sampler_words(sampler)
    later = [f"then-{Path(stage).resolve().name}" for stage in then]
    parts = [how, conditions.text(), guidance.text(), *later, seeds_text(seeds)]
    return "-".join(part for part in parts if part)


def _gif_frames(model: ImageModel, out: Path, then: Sequence[str | Path]) -> GifFrames | None:
    """Frames to fill where `out` is a GIF; UserError where there are no steps to show."""
    if out.suffix.lower() != ".gif":
        return None
    if model.default_sampler() is None:
        raise UserError(f"a .gif shows the steps of a diffusion model; {model.kind} draws in one")
    if then:
        raise UserError("a .gif shows the steps of one run: leave out --then, or write a .png")
    return GifFrames()
