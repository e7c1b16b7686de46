"""The generative adversarial network: what is left of it after training, a generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unnoise.models.image_model import ImageModel
from unnoise.networks.gan import Generator
from unnoise.seeding import SeededNoise


class GAN(ImageModel):
    """x = generator(z), z ~ N(0, I) (Goodfellow et al. 2014). The discriminator belongs to the objective.

    latent: numbers of a code; channels, multipliers, blocks, patch: of the generator. It has no encoder and no
    likelihood, so it neither reconstructs nor scores.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 64,
        channels: int = 32,
        multipliers: tuple[int, ...] = (1, 2),
        blocks: int = 1,
        patch: int = 2,
    ) -> None:
        super().__init__(shape)
        self.latent = latent
        self.channels, self.multipliers, self.blocks, self.patch = channels, multipliers, blocks, patch
        sizes = {"channels": channels, "multipliers": multipliers, "blocks": blocks, "patch": patch}
        self.generator = Generator(latent, shape[0], shape[1:], **sizes)

    def forward(self, z: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] of codes (B, latent)."""
        return self.generator(z).float()

    @torch.no_grad()
    def sample(self, seeds: Sequence[int] = range(16), cond: Any = None) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], image i from seed i alone. cond is not used: it knows no conditions."""
        if len(seeds) == 0:
            return torch.empty(0, *self.shape, device=self.device)
        return self(self.prior(seeds))

    def prior(self, seeds: Sequence[int]) -> Tensor:
        """z ~ N(0, I) (N, latent), row i from seed i alone."""
        return SeededNoise(seeds).normal(torch.empty(len(seeds), self.latent, device=self.device))

    def decode(self, z: Tensor) -> Tensor:
        """The images of codes: by the name that models with an encoder have for it."""
        return self(z)
