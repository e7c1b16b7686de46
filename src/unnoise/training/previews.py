"""The picture that a training draws every so often: samples where the model can draw them, else reconstructions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from unnoise.data import Batch, Images, image_grid
from unnoise.metrics.copies import copies
from unnoise.models import CanReconstruct, CanSample, ImageModel
from unnoise.samplers import Sampler

WATCHED = 5000
SIDE = 32
ALARM = 0.1
"""The share of copies from which on a training warns."""


@dataclass(frozen=True)
class Preview:
    """picture: what is written. samples: (N, C, H, W) in [-1, 1], where the model drew some."""

    picture: Image.Image
    samples: Tensor | None


def preview(model: ImageModel, batch: Batch, sampler: Sampler | None) -> Preview:
    """One image per row of `batch` from seeds 0, 1, ... and the row's conditions; of a model that only reconstructs,
    each row's image beside its reconstruction."""
    seeds = range(len(batch))
    if isinstance(model, CanSample):
        samples = model.sample(seeds, model.conditions(batch), sampler)
        return Preview(image_grid(samples), samples)
    assert isinstance(model, CanReconstruct), "a model samples or reconstructs"
    with torch.no_grad():
        pairs = torch.stack([batch.image, model.decode(model.encode(batch.image)).to(batch.image.dtype)], dim=1)
    return Preview(image_grid(pairs.flatten(0, 1), columns=2 * max(1, round(len(batch) ** 0.5 / 2))), None)


class CopyWatch:
    """Looks for copies of training images among a preview's samples.

    Only small sets are watched, of at most WATCHED images: those are what a model learns by heart, and
    `unnoise evaluate --metrics memorised` measures larger ones. Pictures are compared at 32 pixels at most.
    mirrored: whether training shows mirror images.
    """

    def __init__(self, images: Images, mirrored: bool) -> None:
        self.mirrored = mirrored
        self.training = _small(images.batch(range(len(images))).image) if 2 <= len(images) <= WATCHED else None

    def share(self, samples: Tensor) -> float | None:
        """The share of the samples that are copies; None for a set that is not watched."""
        if self.training is None:
            return None
        found = copies(_small(samples.float().cpu()), self.training, mirrored=self.mirrored)
        return float(found.double().mean())


def warning(share: float) -> str:
    """What to say of a preview with that share of copies."""
    return (
        f"copying: {share:.0%} of the drawn samples are near-copies of a training image (three times as near to it as "
        "to any other); an earlier checkpoint copies less, more images would help"
    )


def _small(images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    return F.adaptive_avg_pool2d(images, (min(height, SIDE), min(width, SIDE)))


def preview_rows(images: Images, count: int) -> np.ndarray:
    """Which images a preview is conditioned on: the first of each class in turn, or just the first."""
    if images.labels is None:
        return np.arange(min(count, len(images)))
    by_class = [np.flatnonzero(images.labels == label) for label in range(len(images.classes))]
    by_class = [rows for rows in by_class if len(rows)]
    return np.array(
        [by_class[i % len(by_class)][i // len(by_class) % len(by_class[i % len(by_class)])] for i in range(count)]
    )
