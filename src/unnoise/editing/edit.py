"""A run that edits: what every task is given, and the frame around it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from unnoise.editing.image_files import FittedPicture, write_strip
from unnoise.errors import UserError
from unnoise.files import ends_in
from unnoise.models import Diffusion
from unnoise.process.codec import Codec
from unnoise.process.denoiser import CountingDenoiser, Denoiser
from unnoise.progress import progress_bar
from unnoise.runs.run import Run
from unnoise.samplers import DDIM
from unnoise.sampling.conditions import SampleConditions, rows_of
from unnoise.sampling.generate import counted_calls
from unnoise.sampling.guidance_options import GuidanceOptions

ROWS = 16
"""Versions that are drawn at once: derivatives keep every layer in memory."""


@dataclass(frozen=True)
class Editor:
    """denoiser: the model's, guided as the user wished. cond: a row per seed, or None. codec: None in pixels."""

    model: Diffusion
    denoiser: Denoiser
    seeds: Sequence[int]
    cond: Mapping[str, Any] | None
    codec: Codec | None

    def drawing(self) -> dict[str, Any]:
        """The options that all functions of `unnoise.inverse` share."""
        return {"seeds": self.seeds, "cond": self.cond, "codec": self.codec}

    def restoring(self, method: str | None, steps: int) -> dict[str, Any]:
        """The options of `restore`."""
        return {"method": method, "sampler": DDIM(steps=steps, eta=1.0), **self.drawing()}


@dataclass(frozen=True, kw_only=True)
class Edit(ABC):
    """One task on one picture.

    Attributes:
        fits: whether what comes out is the picture that went in, and so can be given back at its own size.
        image: the picture's file.
        fit: how a picture of another size comes to the run's, one of `image_files.FITS`.
        own_size: whether versions are written at the picture's own size.
        steps: of the sampler.
    """

    name: ClassVar[str]
    fits: ClassVar[bool] = True

    image: Path
    fit: str = "crop"
    own_size: bool = False
    steps: int = 100

    @property
    def calls(self) -> int:
        """How often the denoiser is asked about each image."""
        return self.steps

    def original(self, model: Diffusion) -> FittedPicture | None:
        """The picture into which versions are laid, where its own size is asked for.

        Raises UserError where the task makes a picture of another size.
        """
        if not self.own_size:
            return None
        if not self.fits:
            raise UserError(f"unnoise edit {self.name} makes a picture of the run's size; leave out --own-size")
        return FittedPicture.read(self.image, model, self.fit)

    @abstractmethod
    def apply(self, editor: Editor) -> tuple[Tensor, Tensor]:
        """What was given, (1, C, H, W), and what became of it, one image per seed."""


def edit(
    folder: str | Path,
    work: Edit,
    seeds: Sequence[int],
    *,
    conditions: SampleConditions | None = None,
    guidance: GuidanceOptions | None = None,
    out: Path | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Runs an edit, writes a strip of the image before and its versions after, and each version beside it.

    conditions, guidance: what a conditional run is to draw, and how strongly. out: the strip's .png, by default
    samples/TASK-SEED.png of the run. Returns {task, images, out, files, seconds, network_calls, seeds}.
    Raises UserError for runs that are no diffusion models and for a request of no image.
    """
    if not seeds:
        raise UserError("need at least 1 image, got 0")
    run = Run.open(folder)
    out = ends_in(out or run.folder / "samples" / f"{work.name}-{seeds[0]}.png", ".png")
    model = run.diffusion(f"unnoise edit {work.name}", device)
    cond = (conditions or SampleConditions()).for_model(model, run.classes)
    fitted = work.original(model)
    guide = (guidance or GuidanceOptions()).for_model(model, cond)
    begun = time.perf_counter()
    with counted_calls(model) as calls, progress_bar() as progress:
        asked = partial(progress.advance, progress.add_task(work.name, total=work.calls * len(seeds)))
        denoiser = CountingDenoiser(model if guide is None else guide(model), asked)
        drawn = [work.apply(_editor(model, denoiser, rows, cond)) for rows in _batches(seeds)]
    before, after = drawn[0][0], torch.cat([part for _, part in drawn])
    seconds = round(time.perf_counter() - begun, 3)
    return {
        "task": work.name,
        "images": len(after),
        "out": str(out),
        "files": write_strip(before, after, seeds, out, fitted),
        "seconds": seconds,
        "network_calls": calls[0],
        "seeds": [seeds[0], seeds[-1]],
    }


def _batches(seeds: Sequence[int]) -> list[Sequence[int]]:
    return [seeds[start : start + ROWS] for start in range(0, len(seeds), ROWS)]


def _editor(model: Diffusion, denoiser: Denoiser, seeds: Sequence[int], cond: Mapping[str, Any] | None) -> Editor:
    return Editor(model, denoiser, seeds, rows_of(cond, 0, len(seeds)), model.codec if model.works_in_latents else None)
