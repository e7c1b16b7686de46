"""How much of what a linear classifier reads survives corruption."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unnoise.data import Images
from unnoise.models import ImageModel
from unnoise.objectives.reconstruction import CORRUPTIONS
from unnoise.probing.encoder import ImageEncoder
from unnoise.probing.linear_probe import ROWS, fitted_probe
from unnoise.seeding import StepNoise


def over_corruption(
    model: ImageModel | None,
    train: Images,
    test: Images,
    amounts: Sequence[float],
    *,
    corruption: str = "gaussian",
    seed: int = 0,
) -> list[float]:
    """The test accuracy of a linear probe of a model's features, trained on clean images and tested on corrupted ones.

    Args:
        model: an autoencoder, a VAE or a diffusion model; None for the pixels themselves.
        train: labelled images.
        test: others.
        amounts: of the corruption; 0 is none.
        corruption: a name in CORRUPTIONS.
        seed: of the corruption, the same for every model.
    """
    probe = fitted_probe(_features(model, _tensor(train, model)), np.asarray(train.labels))
    clean = _tensor(test, model)
    found = []
    for index, amount in enumerate(amounts):
        corrupted = CORRUPTIONS[corruption if amount else "none"](clean, amount, StepNoise(seed, index))
        found.append(float(probe.score(_features(model, corrupted), np.asarray(test.labels))))
    return found


def _tensor(images: Images, model: ImageModel | None) -> Tensor:
    return images.batch(range(len(images)), "cpu" if model is None else model.device).image


@torch.no_grad()
def _features(model: ImageModel | None, image: Tensor) -> np.ndarray:
    if model is None:
        return image.flatten(1).numpy()
    encoder = ImageEncoder(model)
    return torch.cat([encoder(part).cpu() for part in image.split(ROWS)]).numpy()
