"""Images from a run, to files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unnoise.aliases import Conditions, Record, Spec
from unnoise.data import save_gif
from unnoise.errors import UserError
from unnoise.files import claim
from unnoise.models import ImageModel
from unnoise.models.image_model import Guidance
from unnoise.progress import notice
from unnoise.registry import Positive, fitted
from unnoise.runs.aspect import at_aspect
from unnoise.runs.run import Run
from unnoise.runtime.precision import chosen_precision
from unnoise.runtime.world import World, join
from unnoise.samplers import Sampler
from unnoise.sampling.batches import counted_calls, drawn, fitting_batch, spans_of
from unnoise.sampling.cascade import Stage, open_stages
from unnoise.sampling.conditions import SampleConditions
from unnoise.sampling.gif import GifFrames
from unnoise.sampling.guidance_options import GuidanceOptions, guiding_weights
from unnoise.sampling.outputs import default_out, planned, seeds_text, write_images
from unnoise.sampling.parts import Parts
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
    aspect: str | None = None,
    precision: str = "auto",
    compile: str = "auto",
    batch_size: int | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    device: str | None = None,
) -> Record:
    """Generates one image per seed with a run and writes them; several processes share the work.

    More than one batch goes to the disk batch by batch, into a folder beside `out`, until all are there: an array of
    any length takes the memory of one batch, and the same call goes on where it was interrupted.

    Args:
        folder: of the run.
        seeds: image i depends on seed i alone.
        sampler: a name or a text such as 'ddim@50'; None: the run's own, or what `unnoise tune` found for its steps.
        options: of the sampler, set over its own.
        conditions, guidance: what a conditional run is to draw, and how strongly it is pushed there.
        then: runs that enlarge the images, one after the other.
        aspect: 'W:H', of a run that was trained on several shapes: the nearest of them; None: the one with most images.
        precision, compile, batch_size: as in `sample_in_batches`; they change the speed, not the pictures.
        out: a .png (one grid), a .gif (the grid, step by step), an .npy, an .npz, or a folder (a .png per seed); None:
            a grid in the run's samples folder, named by what made it.
        overwrite: whether files that are there already may be written over.
        device: where the models compute; None: the best there is.

    Returns:
        {images, shape, out, seconds, network_calls, sampler, precision, seeds}, `then` for a cascade, and `resumed`,
        the images that the same call had drawn before it was interrupted.

    Raises:
        UserError: for what does not fit the run, and for files that are there already.
    """
    if not seeds:
        raise UserError("need at least 1 image, got 0")
    fitted(batch_size, Positive | None, "batch_size")
    if aspect is not None and then:
        raise UserError("--then enlarges images of one shape: leave --aspect out")
    world = join()
    with world.first_goes_ahead():
        run = Run.open(folder)
        chosen = _sampler(run, sampler, options or {})
        conditions, guidance = conditions or SampleConditions(), guidance or GuidanceOptions()
        out = out or default_out(run, *_made_by(chosen, conditions, guidance, then, aspect, seeds))
        for file in planned(out, seeds):
            claim(file, overwrite=overwrite, inputs=conditions.files())
        model = at_aspect(run, run.load(world.device(device)), aspect)
        gif = _gif_frames(model, out, then)
        cond = conditions.for_model(model, run.classes, classifier_guided=guidance.classifier is not None)
        guide = guidance.for_model(model, cond)
        stages = open_stages(run, then, conditions, guidance, world.device(device))
    begun = time.perf_counter()
    (fitting,) = world.agree(
        -(fitting_batch(model, seeds, cond, guide, precision) if batch_size is None else batch_size)
    )
    drawing = Drawing(model, seeds, cond, chosen, guide, stages, batch_size, precision, compile, gif)
    spans = spans_of(len(seeds), -fitting)
    how = repr((chosen, conditions, guidance, precision, *(model.shape if aspect else ())))
    about = {"weights": _weights(run, then, guidance), "how": how, "seeds": [seeds[0], seeds[-1]]}
    resumed = _drawn_to(out, drawing, spans, about, world)
    return {
        "images": len(seeds),
        "shape": list(drawing.shape),
        "out": str(out),
        "seconds": round(time.perf_counter() - begun, 3),
        "network_calls": sum(world.gather(drawing.calls)),
        "sampler": None if chosen is None else repr(chosen),
        "precision": chosen_precision(model.device, precision),
        "seeds": [seeds[0], seeds[-1]],
        **({"then": [str(stage) for stage in then]} if then else {}),
        **({"resumed": resumed} if resumed else {}),
    }


@dataclass
class Drawing:
    """What is drawn, batch by batch. calls: of networks, so far; batch_size: of the later stages."""

    model: ImageModel
    seeds: Sequence[int]
    cond: Conditions | None
    sampler: Sampler | None
    guidance: Guidance | None
    stages: Sequence[Stage]
    batch_size: int | None
    precision: str
    compile: str
    gif: GifFrames | None
    calls: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W) of all images."""
        last = self.stages[-1].model if self.stages else self.model
        return (len(self.seeds), *last.shape)

    def batches(self, spans: Sequence[slice]) -> Iterator[np.ndarray]:
        """The finished images uint8 (B, C, H, W) of each of some spans of the seeds."""
        how: Record = {"precision": self.precision, "compile": self.compile}
        first = drawn(self.model, self.seeds, spans, self.cond, self.sampler, self.guidance, **how, gif=self.gif)
        with counted_calls(self.model) as calls:
            for span, images in zip(spans, first, strict=True):
                for stage in self.stages:
                    images, more = stage.enlarged(images, self.seeds, span, batch_size=self.batch_size, **how)
                    self.calls += more
                yield images
        self.calls += calls[0]


def _drawn_to(out: Path, drawing: Drawing, spans: Sequence[slice], about: Record, world: World) -> int:
    """Draws and writes all images; returns how many of them an earlier call had drawn."""
    if world.size > len(spans):
        each = -(-len(drawing.seeds) // world.size)
        notice(f"{len(spans)} batches for {world.size} processes: --batch-size {each} gives each of them one")
    if drawing.gif is not None:
        if world.is_first:
            list(drawing.batches(spans))
            save_gif(drawing.gif.frames(), out)
        return 0
    if len(spans) == 1:
        if world.is_first:
            write_images(drawing.batches(spans), drawing.shape, drawing.seeds, out)
        return 0
    parts = Parts(out, about, spans)
    if world.is_first:
        parts.begin()
    missing = world.broadcast(parts.missing() if world.is_first else [])
    own = missing[world.portion(len(missing))]
    for span, images in zip(own, drawing.batches(own), strict=True):
        parts.write(span, images)
    world.barrier()
    if world.is_first:
        write_images(parts.read(), drawing.shape, drawing.seeds, out)
        parts.remove()
    return len(drawing.seeds) - sum(span.stop - span.start for span in missing)


def _weights(run: Run, then: Sequence[str | Path], guidance: GuidanceOptions) -> list[Record]:
    """Which weights take part."""
    others = [folder for folder in (guidance.classifier, *then) if folder is not None]
    guiding = [] if guidance.autoguidance is None else [guiding_weights(guidance.autoguidance)]
    return [*(Run.open(one).weights() for one in (run, *others)), *guiding]


def _sampler(run: Run, sampler: str | None, options: Spec) -> Sampler | None:
    """The sampler that was asked for, or the run's own; None for a model that needs none."""
    asked = sampler is not None or bool(options)
    return choose_sampler(run, sampler, options) if asked or "sampler" in run.config else None


def _made_by(
    sampler: Sampler | None,
    conditions: SampleConditions,
    guidance: GuidanceOptions,
    then: Sequence[str | Path],
    aspect: str | None,
    seeds: Sequence[int],
) -> list[str]:
    """What made the images, as words for the name of their file."""
    how = "images" if sampler is None else sampler_words(sampler)
    shape = "" if aspect is None else f"aspect-{aspect.replace(':', '-')}"
    later = [f"then-{Path(stage).resolve().name}" for stage in then]
    return [how, conditions.text(), guidance.text(), *later, shape, seeds_text(seeds)]


def _gif_frames(model: ImageModel, out: Path, then: Sequence[str | Path]) -> GifFrames | None:
    """Frames to fill where `out` is a GIF; UserError where there are no steps to show."""
    if out.suffix.lower() != ".gif":
        return None
    if model.default_sampler() is None:
        raise UserError(f"a .gif shows the steps of a diffusion model; {model.kind} draws in one")
    if then:
        raise UserError("a .gif shows the steps of one run: leave out --then, or write a .png")
    return GifFrames()
