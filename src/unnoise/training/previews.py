"""The picture that a training draws every so often: samples where the model can draw them, else reconstructions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unnoise.data import Batch, Images, image_grid, save_png
from unnoise.data.buckets import some_rows
from unnoise.models import CanReconstruct, CanSample, ImageModel
from unnoise.progress import duration
from unnoise.runs.pictures import picture_file, real_images_file
from unnoise.samplers import Sampler
from unnoise.training.log import TrainLog
from unnoise.training.noise_watch import NoiseWatch
from unnoise.training.parts import rows_of
from unnoise.training.variety import FEWEST, SAMPLES, VarietyWatch

FEWEST_IMAGES, FEWEST_STEPS = 4, 10
"""Of a grid that has to be quick: with less it would show nothing."""


@dataclass(frozen=True)
class Preview:
    """picture: what is written. samples: (N, C, H, W) in [-1, 1], where the model drew some."""

    picture: Image.Image
    samples: Tensor | None


def preview(model: ImageModel, batch: Batch, sampler: Sampler | None) -> Preview:
    """One image per row of `batch` from seeds 0, 1, ... and the row's conditions; of a model that only reconstructs,
    each row's image beside its reconstruction."""
    if isinstance(model, CanSample):
        samples = model.sample(range(len(batch)), model.asked_for(batch), sampler)
        return Preview(image_grid(samples), samples)
    assert isinstance(model, CanReconstruct), "a model samples or reconstructs"
    with torch.no_grad():
        pairs = torch.stack([batch.image, model.decode(model.encode(batch.image)).to(batch.image.dtype)], dim=1)
    return Preview(image_grid(pairs.flatten(0, 1), columns=2 * max(1, round(len(batch) ** 0.5 / 2))), None)


def draws(model: ImageModel) -> bool:
    """Whether there is anything to show of a model; of a classifier there is not."""
    return isinstance(model, (CanSample, CanReconstruct))


def fitted(
    images: int, steps: int, seconds_each: float, allowed: float, *, fewer_steps: bool
) -> tuple[int, int] | None:
    """(images, steps) of a grid that takes at most `allowed` seconds: fewer images first, then fewer steps.

    Args:
        images, steps: of the whole grid.
        seconds_each: per image and step.
        allowed: seconds.
        fewer_steps: whether the sampler can do with fewer.

    Returns:
        None where even the smallest grid worth looking at takes longer.
    """
    most = allowed / max(1e-12, seconds_each)
    if images * steps <= most:
        return images, steps
    few = min(images, FEWEST_IMAGES)
    if few * steps <= most:
        return int(most // steps), steps
    if fewer_steps and few * min(steps, FEWEST_STEPS) <= most:
        return few, int(most // few)
    return None


class Painter:
    """Draws a run's grids into its samples folder, at most FRACTION of the time of a training.

    Args:
        model: in evaluation mode, with the averaged weights, whenever `draw` is called.
        sampler: of a model that draws in steps.
        shown: a row per image of the grid: what it is conditioned on, or is reconstructed.
        noise: looks whether the samples are noise.
        variety: looks for what the samples leave out; None for a model that draws in many steps, which takes too long.
        seconds_each: what an image takes per step, as far as is known; measured at every grid.
    """

    FRACTION = 0.1

    def __init__(
        self,
        model: ImageModel,
        sampler: Sampler | None,
        shown: Batch,
        folder: Path,
        log: TrainLog,
        *,
        noise: NoiseWatch | None = None,
        variety: VarietyWatch | None = None,
        seconds_each: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model, self.sampler, self.shown = model, sampler, shown
        self.folder, self.log, self.seconds_each, self.clock = folder, log, seconds_each, clock
        self.noise, self.variety = noise, variety
        self._noted = self._warned = ""
        self._looking, self._noisy = 0.0, False
        self._beside = 0

    @property
    def steps(self) -> int:
        return 1 if self.sampler is None else self.sampler.steps

    def expected(self, allowed: float) -> float:
        """Seconds that a grid will take which may take so many."""
        size = self._fitted(allowed)
        return 0.0 if size is None else math.prod(size) * self.seconds_each + self._looking

    def draw(self, step: int, allowed: float) -> None:
        """Writes samples/STEP.png, of as many images and steps as `allowed` seconds hold."""
        size = self._fitted(allowed)
        if size is None:
            self._note(step, f"no samples drawn: they would take {duration(self._whole)}; unnoise sample draws some")
            return
        images, steps = size
        if size != (len(self.shown), self.steps):
            self._note(step, f"drawing {images} images in {steps} steps: the whole grid takes {duration(self._whole)}")
        sampler = self.sampler if steps == self.steps or self.sampler is None else replace(self.sampler, steps=steps)
        begun = self.clock()
        with self.log.phase("drawing samples", steps) as advance:
            hook = self.model.counted.register_forward_hook(lambda *_: advance())
            try:
                drawn = preview(self.model, rows_of(self.shown, slice(images)), sampler)
            finally:
                hook.remove()
        save_png(drawn.picture, picture_file(self.folder, step))
        if drawn.samples is not None and images != self._beside:
            save_png(image_grid(self.shown.image[:images]), real_images_file(self.folder))
            self._beside = images
        self.seconds_each = (self.clock() - begun) / (images * steps)
        self._look_for_noise(step, drawn.samples)
        self._look_for_variety(step, allowed - (self.clock() - begun))

    @property
    def _whole(self) -> float:
        return len(self.shown) * self.steps * self.seconds_each

    def _fitted(self, allowed: float) -> tuple[int, int] | None:
        named_grid = self.sampler is not None and isinstance(self.sampler.grid, str)
        return fitted(len(self.shown), self.steps, self.seconds_each, allowed, fewer_steps=named_grid)

    def _look_for_noise(self, step: int, samples: Tensor | None) -> None:
        """Warns of samples that are noise, once for as long as they are."""
        found = None if self.noise is None or samples is None else self.noise.warning(samples, step)
        if found is not None and not self._noisy:
            self.log.warn(step, found)
        self._noisy = found is not None

    def _look_for_variety(self, step: int, allowed: float) -> None:
        """Draws as many samples as `allowed` seconds hold, records what they leave out, and warns when that changes."""
        count = min(SAMPLES, int(allowed / max(1e-9, self.seconds_each)))
        if self.variety is None or not isinstance(self.model, CanSample) or count < FEWEST:
            return
        begun = self.clock()
        parts = torch.arange(count).split(len(self.shown))
        with self.log.phase("looking at its variety", len(parts)) as advance:
            drawn = []
            for part in parts:
                drawn.append(self.model.sample(part.tolist()))
                advance()
        found = self.variety.look(torch.cat(drawn))
        self.log.record(step, found.values)
        if found.warning is not None and found.warning != self._warned:
            self.log.warn(step, found.warning)
        self._warned = found.warning or ""
        self._looking = self.clock() - begun

    def _note(self, step: int, text: str) -> None:
        """Says something of a grid, once for as long as it is the same."""
        kind = text.split(":")[0].split()[0]
        if kind != self._noted:
            self.log.warn(step, f"{text}; grids take at most {self.FRACTION:.0%} of the time")
        self._noted = kind


def preview_rows(images: Images, count: int) -> np.ndarray:
    """Which images a preview shows and is conditioned on: the first of each class in turn, or some of all."""
    if images.labels is None:
        return some_rows(images, count)
    by_class = [np.flatnonzero(images.labels == label) for label in range(len(images.classes))]
    by_class = [rows for rows in by_class if len(rows)]
    return np.array(
        [by_class[i % len(by_class)][i // len(by_class) % len(by_class[i % len(by_class)])] for i in range(count)]
    )
