"""The three families on images, for the experiments: the same data, the same time, the same measures."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Conditions, Record, Source, Spec
from unnoise.data import Images
from unnoise.errors import UserError
from unnoise.evaluation import evaluate
from unnoise.features.cache import open_features
from unnoise.models import ImageModel
from unnoise.runs.data import Reading
from unnoise.runs.run import Run
from unnoise.runtime.device import chosen_device
from unnoise.samplers import Sampler, UniPC
from unnoise.sampling.batches import sample_in_batches
from unnoise.sources import open_source
from unnoise.training.train import train

FAMILIES = ("GAN", "VAE", "diffusion")
CONDITIONAL = "diffusion by class"
"""Diffusion that reads labels: the only family here that does."""
SMALL = 16
"""Pixels a side up to which diffusion has the small network of the recipe ddpm-digits."""
SAMPLER = UniPC(steps=10)
"""How diffusion draws unless something else is said."""
BATCH = 250
SMALL_NETWORK = {
    "model.network.multipliers": [1, 2],
    "model.network.attention": [4],
    "train.batch_size": 128,
    "train.ema": 0.995,
}
"""What ddpm-digits changes in ddpm."""
QUIET = {"train.samples": 0}


def recipe_of(family: str, shape: tuple[int, int, int]) -> tuple[str, Spec]:
    """The recipe of a family for images of this shape, and what is changed in it."""
    if family == "GAN":
        return "gan", QUIET
    if family == "VAE":
        return "vae", QUIET if shape[0] == 1 else {**QUIET, "model.likelihood": "discretised-logistic"}
    small = shape[1] <= SMALL
    if family == CONDITIONAL:
        return "ddpm-class", {**QUIET, **SMALL_NETWORK} if small else QUIET
    return ("ddpm-digits" if small else "ddpm"), QUIET


class Budget(NamedTuple):
    """What every training of an experiment gets: minutes, or steps instead; n: samples of every measurement."""

    minutes: float
    steps: int | None
    n: int
    seed: int
    device: str | None

    def words(self) -> str:
        """What a training takes."""
        return f"{self.minutes:g} min" if self.steps is None else f"{self.steps:,} steps"

    def record(self, source: Source) -> Record:
        """What the results of an experiment depend on."""
        told = {"minutes": self.minutes} if self.steps is None else {"steps": self.steps}
        return {"source": str(source), **told, "n": self.n, "seed": self.seed}


def train_family(family: str, images: Images, folder: Path, budget: Budget, changes: Spec | None = None) -> Run:
    """A family trained on images, to its end; goes on where it stopped.

    Args:
        family: of FAMILIES, or CONDITIONAL.
        images: in memory.
        folder: the run's.
        budget: how long, and the seed.
        changes: to the recipe, by dotted keys.

    Raises:
        KeyboardInterrupt: where the training was stopped before its end, so that nothing half trained is measured.
    """
    recipe, own = recipe_of(family, images.shape)
    overrides = {**own, **(changes or {})}
    minutes = budget.minutes if budget.steps is None else None
    run = train(images, recipe, folder, budget.steps, minutes, budget.seed, overrides, device=budget.device)
    assert run.summary is not None
    if run.summary["stopped"] != "done":
        raise KeyboardInterrupt
    return run


def drawn_by(
    model: ImageModel, n: int, seed: int = 0, sampler: Sampler = SAMPLER, cond: Conditions | None = None
) -> np.ndarray:
    """Images uint8 (n, C, H, W) of a model; `sampler` is for those that draw in steps."""
    steps = None if model.default_sampler() is None else sampler
    return sample_in_batches(model, range(seed, seed + n), cond, steps, batch_size=min(n, BATCH))


def measured(images: np.ndarray, source: Source, device: str | None = None) -> Record:
    """{fd, classes, kl} of images against a source's training split, in features of a classifier of the source."""
    found = evaluate(images, source, ("fid", "modes"), "classifier", len(images), device=device)
    return {"fd": found["fid"], "classes": found["modes"]["covered"], "kl": found["modes"]["kl"]}


def classes_of(images: np.ndarray, source: Source, device: str | None = None) -> Tensor:
    """(n,) int64: the classes that a classifier of the source sees in images uint8 (n, C, H, W)."""
    train_split, test_split = open_source(source, split="train"), Reading().open_test(source)
    reader = open_features("classifier", train_split, test_split, chosen_device(device))
    parts = torch.from_numpy(images).split(BATCH)
    return torch.cat([reader.probabilities(reader(part)).argmax(1) for part in parts])


def open_labelled(source: Source, what: str) -> Images:
    """The training split of a source with labels.

    Raises:
        UserError: without labels.
    """
    images = open_source(source, split="train")
    if images.labels is None:
        raise UserError(f"{what} counts classes, and {images.source} has no labels: put each class in its own folder")
    return images
