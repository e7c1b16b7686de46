"""What is measured: a run, a model, or images that are already there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from unnoise.aliases import Record, Spec
from unnoise.data import Images
from unnoise.errors import NotApplicable, UserError
from unnoise.features.extractor import levels
from unnoise.guidance import ClassifierFree
from unnoise.models import CanDenoise, CanReconstruct, CanSample, CanScore, ImageModel
from unnoise.models.image_model import require
from unnoise.process.variance import Variance
from unnoise.progress import notice
from unnoise.runs.aspect import at_aspect
from unnoise.runs.run import CONFIG_FILE, Run
from unnoise.runtime.precision import chosen_precision, computing_in
from unnoise.runtime.world import join
from unnoise.samplers import Sampler
from unnoise.sampling.batches import sample_together
from unnoise.sampling.sampler_choice import asked_variance, choose_sampler
from unnoise.sources import open_source

Source: TypeAlias = str | Path | Images | np.ndarray | torch.Tensor
"""What `unnoise.open_source` takes."""


RANGES = ("0,1", "-1,1")
TIMED_STEPS = 4
"""Of a sampler of more steps so many are run to know how long it takes."""


@dataclass(frozen=True)
class Drawn:
    """Images to measure.

    Args:
        pixels: uint8 (N, C, H, W).
        how: how they came about.
        labels: the classes they were drawn for, (N,).
    """

    pixels: np.ndarray
    how: Record
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Target:
    """A run, a model, or images that are already there.

    Args:
        name: as the user gave it.
        model: None for images.
        run: where the model is a run's.
        images: None for models.
        sampler: how a model of many steps is sampled; None for other models.
        guidance: scale of classifier-free guidance; 1 is none.
        variance: of the reverse steps, where it was asked for: that of the likelihood's bound too.
    """

    name: str
    model: ImageModel | None = None
    run: Run | None = None
    images: Images | None = None
    sampler: Sampler | None = None
    guidance: float = 1.0
    variance: str | Variance | None = None

    @property
    def kind(self) -> str:
        """What it is, in a few words: 'images', 'a gan'."""
        return "images" if self.model is None else self.model.kind

    @property
    def guidable(self) -> bool:
        return self.model is not None and self.model.guidable

    @property
    def condition_names(self) -> tuple[str, ...]:
        """The conditions that samples are drawn for; () for images."""
        return () if self.model is None else self.model.condition_names

    @property
    def reconstructor(self) -> CanReconstruct | None:
        """What encodes and decodes images, where there is something."""
        return None if self.model is None else self.model.reconstructor

    def why_no_samples(self) -> str | None:
        """None where there are images, or a model that draws some."""
        if self.model is None or isinstance(self.model, CanSample):
            return None
        return f"needs a model that draws images: a vae, a gan or a diffusion model; {self.name} is {self.model.kind}"

    def why_no_likelihood(self) -> str | None:
        """None where the model scores images, or bounds their likelihood."""
        return None if isinstance(self.model, CanScore) else self.why_no_denoiser()

    def why_no_denoiser(self) -> str | None:
        """None where `denoiser` is one, of images rather than latents."""
        if not isinstance(self.model, CanDenoise):
            return f"needs a likelihood, and {self.name} ({self.kind}) has none; diffusion models and vaes have one"
        if self.model.jumps:
            return f"needs a likelihood, and {self.name} has none: a student knows where paths end, from a few levels"
        if self.model.works_in_latents:
            return f"needs a likelihood of images, which {self.name} does not have: it works in latents"
        return None

    def denoiser(self) -> CanDenoise:
        """The model, for what only a denoiser of images can do.

        Raises:
            NotApplicable: for anything else.
        """
        if reason := self.why_no_denoiser():
            raise NotApplicable(f"this {reason}")
        assert isinstance(self.model, CanDenoise)
        return self.model

    def draw(self, n: int, data: Images | None, seed: int, batch_size: int, precision: str = "auto") -> Drawn:
        """n images of the model, from seeds `seed`, `seed` + 1, ...; or n of the images, at random rows.

        Args:
            n: images; fewer where there are fewer.
            data: where the conditions of a conditional model come from.
            seed: of the first image.
            batch_size: images drawn at once.
            precision: as in `chosen_precision`.

        Raises:
            NotApplicable: for a model that cannot sample.
        """
        if self.images is not None:
            return _taken(self.images, n, seed)
        assert self.model is not None
        if reason := self.why_no_samples():
            raise NotApplicable(reason)
        begun = time.perf_counter()
        guidance, cond = self._guidance(), self._conditions(n, data, seed)
        seeds = range(seed, seed + n)
        pixels, calls = sample_together(self.model, seeds, cond, self.sampler, guidance, batch_size, precision, join())
        seconds = time.perf_counter() - begun
        how = {
            "sampler": None if self.sampler is None else repr(self.sampler),
            "steps": None if self.sampler is None else self.sampler.steps,
            "guidance": self.guidance,
            "seeds": [seed, seed + n - 1],
            "network_calls": calls,
            "seconds": round(seconds, 3),
            "seconds_per_image": seconds / n,
            "device": str(self.model.device),
            "precision": chosen_precision(self.model.device, precision),
        }
        labels = cond["label"] if cond is not None and "label" in self.condition_names else None
        return Drawn(pixels, how, None if labels is None else labels.cpu().numpy())

    @torch.no_grad()
    def seconds_each(self, count: int, data: Images | None, seed: int, precision: str = "auto") -> float:
        """Seconds that drawing an image takes, from `count` of them. Of a sampler of many steps on a CPU only the first
        are run: the others take as long."""
        assert self.model is not None
        model = require(self.model, CanSample, "sampling")
        steps = 1 if self.sampler is None else self.sampler.steps
        if steps <= TIMED_STEPS or self.model.device.type != "cpu":
            self.draw(1, data, seed, count, precision)  # loads what is loaded once
            begun = time.perf_counter()
            self.draw(count, data, seed, count, precision)
            return (time.perf_counter() - begun) / count
        cond, guidance = self._conditions(count, data, seed), self._guidance()
        with computing_in(self.model.device, chosen_precision(self.model.device, precision)):
            points = model.stream(range(seed, seed + count), cond, self.sampler, guidance)
            next(points)  # loads what is loaded once
            begun = time.perf_counter()
            x = [next(points).x for _ in range(TIMED_STEPS - 1)][-1]
            stepped = time.perf_counter()
            model.decode_point(x)
            ended = time.perf_counter()
        return (steps * (stepped - begun) / (TIMED_STEPS - 1) + ended - stepped) / count

    def _guidance(self) -> ClassifierFree | None:
        return ClassifierFree(self.guidance) if self.guidance != 1 else None

    def checkpoint(self) -> Record:
        """Which weights were measured: the run's step and the digest of its averaged weights."""
        return {} if self.run is None else self.run.weights()

    def _conditions(self, n: int, data: Images | None, seed: int) -> Spec | None:
        """The conditions of n random images of the data, so that they come as often as they do there."""
        if not self.condition_names:
            return None
        if data is None:
            raise UserError(f"{self.name} is conditional: give the data whose conditions it is sampled with")
        rows = np.random.default_rng(seed).integers(0, len(data), n)
        assert self.model is not None
        return self.model.asked_for(data.batch(rows, self.model.device))


def open_target(
    what: Source | ImageModel,
    *,
    sampler: str | None = None,
    options: Mapping[str, object] | None = None,
    guidance: float = 1.0,
    device: str | None = None,
    value_range: str | None = None,
    aspect: str | None = None,
) -> Target:
    """A run folder, a model, or any source of images.

    Args:
        what: to measure.
        sampler: a name, for a run; by default its own.
        options: keywords of the sampler.
        guidance: scale of classifier-free guidance.
        device: for a run; by default the best there is.
        value_range: of float images, '0,1' or '-1,1'; by default by their own range, which is reported.
        aspect: 'W:H', for a run with buckets: which of them; by default the one with most images.
    """
    if value_range not in (None, *RANGES):
        raise UserError(f"unknown value range {value_range!r}; allowed: {', '.join(RANGES)}")
    if isinstance(what, (str, Path)) and (Path(what) / CONFIG_FILE).is_file():
        run = Run.open(what)
        chosen = choose_sampler(run, sampler, options or {}) if "sampler" in run.config or sampler or options else None
        model = guidable(at_aspect(run, run.load(device), aspect), str(what), guidance)
        variance = None if chosen is None else asked_variance(sampler, options, chosen)
        return Target(str(what), model, run, sampler=chosen, guidance=guidance, variance=variance)
    if aspect is not None:
        raise UserError("an aspect ratio chooses a bucket of a run; leave it out for a model or images")
    if isinstance(what, ImageModel):
        name = type(what).__name__.lower()
        return Target(name, guidable(what, name, guidance), sampler=what.default_sampler(), guidance=guidance)
    if guidance != 1:
        raise UserError("a guidance is of a conditional run; leave it out for images")
    images = open_source(as_levels(what, value_range))
    return Target(images.source if not isinstance(what, (str, Path)) else str(what), images=images)


def guidable(model: ImageModel, name: str, guidance: float) -> ImageModel:
    """The model, which a guidance needs conditions of.

    Raises:
        UserError: for a guidance of a model without conditions: it would change nothing and be named in the result.
    """
    if guidance != 1 and not model.guidable:
        raise UserError(f"guidance {guidance:g} needs a conditional run, and {name} was trained without conditions")
    return model


def as_levels(what: Source, value_range: str | None) -> Source:
    """Float images as uint8: in [0, 1] or in [-1, 1], by their own range unless it is given; others stay."""
    if not isinstance(what, (np.ndarray, torch.Tensor)):
        return what
    tensor = torch.as_tensor(what)
    if not tensor.is_floating_point():
        return what
    chosen = value_range or guessed_range(tensor)
    if value_range is None:
        notice(
            f"float images from {_ends(tensor)} are read as [{chosen}]; set value_range to '0,1' or '-1,1' to choose"
        )
    return levels(tensor * 2 - 1 if chosen == "0,1" else tensor)


def guessed_range(images: torch.Tensor) -> str:
    """'0,1' where no number is negative and some are above 0 (models draw in [-1, 1]), else '-1,1'."""
    return "0,1" if images.numel() and float(images.min()) >= 0 and float(images.max()) <= 1 else "-1,1"


def _ends(images: torch.Tensor) -> str:
    return f"{float(images.min()):.3g} to {float(images.max()):.3g}"


def _taken(images: Images, n: int, seed: int) -> Drawn:
    rows = np.arange(len(images))
    if n < len(images):
        rows = np.sort(np.random.default_rng(seed).choice(len(images), n, replace=False))
    return Drawn(images.pixels[rows], {"source": images.source, "fingerprint": images.fingerprint})
