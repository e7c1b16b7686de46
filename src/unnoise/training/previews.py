"""The picture that a training draws every so often: samples where the model can draw them, else reconstructions."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from unnoise.data import Batch, Images, image_grid
from unnoise.models import CanReconstruct, CanSample, Diffusion, ImageModel
from unnoise.samplers import Sampler


def preview(model: ImageModel, batch: Batch, sampler: Sampler | None) -> Image.Image:
    """One image per row of `batch` from seeds 0, 1, ... and the row's conditions; of a model that only reconstructs,
    each row's image beside its reconstruction."""
    seeds = range(len(batch))
    if isinstance(model, Diffusion):
        return image_grid(model.sample(seeds, model.conditions(batch), sampler))
    if isinstance(model, CanSample):
        return image_grid(model.sample(seeds, batch.cond))
    assert isinstance(model, CanReconstruct), "a model samples or reconstructs"
    with torch.no_grad():
        pairs = torch.stack([batch.image, model.decode(model.encode(batch.image)).to(batch.image.dtype)], dim=1)
    return image_grid(pairs.flatten(0, 1), columns=2 * max(1, round(len(batch) ** 0.5 / 2)))


def preview_rows(images: Images, count: int) -> np.ndarray:
    """Which images a preview is conditioned on: the first of each class in turn, or just the first."""
    if images.labels is None:
        return np.arange(min(count, len(images)))
    by_class = [np.flatnonzero(images.labels == label) for label in range(len(images.classes))]
    by_class = [rows for rows in by_class if len(rows)]
    return np.array(
        [by_class[i % len(by_class)][i // len(by_class) % len(by_class[i % len(by_class)])] for i in range(count)]
    )
