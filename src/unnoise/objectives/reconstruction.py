"""Learning to reconstruct images, as they are or from what a corruption left of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from unnoise.data.batch import Batch
from unnoise.errors import UserError
from unnoise.host import sent
from unnoise.models.autoencoder import Autoencoder
from unnoise.objectives.objective import Loss, Objective
from unnoise.registry import lookup
from unnoise.seeding import Noise

Corruption = Callable[[Tensor, float, Noise], Tensor]


def nothing(image: Tensor, amount: float, noise: Noise) -> Tensor:
    """The image as it is."""
    return image


def gaussian(image: Tensor, amount: float, noise: Noise) -> Tensor:
    """x + amount eps."""
    return image + amount * noise.normal(image)


def masking(image: Tensor, amount: float, noise: Noise) -> Tensor:
    """A fraction `amount` of the positions, over all channels, becomes 0, which is mid-grey."""
    return image * (_positions(image, noise) >= amount)


def salt_pepper(image: Tensor, amount: float, noise: Noise) -> Tensor:
    """A fraction `amount` of the positions, over all channels, becomes black or white, each as often."""
    u = _positions(image, noise)
    return torch.where(u < amount / 2, -1.0, torch.where(u < amount, 1.0, image))


CORRUPTIONS: dict[str, Corruption] = {
    "none": nothing,
    "gaussian": gaussian,
    "masking": masking,
    "salt-pepper": salt_pepper,
}


class Reconstruction(Objective):
    """E ||x - model(corrupted x)||^2 / D: an autoencoder, or with a corruption a denoising one (Vincent et al. 2008).

    corruption: a name in CORRUPTIONS. amount: the noise's standard deviation, where images span [-1, 1], or the share
    of positions that is overwritten.
    """

    def __init__(self, model: Autoencoder, corruption: str = "none", amount: float = 0.0) -> None:
        self._model, self.corruption, self.amount = model, corruption, amount
        self._corrupt = lookup(CORRUPTIONS, corruption, "corruption")
        limit = math.inf if corruption == "gaussian" else 1
        if not 0 <= amount <= limit:
            raise UserError(f"corruption {corruption!r} takes an amount from 0 to {limit}, got {amount}")
        if (corruption == "none") != (amount == 0):
            raise UserError(f"corruption {corruption!r} with amount {amount}: give both, or neither")

    @property
    def model(self) -> Autoencoder:
        return self._model

    def loss(self, batch: Batch, noise: Noise) -> Loss:
        corrupted = self._corrupt(batch.image, self.amount, noise)
        total = (self.model(corrupted) - batch.image).square().mean()
        return Loss(total, {"loss": total.detach()})


def _positions(image: Tensor, noise: Noise) -> Tensor:
    """A uniform number per position (B, 1, H, W)."""
    count, _, height, width = image.shape
    return sent(noise.uniform(count * height * width), image.device, image.dtype).reshape(count, 1, height, width)
