"""A run that edits: what every task is given, and the frame around it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from unnoise.aliases import Conditions, Observe, Record
from unnoise.editing.image_files import FittedPicture, version_file, write_strip
from unnoise.editing.residual import Residual, joined, warning
from unnoise.editing.steps import native_steps
from unnoise.errors import UserError
from unnoise.files import claim, ends_in
from unnoise.models import CanDenoise, ImageModel
from unnoise.models.image_model import Guidance, require, require_mean
from unnoise.process.codec import Codec
from unnoise.process.denoiser import CountingDenoiser, Denoiser
from unnoise.process.schedule import Schedule
from unnoise.progress import notice, progress_bar
from unnoise.registry import build
from unnoise.runs.run import Run
from unnoise.samplers import SAMPLERS, Renoise, Sampler
from unnoise.samplers.spec import parse_sampler, sampler_text
from unnoise.sampling.batches import counted_calls
from unnoise.sampling.conditions import SampleConditions, rows_of
from unnoise.sampling.guidance_options import GuidanceOptions
from unnoise.sampling.outputs import default_out, seeds_text

ROWS = 16
"""Versions that are drawn at once: derivatives keep every layer in memory."""


@dataclass(frozen=True)
class Editor:
    """What a task edits with.

    Args:
        model: whose images the results are.
        denoiser: the model's, guided as it was asked for; it draws in the model's latents.
        sampling: the same as plain sampling uses it, clipped where the model clips.
        seeds: one per version.
        cond: a row per seed, or None.
        codec: between latents and pixels; None where pixels themselves are diffused.
        start: where a model that jumps begins, as of `Renoise`.
    """

    model: ImageModel
    denoiser: Denoiser
    sampling: Denoiser
    seeds: Sequence[int]
    cond: Conditions | None
    codec: Codec | None
    start: float = 1.0

    def options(self, observe: Observe, seen: Tensor) -> Record:
        """The options that all functions of `unnoise.inverse` share.

        observe: what a task sees of images (N, C, H, W). seen: (1, *), what it was given of the picture.
        """
        rows = seen.expand(len(self.seeds), *seen.shape[1:])
        cond = self.model.explained(self.cond, observe, rows)
        return {"seeds": self.seeds, "cond": cond, "codec": self.codec}


class Edited(NamedTuple):
    """What a task was given, what became of it, and how well the two agree.

    Attributes:
        before: (1, C, H, W).
        after: one image per seed, (N, C, H, W).
        residual: None where the task observes nothing that its versions have to agree with.
    """

    before: Tensor
    after: Tensor
    residual: Residual | None = None


@dataclass(frozen=True, kw_only=True)
class Edit(ABC):
    """One task on one picture.

    Attributes:
        fits: whether what comes out is the picture that went in, and so can be given back at its own size.
        by_jumps: whether a model that jumps to the ends of paths can do it.
        usual: the task's own sampler, chosen by the measurements of docs/editing.md.
        advice: what may help where a result is poor.
        image: the picture's file.
        fit: how a picture of another size comes to the run's, one of `image_files.FITS`.
        own_size: whether versions are written at the picture's own size.
        sampler: such as 'ddim@50:eta=1', over the task's own.
        steps: of the sampler, over its own.
    """

    name: ClassVar[str]
    fits: ClassVar[bool] = True
    by_jumps: ClassVar[bool] = False
    usual: ClassVar[dict[str, Any]] = {"kind": "ddim", "steps": 50, "eta": 1.0}
    advice: ClassVar[str] = "try another --method or more --steps"

    image: Path
    fit: str = "crop"
    own_size: bool = False
    sampler: str | None = None
    steps: int | None = None

    def solver(self) -> Sampler:
        """The sampler that draws."""
        asked = {} if self.sampler is None else parse_sampler(self.sampler)
        usual = self.usual if asked.get("kind") in (None, self.usual["kind"]) else {"steps": self.usual["steps"]}
        steps = {} if self.steps is None else {"steps": self.steps}
        return build(SAMPLERS, {**usual, **asked, **steps}, "sampler")

    @property
    def calls(self) -> int:
        """How often the denoiser is asked about each image, about."""
        return self.solver().steps

    @property
    def files(self) -> list[Path]:
        """The picture files that are read."""
        values = [getattr(self, field.name) for field in fields(self)]
        return [value for value in values if isinstance(value, Path)]

    def original(self, model: ImageModel) -> FittedPicture | None:
        """The picture into which versions are laid, where its own size is asked for.

        Raises UserError where the task makes a picture of another size.
        """
        if not self.own_size:
            return None
        if not self.fits:
            raise UserError(f"unnoise edit {self.name} makes a picture of the run's size; leave out --own-size")
        return FittedPicture.read(self.image, model, self.fit)

    def within(self, schedule: Schedule) -> Edit:
        """The same task with no more steps than the schedule has, which it says where they are fewer."""
        asked = self.solver().steps
        steps = native_steps(schedule, asked, self.name)
        return self if steps == asked else replace(self, steps=steps)

    @abstractmethod
    def apply(self, editor: Editor) -> Edited:
        """The versions of the picture, one per seed."""


def edit(
    folder: str | Path,
    task: Edit,
    seeds: Sequence[int],
    *,
    conditions: SampleConditions | None = None,
    guidance: GuidanceOptions | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    device: str | None = None,
) -> Record:
    """Runs an edit, writes a strip of the image before and its versions after, and each version beside it.

    Args:
        folder: of a diffusion run.
        task: what is done to which picture.
        seeds: one per version.
        conditions, guidance: what a conditional run is to draw, and how strongly it is pushed there.
        out: the strip's .png; None: in the run's samples folder, named by what made it.
        overwrite: whether files that are there already may be written over.
        device: where the model computes; None: the best there is.

    Returns:
        {task, images, out, files, seconds, network_calls, seeds, sampler}; where versions have to agree with the
        picture also {residual, expected_residual, poor}, see `Residual.summary`.

    Raises:
        UserError: for runs that are no diffusion models, for no seeds, and for files that are there already.
    """
    if not seeds:
        raise UserError("need at least 1 image, got 0")
    run = Run.open(folder)
    conditions, guidance = conditions or SampleConditions(), guidance or GuidanceOptions()
    out = ends_in(out or default_out(run, *_made_by(task, conditions, guidance, seeds)), ".png")
    for file in (out, *(version_file(out, seed) for seed in seeds)):
        claim(file, overwrite=overwrite, inputs=[*task.files, *conditions.files()])
    model = run.load(device)
    purpose = f"unnoise edit {task.name}"
    denoising = require(model, CanDenoise, purpose) if task.by_jumps else require_mean(model, purpose)
    task = task.within(denoising.schedule)
    cond = conditions.for_model(model, run.classes)
    fitted = task.original(model)
    begun = time.perf_counter()
    with counted_calls(model) as calls:
        before, after, residual = _draw(task, model, seeds, cond, guidance.for_model(model, cond), _start(run))
    seconds = round(time.perf_counter() - begun, 3)
    agreement = {} if residual is None else residual.summary(seeds)
    files = write_strip(before, after, seeds, out, fitted)
    poor = warning(agreement, task.advice) if agreement else None
    if poor is not None:
        notice(poor)
    return {
        "task": task.name,
        "images": len(after),
        "out": str(out),
        "files": files,
        "seconds": seconds,
        "network_calls": calls[0],
        "seeds": [seeds[0], seeds[-1]],
        "sampler": sampler_text(task.solver()),
        **agreement,
    }


def _start(run: Run) -> float:
    """Where the run's sampler begins; 1 is noise alone that is told as such."""
    sampler = run.sampler()
    return sampler.start if isinstance(sampler, Renoise) else 1.0


def _draw(
    task: Edit, model: ImageModel, seeds: Sequence[int], cond: Conditions | None, guide: Guidance | None, start: float
) -> Edited:
    """All versions, `ROWS` at a time, with a progress bar."""
    denoising = require(model, CanDenoise, f"unnoise edit {task.name}")
    codec = denoising.codec if model.works_in_latents else None
    with progress_bar() as progress:
        asked = partial(progress.advance, progress.add_task(task.name, total=task.calls * len(seeds)))
        denoiser = CountingDenoiser(denoising if guide is None else guide(denoising), asked)
        sampling = CountingDenoiser(denoising.guided(guide), asked)
        drawn = [
            task.apply(Editor(model, denoiser, sampling, rows, rows_of(cond, 0, len(rows)), codec, start))
            for rows in _batches(seeds)
        ]
    after, residual = torch.cat([part.after for part in drawn]), joined([part.residual for part in drawn])
    return Edited(drawn[0].before, after, residual)


def _made_by(task: Edit, conditions: SampleConditions, guidance: GuidanceOptions, seeds: Sequence[int]) -> list[str]:
    """What made the pictures, as words for the name of their file."""
    of = [file.stem for file in task.files]
    chosen = [(field.name, getattr(task, field.name)) for field in fields(task)]
    options = [
        f"{name}-{value}"
        for (name, value), field in zip(chosen, fields(task), strict=True)
        if value != field.default and not isinstance(value, Path)
    ]
    return [task.name, *of, *options, conditions.text(), guidance.text(), seeds_text(seeds)]


def _batches(seeds: Sequence[int]) -> list[Sequence[int]]:
    return [seeds[start : start + ROWS] for start in range(0, len(seeds), ROWS)]
